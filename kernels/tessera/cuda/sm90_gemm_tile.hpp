// The tiles of sm90_gemm.cuh, what they need of an SM, and the tensor maps that their kernels take: plain C++ for any
// compiler.
#pragma once
#include <tessera/cuda/host_device.hpp>
#include <tessera/cuda/tensor_map.hpp>

namespace tessera::kernels::cuda {

/// C in bf16 leaves through buffers of 64 rows and so many columns, two of them a warpgroup.
inline constexpr int kSm90StoreColumns = 32, kSm90StoreBytes = 64 * kSm90StoreColumns * 2;

/// Rows and columns of C of a tile; how many warpgroups share its rows; how many such teams take turns; stages, 0: what
/// fits.
template <int kTileRows, int kTileColumns, int kTileTeamSize, int kTileTeams, int kTileStages = 0>
struct Sm90GemmTile {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns, kDepth = 64;
  static constexpr int kTeamSize = kTileTeamSize, kTeams = kTileTeams, kConsumers = kTeamSize * kTeams;
  static constexpr int kThreads = 128 * (1 + kConsumers);
  /// Blocks of 64 rows of one warpgroup.
  static constexpr int kBlocks = kRows / (64 * kTeamSize);
  static_assert(kRows == 64 * kTeamSize * kBlocks && kBlocks >= 1 && kRows <= 256);
  static_assert(kColumns % 32 == 0 && kColumns <= 256 && kConsumers >= 2 && kConsumers <= 3);

  static constexpr int kBytesA = kRows * kDepth * 2, kStageBytes = kBytesA + kColumns * kDepth * 2;
  static constexpr int kBufferBytes = kConsumers * 2 * kSm90StoreBytes;
  static constexpr int kRoom = (static_cast<int>(kMostSharedBytes) - kBufferBytes - 256) / kStageBytes;
  static constexpr int kStages = kTileStages != 0 ? kTileStages : kRoom < 8 ? kRoom : 8;
  static_assert(kStages >= 1 && kStages <= kRoom);
  /// Bytes from the start of shared memory: stages, from 0; buffers of C; barriers.
  static constexpr int kBuffersAt = kStages * kStageBytes, kBarriersAt = kBuffersAt + kBufferBytes;
  static constexpr int kSharedBytes = kBarriersAt + (2 * kStages + kTeams) * 8;

  /// Registers a thread, in all at most the 65536 of an SM.
  static constexpr int kProducerRegisters = 24, kConsumerRegisters = kConsumers == 2 ? 240 : 160;
  static_assert(128 * (kProducerRegisters + kConsumers * kConsumerRegisters) <= 65536);
  static_assert(kBlocks * kColumns / 2 + 32 <= kConsumerRegisters, "the sums must fit beside what else a thread holds");

  /// Columns of C: gated, half of the tile's, as gate and up alternate by eight columns.
  TESSERA_HOST_DEVICE static constexpr int columns_of_c(bool gated) noexcept { return gated ? kColumns / 2 : kColumns; }
};

// Those of tile_select.hpp. 64 rows are one warpgroup's: two take turns, so that the end of one tile hides behind the
// other's products.
using Sm90GemmTile64x64 = Sm90GemmTile<64, 64, 1, 2>;
using Sm90GemmTile64x128 = Sm90GemmTile<64, 128, 1, 2>;
using Sm90GemmTile64x256 = Sm90GemmTile<64, 256, 1, 2>;
using Sm90GemmTile128x128 = Sm90GemmTile<128, 128, 2, 1>;
using Sm90GemmTile128x160 = Sm90GemmTile<128, 160, 2, 1>;
using Sm90GemmTile128x192 = Sm90GemmTile<128, 192, 2, 1>;
using Sm90GemmTile128x256 = Sm90GemmTile<128, 256, 2, 1>;
using Sm90GemmTile192x128 = Sm90GemmTile<192, 128, 3, 1>;
using Sm90GemmTile256x128 = Sm90GemmTile<256, 128, 2, 1>;

/// The operands of a product for the maps of its kernel: sizes and pitches in elements.
struct Sm90GemmOperands {
  const void *a, *w;
  void* c;
  index_t m, n, k, lda, ldw, ldc;
  bool gated;
};
/// A [m, k], by tiles of rows.
template <class Tile>
constexpr TensorMapSpec sm90_map_of_a(const Sm90GemmOperands& g) noexcept {
  return matrix_map(DType::bf16, g.a, g.m, g.k, 2 * g.lda, Tile::kRows, Tile::kDepth, 128);
}
/// W [n, k]. Gated, W is [2 n, k], and a box takes 8 rows of the gate, the 8 of up that belong to them, and so on: so both
/// sums of a number of C come to lie in one thread. n must then be a multiple of 8, as the last 8 rows of up would end
/// behind W.
template <class Tile>
constexpr TensorMapSpec sm90_map_of_w(const Sm90GemmOperands& g) noexcept {
  if (!g.gated) return matrix_map(DType::bf16, g.w, g.n, g.k, 2 * g.ldw, Tile::kColumns, Tile::kDepth, 128);
  return {.dtype = DType::bf16,
          .base = g.w,
          .rank = 4,
          .extent = {g.k, 8, 2, g.n / 8},
          .pitch = {2 * g.ldw, 2 * g.ldw * g.n, 16 * g.ldw},
          .box = {Tile::kDepth, 8, 2, Tile::kColumns / 16},
          .swizzle = 128};
}
/// C [m, n] of bf16, by what a warpgroup stores at a time. It can be stored so where check_tensor_map() finds nothing wrong.
template <class Tile>
constexpr TensorMapSpec sm90_map_of_c(const Sm90GemmOperands& g) noexcept {
  return matrix_map(DType::bf16, g.c, g.m, g.n, 2 * g.ldc, 64, kSm90StoreColumns, 2 * kSm90StoreColumns);
}

}  // namespace tessera::kernels::cuda
