// Matrix products of bf16 with sums of f32 by mma.sync, for sm_80 and above.
//
// A block of warps computes a tile of C [kRows, kColumns]. Parts of A and W, kDepth of k deep, travel through kStages stages
// of shared memory by cp.async, so that the next parts arrive while the tensor cores multiply this one. At the end the sums
// go through the same memory to the epilogue, which then reads and writes whole rows.
//
// Each sum starts at 0 and takes k in steps of 16, ascending, whatever the tile: so a row of C has the same bits from any
// tile, in any batch.
#pragma once
#include <tessera/cuda/gemm.hpp>
#include <tessera/cuda/numbers.cuh>

namespace tessera::kernels::cuda {

/// Starts the copies of one part of A and of W into a stage. What lies outside of them becomes 0.
template <class Tile, bool kGated, class Out>
TESSERA_DEVICE void start_stage(const GemmArgs<Out>& g, Place first, int k0, shared_t stage) {
  constexpr int kChunks = Tile::Operand::kChunks, kNumbers = kChunk / 2;
  TESSERA_UNROLLED
  for (int i = 0; i < (Tile::kRows + Tile::kColumns) * kChunks / Tile::kThreads; ++i) {
    const int at = thread_index() + i * Tile::kThreads, row = at / kChunks, chunk = at % kChunks;
    const bool of_a = i * Tile::kThreads < Tile::kRows * kChunks;
    const int k = k0 + chunk * kNumbers, left = g.k - k;
    bool inside = left > 0;
    const bf16* from = g.a;  // any valid address where nothing is read
    shared_t to = stage;
    if (of_a) {
      inside = inside && first.row + row < g.m;
      if (inside) from = g.a + (first.row + row) * g.lda + k;
      to += static_cast<shared_t>(Tile::Operand::offset(row, chunk));
    } else {
      const int column = row - Tile::kRows, of_w = row_of_w<kGated>(first.column, column, g.n);
      inside = inside && (kGated ? of_w - (column / 8 % 2 == 0 ? 0 : g.n) : of_w) < g.n;
      if (inside) from = g.w + of_w * g.ldw + k;
      to += static_cast<shared_t>(Tile::kBytesA + Tile::Operand::offset(column, chunk));
    }
    copy_async_16(to, from, !inside ? 0 : left < kNumbers ? left * 2 : kChunk);
  }
}

template <class Tile>
struct GemmSums {
  float of[Tile::kFragmentsDown][Tile::kFragmentsAcross][4];
};

/// Multiplies what a stage holds into a warp's sums.
template <class Tile>
TESSERA_DEVICE void multiply_stage(shared_t stage, Place warp, GemmSums<Tile>& sums) {
  const int lane = thread_index() % 32;
  const Place at_a = ldmatrix_a(lane), at_b = ldmatrix_b(lane);
  TESSERA_UNROLLED
  for (int step = 0; step < Tile::kDepth / 16; ++step) {
    bf16_pair a[Tile::kFragmentsDown][4], b[Tile::kFragmentsAcross / 2][4];
    TESSERA_UNROLLED
    for (int i = 0; i < Tile::kFragmentsDown; ++i) {
      const int row = warp.row + i * 16 + at_a.row;
      load_matrices(a[i], stage + static_cast<shared_t>(Tile::Operand::offset(row, step * 2 + at_a.column)));
    }
    TESSERA_UNROLLED
    for (int j = 0; j < Tile::kFragmentsAcross / 2; ++j) {
      const int row = warp.column + j * 16 + at_b.row;
      load_matrices(b[j], stage + static_cast<shared_t>(Tile::kBytesA + Tile::Operand::offset(row, step * 2 + at_b.column)));
    }
    TESSERA_UNROLLED
    for (int i = 0; i < Tile::kFragmentsDown; ++i) {
      TESSERA_UNROLLED
      for (int j = 0; j < Tile::kFragmentsAcross; ++j) {
        const bf16_pair(&both)[4] = b[j / 2];
        const bf16_pair one[2] = {both[j % 2 * 2], both[j % 2 * 2 + 1]};
        mma_m16n8k16(sums.of[i][j], a[i], one);
      }
    }
  }
}

/// Where a warp's part of a tile begins.
template <class Tile>
TESSERA_DEVICE Place part_of_warp() {
  const int warp = thread_index() / 32;
  return {warp / Tile::kAcross * Tile::kWarpRows, warp % Tile::kAcross * Tile::kWarpColumns};
}

/// Adds all products of the tile that begins at `first` to the warps' sums. The stages are free when it comes back.
template <class Tile, bool kGated, class Out>
TESSERA_DEVICE void multiply_tile(const GemmArgs<Out>& g, Place first, shared_t memory, GemmSums<Tile>& sums) {
  const Place warp = part_of_warp<Tile>();
  const int parts = (g.k + Tile::kDepth - 1) / Tile::kDepth;
  const auto stage = [&](int part) { return memory + static_cast<shared_t>(part % Tile::kStages * Tile::kStageBytes); };
  TESSERA_UNROLLED
  for (int part = 0; part < Tile::kStages - 1; ++part) {
    if (part < parts) start_stage<Tile, kGated>(g, first, part * Tile::kDepth, stage(part));
    copy_async_commit();  // empty groups too, so that the number of groups says which part has come
  }
  TESSERA_NOT_UNROLLED
  for (int part = 0; part < parts; ++part) {
    copy_async_wait<Tile::kStages - 2>();
    sync_threads();  // the part is there for all, and all have done with the one before, whose stage is next to be filled
    const int next = part + Tile::kStages - 1;
    if (next < parts) start_stage<Tile, kGated>(g, first, next * Tile::kDepth, stage(next));
    copy_async_commit();
    multiply_stage<Tile>(stage(part), warp, sums);
  }
  sync_threads();  // the stages are free: no copy is under way, as the last groups are empty
}

/// Puts a warp's sums where write_tile() reads them.
template <class Tile>
TESSERA_DEVICE void spread_sums(shared_t memory, Place warp, const GemmSums<Tile>& sums) {
  const int lane = thread_index() % 32;
  TESSERA_UNROLLED
  for (int i = 0; i < Tile::kFragmentsDown; ++i) {
    TESSERA_UNROLLED
    for (int j = 0; j < Tile::kFragmentsAcross; ++j) {
      TESSERA_UNROLLED
      for (int r = 0; r < 4; r += 2) {  // neighbours of a row
        const Place at = fragment_c(lane, r);
        const int row = warp.row + i * 16 + at.row, column = warp.column + j * 8 + at.column;
        store_shared(memory + static_cast<shared_t>(row * Tile::kSumsPitch + column * 4),
                     Packed<float, 2>{{sums.of[i][j][r], sums.of[i][j][r + 1]}});
      }
    }
  }
}

/// The epilogue of four neighbouring columns of one row, `left` of which exist.
template <bool kGated, class Out>
TESSERA_DEVICE void finish_four(const GemmArgs<Out>& g, int row, int column, const float (&sum)[4], const float (&up)[4]) {
  const Epilogue& e = g.epilogue;
  const int left = g.n - column;
  // Whether four numbers are one access: rows begin on such addresses or none does.
  const auto whole = [](const void* p, index_t ld) {
    return ld % 4 == 0 && reinterpret_cast<std::uintptr_t>(p) % (sizeof(Out) * 4) == 0;
  };
  float residual[4] = {}, result[4];
  if (g.residual)
    load_numbers(g.residual + residual_row(row, g.residual_rows) * g.ldr + column, left, whole(g.residual, g.ldr), residual);
  TESSERA_UNROLLED
  for (int i = 0; i < 4; ++i) {
    EpilogueColumn at;
    if (i < left) {
      if (e.bias) at.bias = load_global(e.bias + column + i);
      if (kGated && e.bias) at.bias_up = load_global(e.bias + g.n + column + i);
      if (e.channel_scale) at.scale = load_global(e.channel_scale + column + i);
    }
    result[i] = kGated ? finish_gated(e, at, sum[i], up[i], g.residual != nullptr, residual[i])
                       : finish(e, at, sum[i], g.residual != nullptr, residual[i]);
  }
  store_numbers(g.c + row * g.ldc + column, left, whole(g.c, g.ldc), result);
}

/// Reads the sums of all warps by rows, and writes C.
template <class Tile, bool kGated, class Out>
TESSERA_DEVICE void write_tile(const GemmArgs<Out>& g, Place first, shared_t memory) {
  constexpr int kFours = Tile::columns_of_c(kGated) / 4;
  TESSERA_NOT_UNROLLED
  for (int at = thread_index(); at < Tile::kRows * kFours; at += Tile::kThreads) {
    const int row = at / kFours, column = at % kFours * 4;
    if (first.row + row >= g.m || first.column + column >= g.n) continue;
    const int in_tile = kGated ? column / 8 * 16 + column % 8 : column;
    const shared_t from = memory + static_cast<shared_t>(row * Tile::kSumsPitch + in_tile * 4);
    const auto sum = load_shared<Packed<float, 4>>(from);
    const auto up = kGated ? load_shared<Packed<float, 4>>(from + 32) : sum;
    finish_four<kGated>(g, first.row + row, first.column + column, sum.number, up.number);
  }
}

/// Grid: tiles of C. Shared memory: Tile::kSharedBytes.
template <class Tile, bool kGated, class Out>
TESSERA_KERNEL(Tile::kThreads, 1)
gemm_kernel(const TESSERA_GRID_CONSTANT GemmArgs<Out> g) {
  constexpr int kTileColumnsOfC = Tile::columns_of_c(kGated);
  const Place tile =
      tile_of_block(block_index(), (g.m + Tile::kRows - 1) / Tile::kRows, (g.n + kTileColumnsOfC - 1) / kTileColumnsOfC);
  const Place first = {tile.row * Tile::kRows, tile.column * kTileColumnsOfC};
  const shared_t memory = dynamic_shared();
  GemmSums<Tile> sums = {};
  multiply_tile<Tile, kGated>(g, first, memory, sums);
  spread_sums<Tile>(memory, part_of_warp<Tile>(), sums);
  sync_threads();
  write_tile<Tile, kGated>(g, first, memory);
}

}  // namespace tessera::kernels::cuda
