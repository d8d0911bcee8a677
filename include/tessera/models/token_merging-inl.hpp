#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <tessera/core/fp_mode.hpp>
#include <tessera/models/token_merging.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

inline MergeSchedule::MergeSchedule(index_t r, double inflect) : r_(r), inflect_(inflect) {
  if (r < 0 || !(inflect >= -1 && inflect <= 1))
    throw Error(Code::kBadArgument, "merge schedule: r must not be negative, inflect within -1 and 1");
}
inline MergeSchedule::MergeSchedule(std::vector<index_t> per_layer) : list_(std::move(per_layer)), listed_(true) {
  for (const index_t r : list_)
    if (r < 0) throw Error(Code::kBadArgument, "merge schedule: r must not be negative");
}
inline index_t MergeSchedule::at(index_t layer, index_t layers) const {
  if (listed_) return layer < static_cast<index_t>(list_.size()) ? list_[static_cast<std::size_t>(layer)] : 0;
  if (inflect_ == 0 || layers < 2) return r_;
  const FpModeScope mode;  // a caller that rounds up, or a compiler that fuses product and sum, would get another number
  volatile double lowest = static_cast<double>(r_) * (1 - inflect_);
  const auto first = static_cast<index_t>(lowest);
  volatile double step = static_cast<double>(2 * r_ - first - first) / static_cast<double>(layers - 1);
  volatile double risen = step * static_cast<double>(layer);
  return std::max<index_t>(0, static_cast<index_t>(static_cast<double>(first) + risen));
}

namespace detail {

/// Keys of a sequence as policies compare them.
struct KeyMetric {
  std::vector<float> memory;
  View<float, 2> rows;
  KeyMetric(Context& ctx, const MergeInputs& in)
      : memory(static_cast<std::size_t>(in.k.extent[0] * in.k.extent[2])),
        rows(memory.data(), in.k.extent[0], in.k.extent[2]) {
    ops::key_metric(ctx, in.k, rows);
  }
};

inline ops::MergePlan bipartite(Context& ctx, const MergeInputs& in, index_t r) {
  if (r == 0) return ops::MergePlan::identity(in.x.extent[0]);
  const auto order = in.prefix > 0 ? ops::MergeOrder::position : ops::MergeOrder::score;
  return ops::bipartite_merge(ctx, KeyMetric(ctx, in).rows, r, in.prefix, order);
}

inline index_t free_tokens(const MergeInputs& in) { return std::max<index_t>(0, in.x.extent[0] - in.prefix); }

/// ceil(share * n): how many of n tokens stay.
inline index_t share_of(double share, index_t n) { return static_cast<index_t>(std::ceil(share * static_cast<double>(n))); }

inline void expect_share(const char* policy, double keep, double least) {
  if (!(keep >= least && keep <= 1))
    throw Error(Code::kBadArgument, {policy, ": keep is a share from ", least > 0 ? "0.5" : "0", " to 1"});
}

}  // namespace detail

inline MergePolicy tome(const MergeSchedule& r) {
  return [r](Context& ctx, const MergeInputs& in) { return detail::bipartite(ctx, in, r.at(in.layer, in.layers)); };
}

inline MergePolicy pitome(double keep, double margin) {
  detail::expect_share("pitome", keep, 0.5);
  return [=](Context& ctx, const MergeInputs& in) {
    const index_t n = detail::free_tokens(in), r = n - detail::share_of(keep, n);
    if (r == 0) return ops::MergePlan::identity(in.x.extent[0]);
    const double falling = margin * static_cast<double>(in.layers - in.layer) / static_cast<double>(in.layers);
    return ops::energy_merge(ctx, detail::KeyMetric(ctx, in).rows, r, static_cast<float>(falling), in.prefix);
  };
}

inline MergePolicy tofu(const MergeSchedule& r, index_t prune_layers) {
  return [=](Context& ctx, const MergeInputs& in) {
    ops::MergePlan plan = detail::bipartite(ctx, in, r.at(in.layer, in.layers));
    plan.mode = in.layer < prune_layers ? MergeMode::keep : MergeMode::norm_preserving;
    return plan;
  };
}

inline void class_attention(Context& ctx, const MergeInputs& in, View<float, 1> out) {
  const index_t t = in.k.extent[0], heads = in.q.extent[1], dv = in.v.extent[2];
  std::vector<float> context(static_cast<std::size_t>(heads * dv)), rows(static_cast<std::size_t>(heads * t));
  const index_t cu_q[] = {0, 1}, cu_k[] = {0, t}, cu_heads[] = {0, heads};
  ops::AttentionParams params = in.config->attention;
  params.key_weights = in.sizes;
  params.probabilities = View<float, 3>(rows.data(), heads, 1, t);
  ops::attention(ctx, in.q.slice(0, 1), in.k, in.v, View<const index_t, 1>(cu_q, 2), View<const index_t, 1>(cu_k, 2), params,
                 View<float, 3>(context.data(), 1, heads, dv));
  ops::pool(ctx, ops::Pooling::mean, View<const float, 2>(rows.data(), heads, t), View<const index_t, 1>(cu_heads, 2), {},
            View<float, 2>(out.data, 1, t));
}

