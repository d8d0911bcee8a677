// Token merging: what tokens are compared by, the best partner of each, which pairs merge, and the merged rows with the norm
// that follows. All in a fixed order, and each sequence on its own.
#pragma once
#include <tessera/cuda/gemm_f32.cuh>
#include <tessera/cuda/merge.hpp>
#include <tessera/cuda/norm.cuh>

namespace tessera::kernels::cuda {

/// A warp a token. Grid: tokens by kNormRows. No shared memory.
static TESSERA_KERNEL(kNormRows * 32, 1) key_metric_kernel(const TESSERA_GRID_CONSTANT KeyMetricArgs g) {
  const index_t t = static_cast<index_t>(block_index()) * kNormRows + thread_index() / 32;
  if (t >= g.tokens) return;  // whole warps
  const int column = thread_index() % 32 * 4;
  const bool mine = column < g.head;
  float sum[4] = {}, square = 0;
  if (mine) {
    load_whole(g.k + t * g.ldk + column, sum);
    TESSERA_NOT_UNROLLED
    for (int h = 1; h < g.heads; ++h) {
      float other[4];
      load_whole(g.k + t * g.ldk + h * g.head + column, other);
      TESSERA_UNROLLED
      for (int j = 0; j < 4; ++j) sum[j] = add(sum[j], other[j]);
    }
    TESSERA_UNROLLED
    for (int j = 0; j < 4; ++j) square = fma(sum[j], sum[j], square);
  }
  float norm = sqrt(sum_of_lanes(square));
  if (norm < 1e-12f) norm = 1e-12f;  // a NaN stays
  if (!mine) return;
  TESSERA_UNROLLED
  for (int j = 0; j < 4; ++j) sum[j] = div(sum[j], norm);
  store_whole(g.metric + t * g.head + column, sum);
}

TESSERA_DEVICE MergeSequence merge_sequence(const MergeBatch& batch, int sequence) {
  return {load_global(batch.cu_seqlens + sequence), load_global(batch.cu_seqlens + sequence + 1), batch.prefix, batch.r};
}

/// Grid: the longest sequence's even tokens by F32Tile::kRows x sequences. Shared memory: F32Tile::kSharedBytes.
static TESSERA_KERNEL(F32Tile::kThreads, 2) merge_match_kernel(const TESSERA_GRID_CONSTANT MergeMatchArgs g) {
  const MergeSequence s = merge_sequence(g.batch, block_index_y());
  const int first = block_index() * F32Tile::kRows, row = thread_index() / 16, column = thread_index() % 16;
  if (first >= s.evens || s.r == 0) return;  // whole blocks
  const F32Operands of = {
      g.metric + (s.begin + s.even) * g.ld, 2 * g.ld, g.metric + (s.begin + s.odd) * g.ld, 2 * g.ld, s.evens, s.odds, g.d};
  float best[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
  int to[4] = {};
  TESSERA_NOT_UNROLLED
  for (int odd = 0; odd < s.odds; odd += F32Tile::kColumns) {
    F32Sums sums;
    multiply_f32<false>(of, {first, odd}, dynamic_shared(), sums);
    TESSERA_UNROLLED
    for (int j = 0; j < 4; ++j) {
      const int at = odd + column + 16 * j;
      TESSERA_UNROLLED
      for (int i = 0; i < 4; ++i) {
        if (at < s.odds && sums.of[i][j] > best[i]) best[i] = sums.of[i][j], to[i] = at;
      }
    }
  }
  TESSERA_UNROLLED
  for (int i = 0; i < 4; ++i) {
    TESSERA_UNROLLED
    for (int mask = 8; mask > 0; mask /= 2) {  // the sixteen lanes of a row
      const float other = shuffle_xor(best[i], mask);
      const int other_to = shuffle_xor(to[i], mask);
      if (other > best[i] || (other == best[i] && other_to < to[i])) best[i] = other, to[i] = other_to;
    }
    const int even = first + row + 16 * i;
    if (column == 0 && even < s.evens) {
      store_global(g.to + s.begin + even, to[i]);
      store_global(g.score + s.begin + even, best[i]);
    }
  }
}

/// Grid: sequences. Shared memory: merge_select_bytes().
static TESSERA_KERNEL(kMergeSelectThreads, 1) merge_select_kernel(const TESSERA_GRID_CONSTANT MergeSelectArgs g) {
  const MergeSequence s = merge_sequence(g.batch, block_index());
  const int rows = load_global(g.cu_rows + block_index()), thread = thread_index();
  // Row `row` of the sequence begins with token `token`, at place `place` of the sequence's tokens.
  const auto begin_row = [&](int row, int place, int token) {
    store_global(g.first + rows + row, s.begin + place);
    store_global(g.tokens + s.begin + place, s.begin + token);
  };
  if (thread == 0 && block_index() + 1 == g.batch.sequences) store_global(g.first + rows + s.rows(), s.begin + s.tokens);
  if (s.r == 0) {
    for (int t = thread; t < s.tokens; t += kMergeSelectThreads) begin_row(t, t, t);
    return;
  }
  const shared_t scores = dynamic_shared(), into = scores + static_cast<shared_t>(s.evens * 4);
  const auto score = [&](int i) { return load_shared<float>(scores + static_cast<shared_t>(i * 4)); };
  const auto joins = [&](int i) { return load_shared<int>(into + static_cast<shared_t>(i * 4)); };
  for (int i = thread; i < s.evens; i += kMergeSelectThreads)
    store_shared(scores + static_cast<shared_t>(i * 4), load_global(g.score + s.begin + i));
  sync_threads();

  // How many are before each even one decides whether it merges; -1 in `into`: it stays.
  for (int i = thread; i < s.evens; i += kMergeSelectThreads) {
    const float mine = score(i);
    int before = 0;
    for (int j = 0; j < s.evens; ++j) before += score(j) > mine || (score(j) == mine && j < i) ? 1 : 0;
    store_shared(into + static_cast<shared_t>(i * 4), before < s.r ? load_global(g.to + s.begin + i) : -1);
    if (g.by_score && before >= s.r) begin_row(s.prefix + before - s.r, s.prefix + before - s.r, s.even + 2 * i);
  }
  for (int t = thread; t < s.prefix; t += kMergeSelectThreads) begin_row(t, t, t);
  sync_threads();

  for (int i = thread; i < s.evens && !g.by_score; i += kMergeSelectThreads) {
    if (joins(i) >= 0) continue;
    int row = s.prefix;
    for (int j = 0; j < i; ++j) row += joins(j) < 0 ? 1 : 0;
    begin_row(row, row, s.even + 2 * i);
  }
  const int first_odd = s.prefix + s.evens - s.r;
  for (int i = thread; i < s.odds; i += kMergeSelectThreads) {
    int place = first_odd + i;
    for (int j = 0; j < s.evens; ++j) place += joins(j) >= 0 && joins(j) < i ? 1 : 0;
    begin_row(first_odd + i, place, s.odd + 2 * i);
    for (int j = 0; j < s.evens; ++j) {
      if (joins(j) == i) store_global(g.tokens + s.begin + ++place, s.begin + s.even + 2 * j);
    }
  }
}

/// A warp a row. Grid: rows by kNormRows. No shared memory.
template <Norm kNorm, int kPieces, class X, class Y>
TESSERA_KERNEL(kNormRows * 32, 1)
merge_kernel(const TESSERA_GRID_CONSTANT MergeArgs<X, Y> g) {
  const index_t r = static_cast<index_t>(block_index()) * kNormRows + thread_index() / 32;
  if (r >= g.rows) return;  // whole warps
  const int begin = load_global(g.first + r), end = load_global(g.first + r + 1);
  const auto size_of = [&](int token) { return g.sizes ? load_global(g.sizes + token) : 1.0f; };
  const int token = load_global(g.tokens + begin);
  float size = size_of(token);
  NormRow<kPieces> row;
  each_piece(row, g.c, [&](float(&x)[8], int column) {
    load_whole(g.x + token * g.ldx + column, x);
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) x[j] = end > begin + 1 ? mul(x[j], size) : x[j];
  });
  TESSERA_NOT_UNROLLED
  for (int i = begin + 1; i < end; ++i) {
    const int other = load_global(g.tokens + i);
    const float weight = size_of(other);
    size = add(size, weight);
    each_piece(row, g.c, [&](float(&x)[8], int column) {
      float of_other[8];
      load_whole(g.x + other * g.ldx + column, of_other);
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) x[j] = fma(of_other[j], weight, x[j]);
    });
  }
  each_piece(row, g.c, [&](float(&x)[8], int column) {
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) x[j] = to_float(rounded_to<X>(end > begin + 1 ? div(x[j], size) : x[j]));
    store_whole(g.out + r * g.ldo + column, x);
  });
  if (g.out_sizes && thread_index() % 32 == 0) store_global(g.out_sizes + r, size);
  if (g.y) write_normalised<kNorm>(row, g.c, g.eps, g.gamma, g.beta, g.y + r * g.ldy);
}

}  // namespace tessera::kernels::cuda
