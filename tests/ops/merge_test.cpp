#include <tessera/ops/merge.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <tessera/io.hpp>
#include <tessera/models/token_merging.hpp>
#include <tessera/ops/norm.hpp>
#include "reference/merge.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;
using Rows = std::vector<std::vector<index_t>>;

struct Merge : OpsTest {};
TESSERA_ON_EVERY_ISA(Merge);

constexpr MergeMode kModes[] = {MergeMode::weighted_mean,   MergeMode::mean, MergeMode::sum,    MergeMode::max,
                                MergeMode::norm_preserving, MergeMode::keep, MergeMode::combine};

/// The tokens of each row, the destination first, the others ascending.
Rows rows_of(const ops::MergePlan& plan) {
  Rows rows;
  for (const std::int32_t d : plan.rows) {
    rows.push_back({d});
    for (index_t t = 0; t < plan.tokens(); ++t)
      if (t != d && plan.into[static_cast<std::size_t>(t)] == d) rows.back().push_back(t);
  }
  return rows;
}
View<const float, 1> view(const std::vector<float>& v) {
  return View<const float, 1>(v.data(), static_cast<index_t>(v.size()));
}
/// 31 tokens in rows of 1 to 4, some dropped, in no order.
ops::MergePlan mixed_plan(MergeMode mode) {
  ops::MergePlan plan;
  plan.mode = mode;
  plan.into.assign(31, ops::kDropped);
  const auto join = [&](std::initializer_list<std::int32_t> tokens) {
    plan.rows.push_back(*tokens.begin());
    for (const std::int32_t t : tokens) plan.into[static_cast<std::size_t>(t)] = *tokens.begin();
  };
  join({30}), join({4, 2, 9}), join({0}), join({17, 16}), join({5, 6, 7, 28}), join({29, 1});
  for (std::int32_t t = 18; t < 26; ++t) join({t});
  if (mode == MergeMode::combine)
    for (index_t t = 0; t < 31; ++t) plan.coefficients.push_back(0.25f * static_cast<float>(t % 7) - 0.5f);
  return plan;
}
std::vector<float> some_sizes(index_t n) {
  std::vector<float> s;
  for (index_t i = 0; i < n; ++i) s.push_back(static_cast<float>(1 + i * 5 % 7));
  return s;
}

