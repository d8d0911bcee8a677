#pragma once
#include <algorithm>
#include <numeric>
#include <utility>

#include <tessera/core/buffer.hpp>
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/merge.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::ops {

inline MergePlan MergePlan::identity(index_t tokens) {
  MergePlan plan;
  plan.rows.resize(static_cast<std::size_t>(tokens));
  std::iota(plan.rows.begin(), plan.rows.end(), 0);
  plan.into = plan.rows;
  return plan;
}

inline void MergePlan::check() const {
  const auto t = static_cast<std::int32_t>(into.size());
  const auto bad = [](const char* sentence) { detail::fail(Code::kBadArgument, "merge plan", sentence); };
  std::vector<bool> is_row(into.size());
  for (const std::int32_t row : rows) {
    if (row < 0 || row >= t) bad("a row starts with a token that does not exist");
    if (is_row[static_cast<std::size_t>(row)]) bad("two rows start with the same token");
    if (into[static_cast<std::size_t>(row)] != row) bad("a row's first token joins another");
    is_row[static_cast<std::size_t>(row)] = true;
  }
  for (const std::int32_t to : into)
    if (to != kDropped && (to < 0 || to >= t || !is_row[static_cast<std::size_t>(to)]))
      bad("a token joins one that starts no row");
  if (mode == MergeMode::combine ? coefficients.size() != into.size() : !coefficients.empty())
    bad("coefficients go with MergeMode::combine, one a token");
}

namespace detail {

/// Tokens of rows, one row after the other: row i is token[first[i]] .. token[first[i + 1] - 1].
struct MergeMembers {
  std::vector<index_t> first;
  std::vector<std::int32_t> token;

  explicit MergeMembers(const MergePlan& plan) : first(plan.rows.size() + 1) {
    std::vector<std::int32_t> row_of(plan.into.size());
    for (std::size_t i = 0; i < plan.rows.size(); ++i)
      row_of[static_cast<std::size_t>(plan.rows[i])] = static_cast<std::int32_t>(i);
    const auto row = [&](std::int32_t to) { return static_cast<std::size_t>(row_of[static_cast<std::size_t>(to)]); };
    for (const std::int32_t to : plan.into)
      if (to != kDropped) ++first[row(to) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    token.resize(static_cast<std::size_t>(first.back()));
    std::vector<index_t> at(first.begin(), first.end() - 1);
    for (const std::int32_t to : plan.rows) token[static_cast<std::size_t>(at[row(to)]++)] = to;
    for (std::size_t t = 0; t < plan.into.size(); ++t) {
      const std::int32_t to = plan.into[t];
      if (to != kDropped && to != static_cast<std::int32_t>(t))
        token[static_cast<std::size_t>(at[row(to)]++)] = static_cast<std::int32_t>(t);
    }
  }
};

/// Rows of b as the tiles of matching read them.
inline Buffer pack_for_match(Context& ctx, View<const float, 2> b) {
  const index_t slices = (b.extent[0] + kernels::kSlice - 1) / kernels::kSlice;
  Buffer packed(static_cast<std::size_t>(slices * kernels::kSlice * b.extent[1]) * sizeof(float));
  table<kernels::GemmTable>(ctx).pack(b.data, b.stride[0], b.extent[0], b.extent[1], 0, slices, packed.as<float>());
  return packed;
}

/// Every second row from `first` on.
inline View<const float, 2> every_second(View<const float, 2> x, index_t first) {
  View<const float, 2> v = x.slice(std::min(first, x.extent[0]), x.extent[0]);
  v.extent[0] = (v.extent[0] + 1) / 2, v.stride[0] = 2 * x.stride[0];
  return v;
}

/// 0 .. n-1 by descending score, NaN last, lower numbers first among equals.
inline std::vector<std::int32_t> best_first(View<const float, 1> scores) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(scores.extent[0]));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    const float x = scores(a), y = scores(b);
    if (x > y || y > x) return x > y;
    const bool x_is_nan = x != x, y_is_nan = y != y;
    return x_is_nan != y_is_nan ? y_is_nan : a < b;
  });
  return order;
}