inline MergePolicy evit(double keep, std::vector<index_t> layers) {
  detail::expect_share("evit", keep, 0);
  return [keep, layers = std::move(layers)](Context& ctx, const MergeInputs& in) {
    const index_t t = in.x.extent[0], n = detail::free_tokens(in), stay = detail::share_of(keep, n);
    if (stay == n || std::find(layers.begin(), layers.end(), in.layer) == layers.end()) return ops::MergePlan::identity(t);
    std::vector<float> attention(static_cast<std::size_t>(t));
    const View<float, 1> scores(attention.data(), t);
    class_attention(ctx, in, scores);
    return ops::fuse_dropped(ops::keep_top(scores, stay, in.prefix, ops::MergeOrder::score), scores);
  };
}

inline MergePolicy random_pruning(const MergeSchedule& r, std::uint64_t seed) {
  return [=](Context&, const MergeInputs& in) {
    const index_t n = detail::free_tokens(in), drop = std::min(n, r.at(in.layer, in.layers));
    if (drop == 0) return ops::MergePlan::identity(in.x.extent[0]);
    return ops::keep_random(in.x.extent[0], n - drop, in.prefix, seed + static_cast<std::uint64_t>(in.layer));
  };
}

inline MergePolicy importance_pruning(const MergeSchedule& r,
                                      std::function<void(Context&, const MergeInputs&, View<float, 1>)> score,
                                      ops::MergeOrder order) {
  return [r, score = std::move(score), order](Context& ctx, const MergeInputs& in) {
    const index_t t = in.x.extent[0], n = detail::free_tokens(in), drop = std::min(n, r.at(in.layer, in.layers));
    if (drop == 0) return ops::MergePlan::identity(t);
    std::vector<float> scores(static_cast<std::size_t>(t));
    score(ctx, in, View<float, 1>(scores.data(), t));
    return ops::keep_top(View<const float, 1>(scores.data(), t), n - drop, in.prefix, order);
  };
}

inline index_t aim_merge(Context& ctx, View<const float, 2> x, int rounds, View<float, 2> out) {
  const index_t c = x.extent[1];
  index_t n = x.extent[0], r = n / 2;
  std::vector<float> now(static_cast<std::size_t>(n * c)), unit(now.size());
  for (index_t t = 0; t < n; ++t) std::copy_n(x.data + t * x.stride[0], c, now.begin() + t * c);
  for (int round = 0; round < rounds; ++round, r /= 2) {
    const View<float, 2> tokens(now.data(), n, c), metric(unit.data(), n, c);
    ops::l2_normalize(ctx, tokens, metric);
    ops::MergePlan plan = ops::bipartite_merge(ctx, metric, r, 0, ops::MergeOrder::score);
    plan.mode = MergeMode::mean;
    std::vector<float> next(static_cast<std::size_t>(plan.size() * c));
    ops::merge_tokens(ctx, plan, tokens, {}, View<float, 2>(next.data(), plan.size(), c), {});
    now = std::move(next);
    n = plan.size();
  }
  if (out.extent[0] < n || out.extent[1] != c || (c > 1 && out.stride[1] != 1))
    throw Error(Code::kShapeMismatch,
                {"aim_merge: out must be [", std::to_string(n), " or more, ", std::to_string(c), "] with packed rows"});
  for (index_t t = 0; t < n; ++t) std::copy_n(now.begin() + t * c, c, out.data + t * out.stride[0]);
  return n;
}

inline LayerFlops layer_flops(const ops::BlockConfig& b, index_t attention_tokens, index_t mlp_tokens) {
  const auto c = static_cast<double>(b.channels), d = static_cast<double>(b.head_dim), h = static_cast<double>(b.heads),
             kv = static_cast<double>(b.kv_heads), f = static_cast<double>(b.mlp_width),
             t = static_cast<double>(attention_tokens), m = static_cast<double>(mlp_tokens);
  return {.qkv = 2 * t * c * d * (h + 2 * kv),
          .attention = (b.attention.causal ? 2 * t * (t + 1) : 4 * t * t) * h * d,
          .attention_out = 2 * t * c * h * d,
          .mlp_in = 2 * m * c * f * (b.glu ? 2 : 1),
          .mlp_out = 2 * m * c * f};
}

