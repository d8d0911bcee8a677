// Token merging and pruning between the halves of a stack's layers: policies of published methods, and what they leave.
#pragma once
#include <functional>
#include <vector>

#include <tessera/ops/block.hpp>
#include <tessera/ops/merge.hpp>

namespace tessera::models {

/// What a policy sees of one sequence: after attention and its residual, before the MLP.
struct MergeInputs {
  index_t layer = 0, layers = 0;
  index_t prefix = 0;               ///< class and register tokens, which stay first
  View<const float, 2> x = {};      ///< [T, C]
  View<const float, 3> q, k, v;     ///< [T, H or Hkv, D] of this layer
  View<const float, 1> sizes = {};  ///< [T] tokens that each stands for, or empty: all 1
  const ops::BlockConfig* config = nullptr;
};

/// Chooses what becomes of the tokens of one sequence. Called for each, by several threads at a time; the plan may depend on
/// nothing else than its inputs, or the bits would depend on the batch.
using MergePolicy = std::function<ops::MergePlan(Context& ctx, const MergeInputs& in)>;

/// Tokens that go in each layer, as ToMe's parse_r: the same r everywhere; or, with `inflect`, linear from r (1 - inflect)
/// in the first layer to r (1 + inflect) in the last one, each rounded down (-1: 2 r falling to 0); or a list, 0 beyond its
/// end.
class MergeSchedule {
 public:
  /// \throws Error kBadArgument unless r >= 0 and -1 <= inflect <= 1.
  MergeSchedule(index_t r, double inflect = 0);
  MergeSchedule(std::vector<index_t> per_layer);
  index_t at(index_t layer, index_t layers) const;

 private:
  std::vector<index_t> list_;
  bool listed_ = false;
  index_t r_ = 0;
  double inflect_ = 0;
};

/// ToMe: bipartite soft matching of keys, size-weighted mean. Without prefix tokens those that stay are in order of
/// similarity, as in the authors' code. Source: Bolya et al., arXiv:2210.09461.
MergePolicy tome(const MergeSchedule& r);
/// PiToMe: of T tokens without the prefix, ceil(keep T) stay; margin (1 - layer / layers) as in section 3.2.
/// \param keep in [0.5, 1].  Source: Tran et al., arXiv:2405.16148.
MergePolicy pitome(double keep, double margin = 0.9);
/// ToFu: ToMe's matching; the first `prune_layers` layers drop the sources, later ones merge and keep the norm (MLERP).
/// Source: Kim et al., Token Fusion, arXiv:2312.01026, section 3.
MergePolicy tofu(const MergeSchedule& r, index_t prune_layers);
/// EViT: in the layers named, ceil(keep T) of the T tokens after the prefix stay by attention of the class token; the others
/// become one, weighed by it. Source: Liang et al., arXiv:2202.07800.
MergePolicy evit(double keep, std::vector<index_t> layers);
/// Drops r random tokens a layer; the same ones of every sequence of as many tokens.
MergePolicy random_pruning(const MergeSchedule& r, std::uint64_t seed);
/// Drops the r tokens of the smallest scores in each layer. DynamicViT: scores of its predictor, order by score.
/// \param score fills [T].
MergePolicy importance_pruning(const MergeSchedule& r,
                               std::function<void(Context&, const MergeInputs&, View<float, 1> scores)> score,
                               ops::MergeOrder order = ops::MergeOrder::position);

/// Attention of the first token to each token of its sequence, mean over heads; a score for pruning.
/// \param out [T], sums to 1.
void class_attention(Context& ctx, const MergeInputs& in, View<float, 1> out);

/// AIM's merge before a language model: `rounds` times bipartite matching of the features themselves, plain mean, round i
/// merging N / 2^(i+1) of the N tokens; what stays is in order of similarity.
/// \param x [N, C].  \param out [at least what is left, C], disjoint from x.  \return rows written.
/// Source: Zhong et al., AIM, arXiv:2412.03248, section 3.1.
index_t aim_merge(Context& ctx, View<const float, 2> x, int rounds, View<float, 2> out);

/// How a stack merges.
struct TokenMerging {
  MergePolicy policy;
  bool proportional_attention = true;  ///< a merged key counts as often as it stands for tokens (ToMe, section 3.2)
  index_t prefix = 0;                  ///< tokens that stay first; an image model knows its own
  bool keep_layers = false;            ///< MergedTokens::layers is wanted
};

/// What is left of a batch after the last layer.
struct MergedTokens {
  std::vector<index_t> cu_seqlens;                ///< [B + 1] of the rows that are left
  std::vector<float> sizes;                       ///< [sum T'] tokens that each row stands for
  std::vector<std::int32_t> groups;               ///< [sum T] row of its sequence that a token is in, or ops::kDropped
  std::vector<std::vector<std::int32_t>> layers;  ///< the same after each layer

  View<const index_t, 1> offsets() const noexcept {
    return View<const index_t, 1>(cu_seqlens.data(), static_cast<index_t>(cu_seqlens.size()));
  }
  View<const float, 1> weights() const noexcept {
    return View<const float, 1>(sizes.data(), static_cast<index_t>(sizes.size()));
  }
};

/// Multiplications and additions of the products of one layer.
struct LayerFlops {
  double qkv = 0, attention = 0, attention_out = 0, mlp_in = 0, mlp_out = 0;
  double total() const noexcept { return qkv + attention + attention_out + mlp_in + mlp_out; }
};
/// Of one sequence: attention over so many tokens, the MLP over so many.
LayerFlops layer_flops(const ops::BlockConfig& config, index_t attention_tokens, index_t mlp_tokens);

namespace detail {

/// The tokens of one group of sequences on their way through the layers of Transformer::run_group.
class MergingGroup {
 public:
  /// Carves what it needs: queries, keys and values, a second place for tokens, sizes. A counting arena measures.
  MergingGroup(Arena& arena, const ops::BlockConfig& config, index_t tokens);
  /// \param first where this group's tokens begin in `result`, which has room for all tokens of all groups.
  void begin(const TokenMerging& merging, const ops::BlockConfig& config, index_t layers, RaggedBatch& batch,
             MergedTokens& result, index_t first);
  /// Where attention leaves queries, keys and values of so many tokens.
  View<float, 2> qkv(index_t tokens) const { return qkv_.slice(0, tokens); }
  /// Merges after attention; cu [sequences + 1], positions and `batch` are brought up to date. \return what is left of x.
  View<float, 2> step(Context& ctx, index_t layer, RaggedBatch& batch, index_t* cu, std::int32_t* positions,
                      View<float, 2> x);
  /// After the last layer: sizes go to the result.
  void end(index_t tokens);

 private:
  ops::MergePlan plan(Context& ctx, index_t layer, View<const float, 2> x, View<const float, 2> qkv,
                      View<const float, 1> sizes) const;

  const TokenMerging* merging_ = nullptr;
  const ops::BlockConfig* config_ = nullptr;
  MergedTokens* result_ = nullptr;
  index_t layers_ = 0, first_ = 0;
  View<float, 2> qkv_, other_;
  std::vector<index_t> begins_;  // of the original tokens of each sequence
  float *sizes_ = nullptr, *other_sizes_ = nullptr;
  bool weighted_ = false;  // sizes other than 1 may be there
};

}  // namespace detail

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/token_merging-inl.hpp>
#endif
