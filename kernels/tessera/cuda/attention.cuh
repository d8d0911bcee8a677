// Attention by mma.sync with the softmax of one pass over the keys (Dao, FlashAttention-2, arXiv 2307.08691, algorithm 1),
// for sm_80 and above.
//
// A block has 64 queries of one head of one sequence, a warp 16 of them, whose scores and results stay in registers. Keys
// come 64 at a time from the sequence's first one on, whatever else is in the batch: so a query's bits depend on its own
// sequence alone. What is zero beyond the sequence meets a probability of 0; but a NaN of v reaches all queries that see its
// 64 keys, causal too.
#pragma once
#include <tessera/cuda/attention.hpp>
#include <tessera/cuda/numbers.cuh>

namespace tessera::kernels::cuda {

/// Starts the copies of 64 rows of a head, `left` of which exist, to a tile.
template <int kHead>
TESSERA_DEVICE void start_rows(const bf16* first, index_t ld, int left, shared_t tile) {
  using Rows = typename AttentionTile<kHead>::Rows;
  TESSERA_NOT_UNROLLED
  for (int at = thread_index(); at < kAttentionKeys * Rows::kChunks; at += kAttentionThreads) {
    const int row = at / Rows::kChunks, chunk = at % Rows::kChunks;
    const bool inside = row < left && chunk < kHead / 8;
    copy_async_16(tile + static_cast<shared_t>(Rows::offset(row, chunk)), inside ? first + row * ld + chunk * 8 : first,
                  inside ? kChunk : 0);
  }
}

/// A warp's 16 queries: the largest score so far, the sum of exponentials of this lane's keys, and the sums of values, for
/// the two rows that a lane has of each fragment.
template <int kHead>
struct AttentionSums {
  float largest[2] = {-INFINITY, -INFINITY}, exponentials[2] = {};
  float of[kHead / 8][4] = {};
};

using AttentionScores = float[kAttentionKeys / 8][4];
/// Of the keys whose scores a lane has.
using AttentionWeights = float[kAttentionKeys / 8][2];

/// scores = q . k^T of a warp's queries.
template <int kHead>
TESSERA_DEVICE void multiply_keys(const bf16_pair (&q)[AttentionTile<kHead>::kWidth / 16][4], shared_t keys,
                                  AttentionScores& scores) {
  using Rows = typename AttentionTile<kHead>::Rows;
  const Place at = ldmatrix_b(thread_index() % 32);
  TESSERA_UNROLLED
  for (int j = 0; j < kAttentionKeys / 8; j += 2) {
    TESSERA_UNROLLED
    for (int r = 0; r < 4; ++r) scores[j][r] = scores[j + 1][r] = 0;
    TESSERA_UNROLLED
    for (int step = 0; step < AttentionTile<kHead>::kWidth / 16; ++step) {
      bf16_pair k[4];
      load_matrices(k, keys + static_cast<shared_t>(Rows::offset(j * 8 + at.row, step * 2 + at.column)));
      const bf16_pair left[2] = {k[0], k[1]}, right[2] = {k[2], k[3]};
      mma_m16n8k16(scores[j], q[step], left);
      mma_m16n8k16(scores[j + 1], q[step], right);
    }
  }
}

/// Scores to 2^(factor * (score - largest)), times the keys' weights if there are some, the sums so far to the new largest
/// one.
template <int kHead>
TESSERA_DEVICE void exponentiate(AttentionScores& scores, float factor, bool weighted, const AttentionWeights& weights,
                                 AttentionSums<kHead>& sums) {
  TESSERA_UNROLLED
  for (int half = 0; half < 2; ++half) {
    float largest = sums.largest[half];
    TESSERA_UNROLLED
    for (int j = 0; j < kAttentionKeys / 8; ++j) {
      TESSERA_UNROLLED
      for (int i = 0; i < 2; ++i) largest = scores[j][2 * half + i] > largest ? scores[j][2 * half + i] : largest;
    }
    TESSERA_UNROLLED
    for (int mask = 1; mask <= 2; mask *= 2) {  // the four lanes of a row
      const float other = shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    const float shift = mul(-largest, factor), before = exp2_approximate(fma(sums.largest[half], factor, shift));
    sums.largest[half] = largest;
    float sum = mul(sums.exponentials[half], before);
    TESSERA_UNROLLED
    for (int j = 0; j < kAttentionKeys / 8; ++j) {
      TESSERA_UNROLLED
      for (int i = 0; i < 2; ++i) {
        float& score = scores[j][2 * half + i];
        score = exp2_approximate(fma(score, factor, shift));
        if (weighted) score = mul(score, weights[j][i]);
        sum = add(sum, score);
      }
    }
    sums.exponentials[half] = sum;
    TESSERA_UNROLLED
    for (int j = 0; j < kHead / 8; ++j) {
      TESSERA_UNROLLED
      for (int i = 0; i < 2; ++i) sums.of[j][2 * half + i] = mul(sums.of[j][2 * half + i], before);
    }
  }
}

/// Adds probabilities . v.
template <int kHead>
TESSERA_DEVICE void multiply_values(const AttentionScores& p, shared_t values, AttentionSums<kHead>& sums) {
  using Rows = typename AttentionTile<kHead>::Rows;
  const Place at = ldmatrix_b_transposed(thread_index() % 32);
  TESSERA_UNROLLED
  for (int step = 0; step < kAttentionKeys / 16; ++step) {
    // Two fragments of C, side by side, are one of A.
    const float(&low)[4] = p[2 * step], (&high)[4] = p[2 * step + 1];
    const bf16_pair a[4] = {to_bf16_pair(low[0], low[1]), to_bf16_pair(low[2], low[3]), to_bf16_pair(high[0], high[1]),
                            to_bf16_pair(high[2], high[3])};
    TESSERA_UNROLLED
    for (int j = 0; j < kHead / 8; j += 2) {
      bf16_pair v[4];
      load_matrices_transposed(v, values + static_cast<shared_t>(Rows::offset(step * 16 + at.row, j + at.column)));
      const bf16_pair left[2] = {v[0], v[1]}, right[2] = {v[2], v[3]};
      mma_m16n8k16(sums.of[j], a, left);
      if (j + 1 < kHead / 8) mma_m16n8k16(sums.of[j + 1], a, right);
    }
  }
}

/// Grid: the longest sequence's groups of 64 queries x (sequences x heads). Shared memory:
/// AttentionTile<kHead>::kSharedBytes.
template <int kHead>
TESSERA_KERNEL(kAttentionThreads, 1)
attention_kernel(const TESSERA_GRID_CONSTANT AttentionArgs g) {
  using Tile = AttentionTile<kHead>;
  const int sequence = block_index_y() / g.heads, head = block_index_y() % g.heads;
  const int begin = load_global(g.cu_seqlens + sequence), length = load_global(g.cu_seqlens + sequence + 1) - begin;
  const int first = block_index() * kAttentionQueries;
  if (first >= length) return;
  const int kv_head = head / (g.heads / g.kv_heads);
  const bf16* const q = g.q + (begin + first) * g.ldq + head * kHead;
  const bf16* const k = g.k + begin * g.ldk + kv_head * kHead;
  const bf16* const v = g.v + begin * g.ldv + kv_head * kHead;
  const shared_t queries = dynamic_shared(), keys = queries + Tile::kBytes, values = keys + Tile::kBytes;
  const int seen = g.causal && first + kAttentionQueries < length ? first + kAttentionQueries : length;
  const int lane = thread_index() % 32, row_of_warp = thread_index() / 32 * 16;

  start_rows<kHead>(q, g.ldq, length - first, queries);
  start_rows<kHead>(k, g.ldk, length, keys);
  copy_async_commit();
  copy_async_wait<0>();
  sync_threads();
  bf16_pair of_q[Tile::kWidth / 16][4];
  const Place at_q = ldmatrix_a(lane);
  TESSERA_UNROLLED
  for (int step = 0; step < Tile::kWidth / 16; ++step)
    load_matrices(of_q[step],
                  queries + static_cast<shared_t>(Tile::Rows::offset(row_of_warp + at_q.row, step * 2 + at_q.column)));

  AttentionSums<kHead> sums;
  const float factor = mul(g.scale, 1.44269504088896341f);
  TESSERA_NOT_UNROLLED
  for (int key = 0; key < seen; key += kAttentionKeys) {
    start_rows<kHead>(v + key * g.ldv, g.ldv, length - key, values);
    copy_async_commit();
    AttentionScores scores;
    multiply_keys<kHead>(of_q, keys, scores);
    copy_async_wait<0>();
    sync_threads();  // the values are there, and all have done with the keys
    const int next = key + kAttentionKeys;
    if (next < seen) start_rows<kHead>(k + next * g.ldk, g.ldk, length - next, keys);
    copy_async_commit();
    if (next > length || (g.causal && next > first)) {
      TESSERA_UNROLLED
      for (int j = 0; j < kAttentionKeys / 8; ++j) {
        TESSERA_UNROLLED
        for (int r = 0; r < 4; ++r) {
          const Place at = fragment_c(lane, r);
          const int s = key + j * 8 + at.column, t = first + row_of_warp + at.row;
          if (s >= length || (g.causal && s > t)) scores[j][r] = -INFINITY;
        }
      }
    }
    AttentionWeights weights = {};
    if (g.key_weights) {
      TESSERA_UNROLLED
      for (int j = 0; j < kAttentionKeys / 8; ++j) {
        TESSERA_UNROLLED
        for (int i = 0; i < 2; ++i) {
          const int s = key + j * 8 + fragment_c(lane, i).column;
          weights[j][i] = s < length ? load_global(g.key_weights + begin + s) : 1.0f;
        }
      }
    }
    exponentiate<kHead>(scores, factor, g.key_weights != nullptr, weights, sums);
    multiply_values<kHead>(scores, values, sums);
    copy_async_wait<0>();
    sync_threads();  // the next keys are there, and all have done with the values
  }

  TESSERA_UNROLLED
  for (int half = 0; half < 2; ++half) {
    float sum = sums.exponentials[half];
    TESSERA_UNROLLED
    for (int mask = 1; mask <= 2; mask *= 2) sum = add(sum, shuffle_xor(sum, mask));
    const float factor_of_row = div(1.0f, sum);
    const Place at = fragment_c(lane, 2 * half);
    const int t = first + row_of_warp + at.row;
    if (t >= length) continue;
    bf16* const out = g.out + (begin + t) * g.ldo + head * kHead + at.column;
    TESSERA_UNROLLED
    for (int j = 0; j < kHead / 8; ++j) {
      const bf16_pair pair =
          to_bf16_pair(mul(sums.of[j][2 * half], factor_of_row), mul(sums.of[j][2 * half + 1], factor_of_row));
      store_global(reinterpret_cast<bf16_pair*>(out + j * 8), pair);
    }
  }
}

}  // namespace tessera::kernels::cuda