// Plans of an independent program, on tokens of which many are equal: tests/goldens/merge_oracle.py.
TEST_P(Merge, PlansAreTheOracles) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/merge.json");
  const auto file = io::SafeTensors::open(TESSERA_GOLDENS "/merge.safetensors");
  int seen = 0;
  for (const io::Json& c : golden["cases"]) {
    const auto x = file.at("x." + std::to_string(seen)).as<float, 2>();
    const auto kind = c["kind"].get<std::string>();
    SCOPED_TRACE(kind + " " + std::to_string(seen));
    const index_t n = x.extent[0], d = x.extent[1], r = c["r"], prefix = c["prefix"];
    // Rows apart, so that reading between them shows.
    Matrix metric = poisoned(n, d, 3);
    ops::l2_normalize(ctx, x, metric.out());
    if (kind == "aim") {
      const auto want = file.at("out." + std::to_string(seen)).as<float, 2>();
      Matrix out = poisoned(n, d, 1);
      const index_t left = models::aim_merge(ctx, x, c["rounds"].get<int>(), out.out());
      ASSERT_EQ(left, want.extent[0]);
      for (index_t i = 0; i < left; ++i)
        for (index_t j = 0; j < d; ++j) EXPECT_NEAR(out(i, j), want(i, j), 1e-5);
    } else {
      const auto plan = kind == "bipartite" ? ops::bipartite_merge(ctx, metric.in(), r, prefix,
                                                                   c["by_score"].get<bool>() ? ops::MergeOrder::score
                                                                                             : ops::MergeOrder::position)
                                            : ops::energy_merge(ctx, metric.in(), r, c["margin"].get<float>(), prefix);
      plan.check();
      EXPECT_EQ(rows_of(plan), c["rows"].get<Rows>());
    }
    ++seen;
  }
  EXPECT_EQ(seen, 80);
}
TEST(MergeSchedule, IsTheOracles) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/merge.json");
  for (const io::Json& s : golden["schedules"]) {
    const index_t layers = s["layers"];
    const models::MergeSchedule schedule(s["r"].get<index_t>(), s["inflect"].get<double>());
    for (index_t l = 0; l < layers; ++l) EXPECT_EQ(schedule.at(l, layers), s["values"][static_cast<std::size_t>(l)]) << s;
  }
  const models::MergeSchedule list(std::vector<index_t>{3, 0, 2});
  EXPECT_EQ(list.at(0, 4) * 1000 + list.at(1, 4) * 100 + list.at(2, 4) * 10 + list.at(3, 4), 3020);
  EXPECT_EQ(models::MergeSchedule(5, -1).at(0, 1), 5);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "inflect", models::MergeSchedule(3, 1.5));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "negative", models::MergeSchedule(-1));
}
TEST_P(Merge, ModesMatchTheReference) {
  for (const MergeMode mode : kModes)
    for (const index_t c : {1, 15, 16, 17, 40}) {
      const Matrix x = filled(31, c, {.seed = static_cast<std::uint64_t>(c), .pad = 5});
      const ops::MergePlan plan = mixed_plan(mode);
      const std::vector<float> sizes = some_sizes(31);
      Matrix out = poisoned(plan.size(), c, 2), left = poisoned(1, plan.size(), 2);
      ops::merge_tokens(ctx, plan, x.in(), view(sizes), out.out(), View<float, 1>(left.data(), plan.size()));
      std::vector<double> want_sizes;
      const auto want = ref::merge_tokens(mode, rows_of(plan), x.in(), sizes, plan.coefficients, want_sizes);
      EXPECT_TRUE(close("merge", out, want)) << static_cast<int>(mode) << " " << c;
      EXPECT_TRUE(written_exactly(left));
      for (std::size_t i = 0; i < want_sizes.size(); ++i) EXPECT_EQ(left(0, static_cast<index_t>(i)), want_sizes[i]);
      with_threads([&](Context& many) {
        Matrix other = poisoned(plan.size(), c, 2);
        ops::merge_tokens(many, plan, x.in(), view(sizes), other.out(), {});
        EXPECT_EQ(other.bits(), out.bits());
      });
    }
}
TEST_P(Merge, ATokenAloneIsCopied) {
  const Matrix x = wide(9, 21, 4);
  for (const MergeMode mode : kModes) {
    ops::MergePlan plan = ops::MergePlan::identity(9);
    plan.mode = mode;
    if (mode == MergeMode::combine) plan.coefficients.assign(9, 1.f);
    const std::vector<float> sizes = some_sizes(9);
    Matrix out(9, 21, 3);
    ops::merge_tokens(ctx, plan, x.in(), view(sizes), out.out(), {});
    EXPECT_EQ(out.bits(), x.bits()) << static_cast<int>(mode);
  }
}
TEST_P(Merge, MaxKeepsNaN) {
  Matrix x = filled(3, 4, {});
  x(1, 2) = std::numeric_limits<float>::quiet_NaN();
  ops::MergePlan plan;
  plan.mode = MergeMode::max, plan.rows = {0}, plan.into = {0, 0, 0};
  Matrix out = poisoned(1, 4);
  ops::merge_tokens(ctx, plan, x.in(), {}, out.out(), {});
  EXPECT_TRUE(std::isnan(out(0, 2)));
  EXPECT_FALSE(std::isnan(out(0, 1)));
}
TEST_P(Merge, RowsThatCancelKeepNoNorm) {
  Matrix x = filled(4, 20, {});
  for (index_t c = 0; c < 20; ++c) x(1, c) = -x(0, c), x(2, c) = x(3, c) = 0.f;
  ops::MergePlan plan;
  plan.mode = MergeMode::norm_preserving, plan.rows = {0, 2}, plan.into = {0, 0, 2, 2};
  Matrix out = poisoned(2, 20);
  ops::merge_tokens(ctx, plan, x.in(), {}, out.out(), {});
  for (index_t c = 0; c < 20; ++c) EXPECT_EQ(std::pair(out(0, c), out(1, c)), std::pair(0.f, 0.f));
}
// More tokens than one stretch of scores: the many equal ones have the most energy, and they come first.
TEST_P(Merge, EnergyIsOfAllTokens) {
  Matrix x = filled(520, 8, {.seed = 3});
  for (index_t t = 1; t < 256; ++t)
    for (index_t c = 0; c < 8; ++c) x(t, c) = x(0, c);
  Matrix metric = poisoned(520, 8);
  ops::l2_normalize(ctx, x.in(), metric.out());
  const auto plan = ops::energy_merge(ctx, metric.in(), 64, 0.5f);
  index_t joined = 0;
  for (index_t t = 0; t < 520; ++t)
    if (const auto to = plan.into[static_cast<std::size_t>(t)]; to != t) {
      EXPECT_TRUE(t < 256 && to < 256) << t << " " << to;
      ++joined;
    }
  EXPECT_EQ(joined, 64);
}
TEST_P(Merge, NearestTakesTheLowestOfEqualsAndNeverNaN) {
  const index_t n = 700, d = 19;  // more columns than one stretch of scores
  Matrix a = filled(9, d, {.seed = 1, .pad = 2}), b = filled(n, d, {.seed = 2, .pad = 4});
  for (const index_t copy : {300, 555, 699})
    for (index_t c = 0; c < d; ++c) b(copy, c) = 3 * a(4, c);  // the best there is for row 4
  for (index_t c = 0; c < d; ++c) b(5, c) = std::numeric_limits<float>::quiet_NaN(), a(7, c) = b(5, c);
  std::vector<std::int32_t> index(9, -7);
  std::vector<float> score(9);
  const auto run = [&](Context& own) {
    ops::nearest(own, a.in(), b.in(), View<std::int32_t, 1>(index.data(), 9), View<float, 1>(score.data(), 9));
  };
  run(ctx);
  EXPECT_EQ(index[4], 300);
  EXPECT_EQ(index[7], 0);
  EXPECT_EQ(score[7], -INFINITY);
  for (index_t i = 0; i < 9; ++i) {
    if (i == 7) continue;
    double best = -INFINITY;
    index_t at = 0;
    for (index_t j = 0; j < n; ++j) {
      double s = 0;
      for (index_t c = 0; c < d; ++c) s += double{a(i, c)} * double{b(j, c)};
      if (s > best) best = s, at = j;
    }
    EXPECT_EQ(index[static_cast<std::size_t>(i)], at);
    EXPECT_NEAR(score[static_cast<std::size_t>(i)], best, 1e-5);
  }
  const auto before = std::pair(index, score);
  with_threads([&](Context& many) {
    run(many);
    EXPECT_EQ(std::pair(index, score), before);
  });
}
TEST_P(Merge, KeyMetricIsTheUnitMeanOverHeads) {
  const index_t t = 70, heads = 3, d = 18;
  const Matrix k = filled(t, heads * d, {.seed = 3, .pad = 7});
  Matrix out = poisoned(t, d), mean(t, d, 0), want = poisoned(t, d);
  for (index_t i = 0; i < t; ++i)
    for (index_t j = 0; j < d; ++j) mean(i, j) = k(i, j) + k(i, d + j) + k(i, 2 * d + j);
  ops::l2_normalize(ctx, mean.in(), want.out());
  ops::key_metric(ctx, k.heads(heads), out.out());
  EXPECT_EQ(out.bits(), want.bits());
}
TEST(MergePlan, KeepsTheBestOrRandomOnes) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores{-9, 2, 5, nan, 5, 1, 7};
  EXPECT_EQ(rows_of(ops::keep_top(view(scores), 3, 1)), (Rows{{0}, {2}, {4}, {6}}));
  EXPECT_EQ(rows_of(ops::keep_top(view(scores), 3, 1, ops::MergeOrder::score)), (Rows{{0}, {6}, {2}, {4}}));
  EXPECT_EQ(ops::keep_top(view(scores), 5, 1).into[3], ops::kDropped);  // NaN goes first
  EXPECT_EQ(ops::keep_top(view(scores), 99, 0).size(), 7);
  EXPECT_EQ(ops::keep_top(view(scores), 0, 2).size(), 2);
  std::set<std::vector<std::int32_t>> seen;
  std::vector<int> kept(50);
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto plan = ops::keep_random(50, 20, 3, seed);
    plan.check();
    EXPECT_EQ(plan.size(), 23);
    EXPECT_TRUE(std::is_sorted(plan.rows.begin(), plan.rows.end()));
    EXPECT_EQ(plan.rows, ops::keep_random(50, 20, 3, seed).rows);
    for (const auto t : plan.rows) ++kept[static_cast<std::size_t>(t)];
    seen.insert(plan.rows);
  }
  EXPECT_EQ(seen.size(), 200U);
  for (std::size_t t = 3; t < 50; ++t) EXPECT_NEAR(kept[t], 200 * 20 / 47.0, 35) << t;  // five standard deviations
}
TEST_P(Merge, FusesWhatWasDropped) {
  const Matrix x = filled(5, 3, {});
  const std::vector<float> weights{1.f, 0.5f, 0.25f, 2.f, 0.125f};
  const auto plan = ops::fuse_dropped(ops::keep_top(view({9, 1, 8, 2, 3}), 2, 1, ops::MergeOrder::score), view(weights));
  plan.check();
  ASSERT_EQ(rows_of(plan), (Rows{{0}, {2}, {4}, {1, 3}}));
  Matrix out = poisoned(4, 3);
  ops::merge_tokens(ctx, plan, x.in(), {}, out.out(), {});
  for (index_t c = 0; c < 3; ++c) {
    EXPECT_EQ(out(1, c), x(2, c));
    EXPECT_NEAR(out(3, c), 0.5f * x(1, c) + 2.f * x(3, c), 1e-6);
  }
  const auto all = ops::keep_top(view(weights), 5);
  EXPECT_EQ(ops::fuse_dropped(all, view(weights)).size(), 5);
}
TEST_P(Merge, UnmergeGivesEveryTokenItsRow) {
  const ops::MergePlan plan = mixed_plan(MergeMode::keep), more = ops::bipartite_merge(ctx, filled(14, 6, {}).in(), 4);
  std::vector<std::int32_t> groups(31);
  std::iota(groups.begin(), groups.end(), 0);
  const View<std::int32_t, 1> g(groups.data(), 31);
  ops::follow(plan, g);
  ops::follow(more, g);
  const Matrix x = filled(10, 19, {.seed = 2, .pad = 1});
  Matrix out = poisoned(31, 19, 4);
  ops::unmerge(ctx, g, x.in(), out.out());
  EXPECT_TRUE(written_exactly(out));
  const Rows first = rows_of(plan), second = rows_of(more);
  for (index_t t = 0; t < 31; ++t) {
    std::vector<std::uint32_t> want(19);
    for (std::size_t r = 0; r < second.size(); ++r)
      for (const index_t of : second[r]) {
        const auto& tokens = first[static_cast<std::size_t>(of)];
        if (std::count(tokens.begin(), tokens.end(), t)) want = x.row_bits(static_cast<index_t>(r));
      }
    EXPECT_EQ(out.row_bits(t), want) << t;
  }
}
TEST_P(Merge, RefusesWhatIsNoPlan) {
  const Matrix x = filled(4, 3, {});
  Matrix out = filled(3, 3, {.seed = 8});
  const auto before = out.bits();
  const auto refused = [&](const char* words, const std::function<void(ops::MergePlan&)>& change) {
    ops::MergePlan plan;
    plan.rows = {0, 1, 3}, plan.into = {0, 1, 1, 3};
    change(plan);
    TESSERA_EXPECT_ERROR(Code::kBadArgument, words, ops::merge_tokens(ctx, plan, x.in(), {}, out.out(), {}));
  };
  refused("does not exist", [](auto& p) { p.rows[2] = 4; });
  refused("does not exist", [](auto& p) { p.rows[0] = -1; });
  refused("same token", [](auto& p) { p.rows[2] = 1; });
  refused("joins another", [](auto& p) { p.rows[2] = 2; });
  refused("starts no row", [](auto& p) { p.into[1] = 2, p.rows = {0, 3}; });
  refused("starts no row", [](auto& p) { p.into[2] = 4; });
  refused("starts no row", [](auto& p) { p.into[2] = -2; });
  refused("coefficients", [](auto& p) { p.mode = MergeMode::combine; });
  refused("coefficients", [](auto& p) { p.coefficients.assign(4, 1.f); });
  const ops::MergePlan good = ops::MergePlan::identity(3);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "tokens", ops::merge_tokens(ctx, good, x.in(), {}, out.out(), {}));
  std::vector<std::int32_t> groups{0, 3, 0, 0};
  std::vector<float> score(4);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "not a row",
                       ops::unmerge(ctx, View<const std::int32_t, 1>(groups.data(), 2), out.in(), out.out().slice(0, 2)));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "not a token", ops::follow(good, View<std::int32_t, 1>(groups.data(), 2)));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "negative", (void)ops::bipartite_merge(ctx, x.in(), -1));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "no rows",
                       ops::nearest(ctx, x.in(), x.in().slice(0, 0), View<std::int32_t, 1>(groups.data(), 4),
                                    View<float, 1>(score.data(), 4)));
  EXPECT_EQ(out.bits(), before);
}

}  // namespace