inline void check_metric(const char* op, View<const float, 2> metric, index_t r, index_t prefix) {
  expect_rows(op, metric);
  if (r < 0 || prefix < 0) fail(Code::kBadArgument, op, "r and prefix must not be negative");
}

inline std::int32_t token(index_t t) { return static_cast<std::int32_t>(t); }

}  // namespace detail

inline void key_metric(Context& ctx, View<const float, 3> k, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "key_metric";
  expect(kOp, "rows of out", out.extent[0], k.extent[0]);
  expect(kOp, "channels of out", out.extent[1], k.extent[2]);
  expect_rows(kOp, k), expect_rows(kOp, out);
  if (!out.packed()) fail(Code::kBadStride, kOp, "out must be packed");
  if (k.extent[1] < 1) fail(Code::kShapeMismatch, kOp, "keys of no head");
  const auto head_sum = table<kernels::MergeTable>(ctx).head_sum;
  for_rows(ctx, k.extent[0], 64, [&](index_t t0, index_t t1) {
    head_sum(k.data, k.stride[0], k.stride[1], k.extent[1], k.extent[2], t0, t1, out.data);
  });
  l2_normalize(ctx, out, out);
}

inline void nearest(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<std::int32_t, 1> index,
                    View<float, 1> score) {
  using namespace detail;
  constexpr const char* kOp = "nearest";
  expect(kOp, "channels of b", b.extent[1], a.extent[1]);
  expect(kOp, "indices", index.extent[0], a.extent[0]);
  expect(kOp, "scores", score.extent[0], a.extent[0]);
  expect_rows(kOp, a), expect_rows(kOp, b), expect_rows(kOp, index), expect_rows(kOp, score);
  if (b.extent[0] < 1) fail(Code::kShapeMismatch, kOp, "b has no rows");
  const Buffer packed = pack_for_match(ctx, b);
  const kernels::MatchArgs args{a.data, a.stride[0], packed.as<float>(), b.extent[0], b.extent[1]};
  const auto kernel = table<kernels::MergeTable>(ctx).nearest;
  for_rows(ctx, a.extent[0], 48, [&](index_t m0, index_t m1) { kernel(args, m0, m1, index.data, score.data); });
}

inline MergePlan bipartite_merge(Context& ctx, View<const float, 2> metric, index_t r, index_t prefix, MergeOrder order) {
  using namespace detail;
  check_metric("bipartite_merge", metric, r, prefix);
  const index_t t = metric.extent[0];
  prefix = std::min(prefix, t);
  r = std::min(r, (t - prefix) / 2);
  MergePlan plan = MergePlan::identity(t);
  if (r == 0) return plan;
  // Free tokens alone take part, so that no score needs to be ruled out.
  const index_t even = prefix + prefix % 2, odd = prefix + 1 - prefix % 2;
  const View<const float, 2> a = every_second(metric, even), b = every_second(metric, odd);
  std::vector<std::int32_t> to(static_cast<std::size_t>(a.extent[0]));
  std::vector<float> score(to.size());
  const View<float, 1> scores(score.data(), a.extent[0]);
  nearest(ctx, a, b, View<std::int32_t, 1>(to.data(), a.extent[0]), scores);
  const std::vector<std::int32_t> best = best_first(scores);
  const auto place = [&](std::int32_t i) { return token(even + 2 * i); };
  for (std::size_t i = 0; i < static_cast<std::size_t>(r); ++i)
    plan.into[static_cast<std::size_t>(place(best[i]))] = token(odd + 2 * to[static_cast<std::size_t>(best[i])]);
  plan.rows.resize(static_cast<std::size_t>(prefix));
  if (order == MergeOrder::position) {
    for (index_t i = even; i < t; i += 2)
      if (plan.into[static_cast<std::size_t>(i)] == i) plan.rows.push_back(token(i));
  } else {
    for (std::size_t i = static_cast<std::size_t>(r); i < best.size(); ++i) plan.rows.push_back(place(best[i]));
  }
  for (index_t i = odd; i < t; i += 2) plan.rows.push_back(token(i));
  return plan;
}