namespace detail {

inline MergingGroup::MergingGroup(Arena& arena, const ops::BlockConfig& b, index_t tokens)
    : qkv_(arena.carve2<float>(tokens, (b.heads + 2 * b.kv_heads) * b.head_dim)),
      other_(arena.carve2<float>(tokens, b.channels)),
      sizes_(arena.carve<float>(tokens)),
      other_sizes_(arena.carve<float>(tokens)) {}

inline void MergingGroup::begin(const TokenMerging& merging, const ops::BlockConfig& config, index_t layers,
                                RaggedBatch& batch, MergedTokens& result, index_t first) {
  merging_ = &merging, config_ = &config, layers_ = layers, result_ = &result, first_ = first;
  const index_t tokens = batch.tokens();
  weighted_ = batch.key_weights.data != nullptr;
  for (index_t t = 0; t < tokens; ++t) sizes_[t] = weighted_ ? batch.key_weights(t) : 1.f;
  for (index_t b = 0; b < batch.sequences(); ++b) {
    begins_.push_back(batch.begin(b));
    for (index_t t = 0; t < batch.length(b); ++t)
      result.groups[static_cast<std::size_t>(first + batch.begin(b) + t)] = static_cast<std::int32_t>(t);
  }
  begins_.push_back(tokens);
}

inline ops::MergePlan MergingGroup::plan(Context& ctx, index_t layer, View<const float, 2> x, View<const float, 2> qkv,
                                         View<const float, 1> sizes) const {
  if (x.extent[0] == 0) return {};
  const ops::BlockConfig& c = *config_;
  MergeInputs in;
  in.layer = layer, in.layers = layers_, in.prefix = merging_->prefix, in.x = x, in.config = config_;
  in.q = ops::heads_of(qkv, 0, c.heads, c.head_dim);
  in.k = ops::heads_of(qkv, c.heads, c.kv_heads, c.head_dim);
  in.v = ops::heads_of(qkv, c.heads + c.kv_heads, c.kv_heads, c.head_dim);
  if (weighted_) in.sizes = sizes;
  ops::MergePlan plan = merging_->policy(ctx, in);
  plan.check();
  if (plan.tokens() != x.extent[0] || plan.size() < std::min<index_t>(x.extent[0], std::max<index_t>(1, in.prefix)))
    throw Error(Code::kBadArgument, "token merging: the plan is for another number of tokens, or leaves none");
  for (index_t t = 0; t < std::min(in.prefix, plan.size()); ++t)
    if (plan.rows[static_cast<std::size_t>(t)] != t)
      throw Error(Code::kBadArgument, "token merging: the plan moves a class or register token");
  return plan;
}

inline View<float, 2> MergingGroup::step(Context& ctx, index_t layer, RaggedBatch& batch, index_t* cu,
                                         std::int32_t* positions, View<float, 2> x) {
  const FpModeScope mode;  // for what policies compute themselves
  const index_t sequences = batch.sequences();
  const auto all = qkv(x.extent[0]);
  const View<float, 1> sizes(sizes_, x.extent[0]);
  std::vector<ops::MergePlan> plans;
  bool changes = false;
  for (index_t b = 0; b < sequences; ++b) {
    const index_t t0 = cu[b], t1 = cu[b + 1];
    plans.push_back(plan(ctx, layer, x.slice(t0, t1), all.slice(t0, t1), sizes.slice(t0, t1)));
    const ops::MergePlan& p = plans.back();
    changes =
        changes || p.size() != p.tokens() || p.mode == MergeMode::combine || !std::is_sorted(p.rows.begin(), p.rows.end());
  }
  index_t next = 0;
  for (index_t b = 0; changes && b < sequences; ++b) {
    const ops::MergePlan& p = plans[static_cast<std::size_t>(b)];
    const index_t t0 = cu[b], t1 = cu[b + 1], end = next + p.size();
    ops::merge_tokens(ctx, p, x.slice(t0, t1), sizes.slice(t0, t1), other_.slice(next, end),
                      View<float, 1>(other_sizes_ + next, p.size()));
    std::vector<std::int32_t> kept;
    for (const std::int32_t row : p.rows) kept.push_back(positions[t0 + row]);
    std::copy(kept.begin(), kept.end(), positions + next);
    const auto at = static_cast<std::size_t>(b);
    ops::follow(p, View<std::int32_t, 1>(result_->groups.data() + first_ + begins_[at], begins_[at + 1] - begins_[at]));
    cu[b] = next;
    next = end;
  }
  if (changes) {
    cu[sequences] = next;
    View<float, 2> merged = other_.slice(0, next);
    other_.data = x.data;
    x = merged;
    std::swap(sizes_, other_sizes_);
    weighted_ = true;
    batch.positions.extent[1] = next;
    if (merging_->proportional_attention) batch.key_weights = View<const float, 1>(sizes_, next);
  }
  if (merging_->keep_layers) {
    auto& kept = result_->layers[static_cast<std::size_t>(layer)];
    const index_t original = begins_.back();
    std::copy_n(result_->groups.begin() + first_, original, kept.begin() + first_);
  }
  return x;
}

inline void MergingGroup::end(index_t tokens) { std::copy_n(sizes_, tokens, result_->sizes.begin() + first_); }

}  // namespace detail

}  // namespace tessera::models
