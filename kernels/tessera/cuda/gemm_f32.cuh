// Matrix products of f32 without tensor cores, for runs that are compared with the CPU bit by bit, and for what is chosen by
// comparing products (merge.cuh).
//
// Parts of A and B, 32 of k deep, come by cp.async into one of two stages while the other one is multiplied. Each sum is one
// chain of fused multiply-adds, k ascending from 0, whatever the tile.
#pragma once
#include <tessera/cuda/gemm.hpp>
#include <tessera/cuda/gemm_f32.hpp>
#include <tessera/cuda/numbers.cuh>

namespace tessera::kernels::cuda {

struct F32Sums {
  float of[4][4] = {};
};

/// Starts the copies of one part of A and of B. What lies outside of them becomes 0.
template <bool kGated>
TESSERA_DEVICE void start_f32_stage(const F32Operands& g, Place first, int k0, shared_t stage) {
  using Tile = F32Tile;
  constexpr int kChunks = Tile::Operand::kChunks, kNumbers = kChunk / 4;
  TESSERA_UNROLLED
  for (int i = 0; i < (Tile::kRows + Tile::kColumns) * kChunks / Tile::kThreads; ++i) {
    const int at = thread_index() + i * Tile::kThreads, row = at / kChunks, chunk = at % kChunks;
    const int k = k0 + chunk * kNumbers, left = g.k - k;
    bool inside = left > 0;
    const float* from = g.a;  // any valid address where nothing is read
    shared_t to = stage;
    if (i * Tile::kThreads < Tile::kRows * kChunks) {
      inside = inside && first.row + row < g.m;
      if (inside) from = g.a + (first.row + row) * g.lda + k;
      to += static_cast<shared_t>(Tile::Operand::offset(row, chunk));
    } else {
      const int column = row - Tile::kRows, of_b = row_of_w<kGated>(first.column, column, g.n);
      inside = inside && (kGated && column / 8 % 2 != 0 ? of_b - g.n : of_b) < g.n;
      if (inside) from = g.b + of_b * g.ldb + k;
      to += static_cast<shared_t>(Tile::kBytesA + Tile::Operand::offset(column, chunk));
    }
    copy_async_16(to, from, !inside ? 0 : left < kNumbers ? left * 4 : kChunk);
  }
}

/// Continues the sums by `depth` numbers of k in a stage.
TESSERA_DEVICE void multiply_f32_stage(shared_t stage, int depth, F32Sums& sums) {
  using Tile = F32Tile;
  const int row = thread_index() / 16, column = thread_index() % 16;
  TESSERA_NOT_UNROLLED
  for (int chunk = 0; chunk * 4 < depth; ++chunk) {
    Packed<float, 4> a[4], b[4];
    TESSERA_UNROLLED
    for (int i = 0; i < 4; ++i) {
      a[i] = load_shared<Packed<float, 4>>(stage + static_cast<shared_t>(Tile::Operand::offset(row + 16 * i, chunk)));
      b[i] = load_shared<Packed<float, 4>>(
          stage + static_cast<shared_t>(Tile::kBytesA + Tile::Operand::offset(column + 16 * i, chunk)));
    }
    TESSERA_UNROLLED
    for (int k = 0; k < 4; ++k) {
      TESSERA_UNROLLED
      for (int i = 0; i < 4; ++i) {
        TESSERA_UNROLLED
        for (int j = 0; j < 4; ++j) sums.of[i][j] = fma(a[i].number[k], b[j].number[k], sums.of[i][j]);
      }
    }
  }
}

/// The sums of the tile that begins at `first`; all threads of the block. The stages are free when it comes back.
template <bool kGated>
TESSERA_DEVICE void multiply_f32(const F32Operands& g, Place first, shared_t memory, F32Sums& sums) {
  constexpr int kDepth = F32Tile::kDepth;
  const int parts = (g.k + kDepth - 1) / kDepth;
  const auto stage = [&](int part) {
    return memory + static_cast<shared_t>(part % F32Tile::kStages * F32Tile::kStageBytes);
  };
  if (parts > 0) start_f32_stage<kGated>(g, first, 0, stage(0));
  copy_async_commit();
  TESSERA_NOT_UNROLLED
  for (int part = 0; part < parts; ++part) {
    copy_async_wait<0>();
    sync_threads();  // the part is there for all, and all have done with the one before
    if (part + 1 < parts) start_f32_stage<kGated>(g, first, (part + 1) * kDepth, stage(part + 1));
    copy_async_commit();
    multiply_f32_stage(stage(part), g.k - part * kDepth < kDepth ? g.k - part * kDepth : kDepth, sums);
  }
  sync_threads();
}

/// Grid: tiles of C. Shared memory: F32Tile::kSharedBytes.
template <bool kGated>
TESSERA_KERNEL(F32Tile::kThreads, 2)
gemm_f32_kernel(const TESSERA_GRID_CONSTANT GemmF32Args g) {
  constexpr int kColumns = F32Tile::columns_of_c(kGated);
  const F32Operands& of = g.operands;
  const Place tile =
      tile_of_block(block_index(), (of.m + F32Tile::kRows - 1) / F32Tile::kRows, (of.n + kColumns - 1) / kColumns);
  const Place first = {tile.row * F32Tile::kRows, tile.column * kColumns};
  F32Sums sums;
  multiply_f32<kGated>(of, first, dynamic_shared(), sums);
  const Epilogue& e = g.epilogue;
  TESSERA_UNROLLED
  for (int j = 0; j < 4; ++j) {
    const int in_tile = thread_index() % 16 + 16 * j;
    // Gated, lanes whose column has bit 3 hold sums of up, and the lane without it the gate's.
    const int column = first.column + (kGated ? in_tile / 16 * 8 + in_tile % 8 : in_tile);
    const bool mine = column < of.n && (!kGated || in_tile / 8 % 2 == 0);
    EpilogueColumn at;
    if (mine) {
      if (e.bias) at.bias = load_global(e.bias + column);
      if (kGated && e.bias) at.bias_up = load_global(e.bias + of.n + column);
      if (e.channel_scale) at.scale = load_global(e.channel_scale + column);
    }
    TESSERA_UNROLLED
    for (int i = 0; i < 4; ++i) {
      const int row = first.row + thread_index() / 16 + 16 * i;
      const float sum = sums.of[i][j], up = kGated ? shuffle_xor(sum, 8) : sum;
      if (!mine || row >= of.m) continue;
      const bool has_residual = g.residual != nullptr;
      const float residual =
          has_residual ? load_global(g.residual + residual_row(row, g.residual_rows) * g.ldr + column) : 0.0f;
      store_global(g.c + row * g.ldc + column, kGated ? finish_gated(e, at, sum, up, has_residual, residual)
                                                      : finish(e, at, sum, has_residual, residual));
    }
  }
}

}  // namespace tessera::kernels::cuda