inline MergePlan energy_merge(Context& ctx, View<const float, 2> metric, index_t r, float margin, index_t prefix) {
  using namespace detail;
  check_metric("energy_merge", metric, r, prefix);
  const index_t t = metric.extent[0], d = metric.extent[1];
  prefix = std::min(prefix, t);
  r = std::min(r, (t - prefix) / 2);
  MergePlan plan = MergePlan::identity(t);
  if (r == 0) return plan;
  const View<const float, 2> free = metric.slice(prefix, t);
  const Buffer packed = pack_for_match(ctx, free);
  const kernels::MatchArgs args{free.data, free.stride[0], packed.as<float>(), t - prefix, d};
  std::vector<float> energy(static_cast<std::size_t>(t - prefix));
  const auto kernel = table<kernels::MergeTable>(ctx).energy;
  for_rows(ctx, t - prefix, 48, [&](index_t m0, index_t m1) { kernel(args, margin, m0, m1, energy.data()); });
  const std::vector<std::int32_t> best = best_first(View<const float, 1>(energy.data(), t - prefix));
  const auto place = [&](index_t i) { return token(prefix + best[static_cast<std::size_t>(i)]); };

  std::vector<float> pairs(static_cast<std::size_t>(2 * r * d));  // every second one: looking, looked at
  for (index_t i = 0; i < 2 * r; ++i) std::copy_n(metric.data + place(i) * metric.stride[0], d, pairs.begin() + i * d);
  const View<const float, 2> chosen(pairs.data(), 2 * r, d);
  std::vector<std::int32_t> to(static_cast<std::size_t>(r));
  std::vector<float> score(to.size());
  nearest(ctx, every_second(chosen, 0), every_second(chosen, 1), View<std::int32_t, 1>(to.data(), r),
          View<float, 1>(score.data(), r));
  for (index_t i = 0; i < r; ++i)
    plan.into[static_cast<std::size_t>(place(2 * i))] = place(2 * to[static_cast<std::size_t>(i)] + 1);
  plan.rows.resize(static_cast<std::size_t>(prefix));
  for (index_t i = 2 * r; i < t - prefix; ++i) plan.rows.push_back(place(i));
  for (index_t i = 0; i < r; ++i) plan.rows.push_back(place(2 * i + 1));
  return plan;
}

inline MergePlan keep_top(View<const float, 1> scores, index_t keep, index_t prefix, MergeOrder order) {
  using namespace detail;
  expect_rows("keep_top", scores);
  if (keep < 0 || prefix < 0) fail(Code::kBadArgument, "keep_top", "keep and prefix must not be negative");
  const index_t t = scores.extent[0];
  prefix = std::min(prefix, t), keep = std::min(keep, t - prefix);
  std::vector<std::int32_t> best = best_first(scores.slice(prefix, t));
  best.resize(static_cast<std::size_t>(keep));
  if (order == MergeOrder::position) std::sort(best.begin(), best.end());
  MergePlan plan = MergePlan::identity(t);
  plan.mode = MergeMode::keep;
  plan.rows.resize(static_cast<std::size_t>(prefix));
  std::fill(plan.into.begin() + prefix, plan.into.end(), kDropped);
  for (const std::int32_t i : best) {
    plan.rows.push_back(token(prefix + i));
    plan.into[static_cast<std::size_t>(prefix + i)] = token(prefix + i);
  }
  return plan;
}

inline MergePlan keep_random(index_t tokens, index_t keep, index_t prefix, std::uint64_t seed) {
  // Scores of 24 random bits (splitmix64), the same on every machine; a tie goes to the earlier token.
  std::vector<float> scores(static_cast<std::size_t>(tokens));
  for (float& score : scores) {
    std::uint64_t z = seed += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    score = static_cast<float>((z ^ (z >> 31)) >> 40);
  }
  return keep_top(View<const float, 1>(scores.data(), tokens), keep, prefix);
}

