// Token merging: similarity of tokens, and rows made of several.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera {

/// What a row made of tokens x_0 (the destination), x_1 ... of sizes s becomes; its size is the sum of theirs, or s_0 where
/// only one is kept. A token alone is copied.
enum class MergeMode : unsigned char {
  weighted_mean,    ///< sum s_i x_i / sum s_i (ToMe, PiToMe)
  mean,             ///< sum x_i / n (AIM)
  sum,              ///< sum x_i
  max,              ///< per channel
  norm_preserving,  ///< the direction of the sum with the largest norm of the group (ToFu's MLERP)
  keep,             ///< x_0: the others are pruned
  combine,          ///< sum a_i x_i of given coefficients (EViT's fused token); its size is s_0
};

namespace kernels {

/// Rows of a [*, d] against all rows of b [n, d], packed as a GemmTable packs.
struct MatchArgs {
  const float* a;
  index_t lda;
  const float* b;  ///< slices [ceil(n / 16)][d][16]
  index_t n, d;
};

struct MergeTable {
  /// out[t, :] = sum_h k[t, h, :] of rows ld apart whose heads are `head` numbers apart.
  void (*head_sum)(const float* k, index_t ld, index_t head, index_t heads, index_t d, index_t t0, index_t t1,
                   float* out) noexcept;
  /// For rows [m0, m1) of a: the largest a . b_j and the lowest such j. What is not a number is never the largest; without
  /// any, -infinity and 0.
  void (*nearest)(const MatchArgs& args, index_t m0, index_t m1, std::int32_t* index, float* score) noexcept;
  /// For rows [m0, m1) of a: mean_j f(a . b_j - margin), f(y) = y for y >= 0, else exp(y) - 1.
  void (*energy)(const MatchArgs& args, float margin, index_t m0, index_t m1, float* out) noexcept;
  /// One row of c channels from n >= 1 rows x + members[i] * ldx, in their order. \param weights one a row of x (sizes, or
  /// the coefficients of `combine`); null: all 1.  \return the size.
  float (*merge)(MergeMode mode, const float* x, index_t ldx, const std::int32_t* members, const float* weights, index_t n,
                 index_t c, float* out) noexcept;
};

}  // namespace kernels
}  // namespace tessera
