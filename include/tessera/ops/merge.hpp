// Token merging and pruning: a plan of what becomes of the tokens of one sequence, ways to find one, and its application.
#pragma once
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/tables/merge.hpp>

namespace tessera::ops {

/// In place of a row: the token is in none.
inline constexpr std::int32_t kDropped = -1;

/// T tokens become T' <= T rows. Every row starts with one token, its destination; others may join it, or be dropped.
struct MergePlan {
  std::vector<std::int32_t> rows;   ///< [T'] the destination of each row, in the order of the rows
  std::vector<std::int32_t> into;   ///< [T] the destination that a token joins (its own number if it is one), or kDropped
  std::vector<float> coefficients;  ///< [T], only for MergeMode::combine
  MergeMode mode = MergeMode::weighted_mean;

  /// Every token a row of its own.
  static MergePlan identity(index_t tokens);
  index_t tokens() const noexcept { return static_cast<index_t>(into.size()); }
  index_t size() const noexcept { return static_cast<index_t>(rows.size()); }
  /// \throws Error kBadArgument for a row or token outside, a destination that is none or stands twice, other coefficients.
  void check() const;
};

/// Rows that no other joins: by place in the sequence, or best first.
enum class MergeOrder : unsigned char { position, score };

/// What ToMe compares tokens by: the mean of a token's keys over heads, at unit length; a zero stays zero.
/// \param k [T, H, D], heads and rows may be strided.  \param out [T, D] packed.  \throws Error kShapeMismatch, kBadStride.
/// Source: Bolya et al., Token Merging, arXiv:2210.09461, section 3.1.
void key_metric(Context& ctx, View<const float, 3> k, View<float, 2> out);

/// score[i] = max_j a[i] . b[j] and the lowest j of that score. NaN is never the largest: without a number, -infinity and 0.
/// \param a [M, D].  \param b [N, D], N >= 1; rows may be strided (every second token).
/// \throws Error kShapeMismatch, kBadStride.  Determinism: same bits for any thread count and ISA.
void nearest(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<std::int32_t, 1> index,
             View<float, 1> score);

/// Bipartite soft matching. Tokens at even places look for the most similar one at an odd place; the r pairs of the largest
/// similarity merge, earlier tokens first among equals. Rows: those at even places that stay, then all at odd places.
/// \param metric [T, D] unit rows, of key_metric() or features after l2_normalize().
/// \param r      pairs; at most (T - prefix) / 2 are merged.
/// \param prefix tokens at the start (class, distillation, registers) that neither merge nor move.
/// \param order  of the tokens at even places that stay: ToMe keeps them in order of similarity when there is no class
/// token. Source: Bolya et al., arXiv:2210.09461, section 3.1.
MergePlan bipartite_merge(Context& ctx, View<const float, 2> metric, index_t r, index_t prefix = 0,
                          MergeOrder order = MergeOrder::position);

/// Energy-based merging: of the 2 r tokens with the highest energy E_i = mean_j f(m_i . m_j - margin), f(y) = y above 0 and
/// exp(y) - 1 below, every second one joins the most similar of the others. Rows: prefix, tokens of low energy in
/// descending energy, destinations. Equal energies: earlier tokens first. r is at most (T - prefix) / 2.
/// Source: Tran et al., Accelerating Transformers with Spectrum-Preserving Token Merging (PiToMe), arXiv:2405.16148.
MergePlan energy_merge(Context& ctx, View<const float, 2> metric, index_t r, float margin, index_t prefix = 0);

/// Keeps the prefix and the `keep` tokens after it with the largest scores, earlier ones first among equals, NaN last; drops
/// the rest. DynamicViT (arXiv:2106.02034) keeps them in order of score. \param scores [T]; those of the prefix are not
/// read.
MergePlan keep_top(View<const float, 1> scores, index_t keep, index_t prefix = 0, MergeOrder order = MergeOrder::position);

/// Keeps the prefix and `keep` tokens drawn without replacement; the same for every sequence of as many tokens.
MergePlan keep_random(index_t tokens, index_t keep, index_t prefix, std::uint64_t seed);

/// The dropped tokens of a plan as one row more, at the end: their sum weighed by `weights` [T].
/// Source: Liang et al., EViT, arXiv:2202.07800, section 3.2 (weights: attention of the class token, not renormalised).
MergePlan fuse_dropped(MergePlan plan, View<const float, 1> weights);

/// out[i] = the row that plan.mode makes of the tokens of row i, the destination first, the others in their order.
/// \param x         [T, C] rows may be padded.  \param sizes [T] tokens that each stands for, or empty: all 1.
/// \param out       [T', C], disjoint from x.  \param out_sizes [T'], disjoint from sizes, or empty: not wanted.
/// \throws Error as plan.check(), kShapeMismatch, kBadStride.
/// Numerics: one FMA chain a channel in the order of the row; a token alone is copied.
/// Determinism: same bits for any thread count and ISA.
void merge_tokens(Context& ctx, const MergePlan& plan, View<const float, 2> x, View<const float, 1> sizes,
                  View<float, 2> out, View<float, 1> out_sizes);

/// The row that each original token is in after one plan more. \param groups [T0], its row before (0, 1, ... at the start)
/// or kDropped; in and out.
void follow(const MergePlan& plan, View<std::int32_t, 1> groups);

/// A row for every original token again: a copy of the one that it is in, 0 for a dropped one.
/// \param groups [T0] of follow().  \param x [T', C].  \param out [T0, C].  \throws Error kShapeMismatch, kBadArgument.
void unmerge(Context& ctx, View<const std::int32_t, 1> groups, View<const float, 2> x, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/merge-inl.hpp>
#endif