inline MergePlan fuse_dropped(MergePlan plan, View<const float, 1> weights) {
  detail::expect("fuse_dropped", "weights", weights.extent[0], plan.tokens());
  const auto first = std::find(plan.into.begin(), plan.into.end(), kDropped);
  if (first == plan.into.end()) return plan;
  const auto fused = static_cast<std::int32_t>(first - plan.into.begin());
  plan.mode = MergeMode::combine;
  plan.coefficients.assign(plan.into.size(), 1.f);
  for (std::size_t t = 0; t < plan.into.size(); ++t)
    if (plan.into[t] == kDropped) plan.into[t] = fused, plan.coefficients[t] = weights(static_cast<index_t>(t));
  plan.rows.push_back(fused);
  return plan;
}

inline void merge_tokens(Context& ctx, const MergePlan& plan, View<const float, 2> x, View<const float, 1> sizes,
                         View<float, 2> out, View<float, 1> out_sizes) {
  using namespace detail;
  constexpr const char* kOp = "merge_tokens";
  plan.check();
  expect(kOp, "tokens", x.extent[0], plan.tokens());
  expect(kOp, "rows of out", out.extent[0], plan.size());
  expect(kOp, "channels of out", out.extent[1], x.extent[1]);
  expect_rows(kOp, x), expect_rows(kOp, out);
  if (sizes.data) expect(kOp, "sizes", sizes.extent[0], plan.tokens()), expect_rows(kOp, sizes);
  if (out_sizes.data) expect(kOp, "out_sizes", out_sizes.extent[0], plan.size()), expect_rows(kOp, out_sizes);
  const MergeMembers members(plan);
  const float* weights = plan.mode == MergeMode::combine ? plan.coefficients.data() : sizes.data;
  const auto merge = table<kernels::MergeTable>(ctx).merge;
  for_rows(ctx, plan.size(), 64, [&](index_t i0, index_t i1) {
    for (index_t i = i0; i < i1; ++i) {
      const auto row = static_cast<std::size_t>(i);
      const std::int32_t* tokens = members.token.data() + members.first[row];
      float size = merge(plan.mode, x.data, x.stride[0], tokens, weights, members.first[row + 1] - members.first[row],
                         x.extent[1], out.data + i * out.stride[0]);
      if (plan.mode == MergeMode::combine) size = sizes.data ? sizes(*tokens) : 1.f;
      if (out_sizes.data) out_sizes(i) = size;
    }
  });
}

inline void follow(const MergePlan& plan, View<std::int32_t, 1> groups) {
  std::vector<std::int32_t> row_of(plan.into.size(), kDropped);
  for (std::size_t i = 0; i < plan.rows.size(); ++i)
    row_of[static_cast<std::size_t>(plan.rows[i])] = static_cast<std::int32_t>(i);
  for (index_t t = 0; t < groups.extent[0]; ++t) {
    std::int32_t& group = groups(t);
    if (group == kDropped) continue;
    if (group < 0 || group >= plan.tokens())
      detail::fail(Code::kBadArgument, "follow", "a group is not a token of the plan");
    const std::int32_t to = plan.into[static_cast<std::size_t>(group)];
    group = to == kDropped ? kDropped : row_of[static_cast<std::size_t>(to)];
  }
}

inline void unmerge(Context& ctx, View<const std::int32_t, 1> groups, View<const float, 2> x, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "unmerge";
  expect(kOp, "rows of out", out.extent[0], groups.extent[0]);
  expect(kOp, "channels of out", out.extent[1], x.extent[1]);
  expect_rows(kOp, x), expect_rows(kOp, out);
  for (index_t t = 0; t < groups.extent[0]; ++t)
    if (groups(t) != kDropped && (groups(t) < 0 || groups(t) >= x.extent[0]))
      fail(Code::kBadArgument, kOp, "a group is not a row of x");
  const auto bytes = static_cast<std::size_t>(x.extent[1]) * sizeof(float);
  for_rows(ctx, groups.extent[0], 64, [&](index_t t0, index_t t1) {
    for (index_t t = t0; t < t1; ++t) {
      float* row = out.data + t * out.stride[0];
      if (groups(t) == kDropped)
        std::fill_n(row, x.extent[1], 0.f);
      else
        __builtin_memcpy(row, x.data + groups(t) * x.stride[0], bytes);
    }
  });
}

}  // namespace tessera::ops
