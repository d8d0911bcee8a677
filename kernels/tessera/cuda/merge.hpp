// What the kernels of token merging are asked: plain C++. Together they are the CPU's key_metric(), bipartite_merge() and
// merge_tokens(): Bolya et al., Token Merging, arXiv 2210.09461, section 3.1.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/gemm_f32.hpp>
#include <tessera/cuda/norm.hpp>

namespace tessera::kernels::cuda {

/// metric[t] = the sum of a token's keys over heads, at unit length; a zero stays zero. `head` numbers a head, a multiple of
/// 4 up to 128; rows of k are 8-byte aligned, metric is [tokens, head].
struct KeyMetricArgs {
  const bf16* k;
  index_t ldk;
  float* metric;
  int tokens, heads, head;
};

/// A sequence whose tokens merge: after the prefix, those at even places look for one at an odd place, and the r best pairs
/// merge, at most half of them.
struct MergeSequence {
  int begin, tokens, prefix, even, odd, evens, odds, r;  ///< even, odd: the first free place of each kind

  TESSERA_HOST_DEVICE constexpr MergeSequence(int first, int past, int kept, int pairs) noexcept
      : begin(first),
        tokens(past - first),
        prefix(kept < tokens ? kept : tokens),
        even(prefix + prefix % 2),
        odd(prefix + 1 - prefix % 2),
        evens(even < tokens ? (tokens - even + 1) / 2 : 0),
        odds(odd < tokens ? (tokens - odd + 1) / 2 : 0),
        r(pairs < (tokens - prefix) / 2 ? pairs : (tokens - prefix) / 2) {}
  /// Tokens that are left.
  TESSERA_HOST_DEVICE constexpr int rows() const noexcept { return tokens - r; }
};

/// What match and select share: sequences in metric's rows, and how many pairs of each.
struct MergeBatch {
  const std::int32_t* cu_seqlens;  ///< [sequences + 1], ascending from 0
  int sequences, prefix, r;
};

/// to[b + i], score[b + i] of sequence b .. : the odd token (0, 1, ...) with the largest product with the i-th even one, the
/// first of equal ones, and that product; 0 and -infinity where no product is a number above -infinity. Products are one FMA
/// chain, and so the choices those of the CPU for the same metric. Sequences that merge nothing are left out.
struct MergeMatchArgs {
  const float* metric;  ///< [T, d], 16-byte aligned rows
  index_t ld;
  int d;
  MergeBatch batch;
  std::int32_t* to;  ///< [T]
  float* score;      ///< [T]
};

/// The rows after merging: row i is made of tokens[first[i]] .. tokens[first[i + 1] - 1], its destination first, the others
/// ascending. Rows of a sequence: prefix, the even ones that stay, in their order or best first, the odd ones. Where nothing
/// merges, the tokens as they were.
struct MergeSelectArgs {
  MergeBatch batch;
  const std::int32_t* to;
  const float* score;
  const std::int32_t* cu_rows;  ///< [sequences + 1]: sums of MergeSequence::rows()
  std::int32_t* first;          ///< [rows + 1]
  std::int32_t* tokens;         ///< [T]
  bool by_score;                ///< the even ones that stay: best first
};
inline constexpr int kMergeSelectThreads = 256;
/// Shared memory of select.
constexpr int merge_select_bytes(int longest) noexcept { return (longest + 1) / 2 * 8; }

/// out[i] = sum s_t x_t / sum s_t over the tokens t of row i, one FMA chain in their order, a token alone copied; out_sizes
/// the sum of sizes. y, unless null, is the norm of out's rounded rows. Strides and c are multiples of 8, rows 16-byte
/// aligned; x and out do not overlap.
template <class X, class Y>
struct MergeArgs {
  const X* x;  ///< [T, c]
  index_t ldx;
  const float* sizes;  ///< [T]; null: all 1
  const std::int32_t *first, *tokens;
  X* out;  ///< [rows, c]
  index_t ldo;
  float* out_sizes;  ///< [rows]; null: not wanted
  int rows, c;
  Y* y = nullptr;  ///< [rows, c]
  index_t ldy = 0;
  const float *gamma = nullptr, *beta = nullptr;  ///< [c]; null: 1 and 0
  float eps = 0;
};

}  // namespace tessera::kernels::cuda
