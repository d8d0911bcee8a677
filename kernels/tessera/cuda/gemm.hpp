// What a GEMM kernel is asked, the tiles that there are, and which one serves: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/epilogue.hpp>
#include <tessera/cuda/tiles.hpp>

namespace tessera::kernels::cuda {

/// C[m, n] as epilogue.hpp says of A [m, k] . W [n, k]^T; gated, W is [2 n, k], the gate's rows before up's. Rows of A and W
/// are 16-byte aligned: lda and ldw multiples of 8. residual has rows as C's and may be C. Sizes are 1 or more, and k may be
/// 0.
template <class Out>
struct GemmArgs {
  const bf16* a;
  index_t lda;
  const bf16* w;
  index_t ldw;
  Out* c;
  index_t ldc;
  int m, n, k;
  const Out* residual = nullptr;
  index_t ldr = 0;
  Epilogue epilogue = {};
  int residual_rows = 0;  ///< above 0: as residual_row() says, and residual is not C
};

/// What a block computes, and how many warps share it.
template <int kTileRows, int kTileColumns, int kWarpsDown, int kWarpsAcross, int kTileStages>
struct GemmTile {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns, kDepth = 64, kStages = kTileStages;
  static constexpr int kThreads = kWarpsDown * kWarpsAcross * 32;
  /// A warp's part of the tile, and the fragments of it.
  static constexpr int kWarpRows = kRows / kWarpsDown, kWarpColumns = kColumns / kWarpsAcross;
  static constexpr int kFragmentsDown = kWarpRows / 16, kFragmentsAcross = kWarpColumns / 8;
  static_assert(kWarpRows % 16 == 0 && kWarpColumns % 16 == 0);
  static constexpr int kAcross = kWarpsAcross;

  using Operand = SwizzledTile<kDepth * 2>;
  static constexpr int kBytesA = kRows * Operand::kPitch, kStageBytes = kBytesA + kColumns * Operand::kPitch;
  /// Sums in shared memory: eight numbers between rows, so that the rows of a fragment have banks of their own.
  static constexpr int kSumsPitch = (kColumns + 8) * 4;
  static constexpr int kSharedBytes = kStages * kStageBytes > kRows* kSumsPitch ? kStages* kStageBytes : kRows* kSumsPitch;

  /// Columns of C: gated, half of the tile's, as gate and up alternate by eight columns.
  TESSERA_HOST_DEVICE static constexpr int columns_of_c(bool gated) { return gated ? kColumns / 2 : kColumns; }
};

using GemmTile64x64 = GemmTile<64, 64, 2, 2, 3>;
using GemmTile64x128 = GemmTile<64, 128, 2, 2, 3>;
using GemmTile128x64 = GemmTile<128, 64, 2, 2, 3>;
using GemmTile128x128 = GemmTile<128, 128, 2, 4, 3>;

/// The tiles, the largest first.
enum class GemmTileChoice : unsigned char { tile_128x128, tile_128x64, tile_64x128, tile_64x64 };

/// The largest tile of which there are enough to keep `multiprocessors` busy, else the smallest; `columns` are those of W.
/// The choice changes no bits.
constexpr GemmTileChoice choose_gemm_tile(int m, int columns, int multiprocessors) noexcept {
  const auto tiles = [&](index_t rows, index_t across) { return (m + rows - 1) / rows * ((columns + across - 1) / across); };
  if (m > 64 && columns > 64 && tiles(128, 128) >= multiprocessors) return GemmTileChoice::tile_128x128;
  if (m > 64 && tiles(128, 64) >= multiprocessors) return GemmTileChoice::tile_128x64;
  if (columns > 64 && tiles(64, 128) >= multiprocessors) return GemmTileChoice::tile_64x128;
  return GemmTileChoice::tile_64x64;
}

/// The row of W that row `row` of a tile's part of it holds, the tile beginning at column `first` of C.
template <bool kGated>
TESSERA_HOST_DEVICE constexpr int row_of_w(int first, int row, int n) noexcept {
  if (!kGated) return first + row;
  const int column = first + row / 16 * 8 + row % 8;
  return row / 8 % 2 == 0 ? column : n + column;
}

}  // namespace tessera::kernels::cuda
