// What the f32 GEMM kernel is asked, and its tile: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/epilogue.hpp>
#include <tessera/cuda/tiles.hpp>

namespace tessera::kernels::cuda {

/// A [m, k] and B [n, k] of f32, whose rows are 16-byte aligned: lda and ldb multiples of 4.
struct F32Operands {
  const float* a;
  index_t lda;
  const float* b;
  index_t ldb;
  int m, n, k;
};

/// C [m, n] as epilogue.hpp says of A . W^T; gated, W is [2 n, k], the gate's rows before up's. Each sum is one chain of
/// fused multiply-adds, k ascending from 0: C has the bits that the CPU's f32 product has. residual has rows as C's and may
/// be C. `operands.b` is W, and n that of C.
struct GemmF32Args {
  F32Operands operands;
  float* c;
  index_t ldc;
  const float* residual = nullptr;
  index_t ldr = 0;
  Epilogue epilogue = {};
  int residual_rows = 0;  ///< above 0: as residual_row() says, and residual is not C
};

/// A block's 64 x 64 sums: a thread has those of rows r + 16 i and columns c + 16 j, 0 <= i, j < 4.
struct F32Tile {
  static constexpr int kRows = 64, kColumns = 64, kDepth = 32, kThreads = 256, kStages = 2;
  using Operand = PaddedTile<kDepth * 4>;
  static constexpr int kBytesA = kRows * Operand::kPitch, kStageBytes = kBytesA + kColumns * Operand::kPitch;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  TESSERA_HOST_DEVICE static constexpr int columns_of_c(bool gated) { return gated ? kColumns / 2 : kColumns; }
};

}  // namespace tessera::kernels::cuda
