#include <tessera/ops/kmeans.hpp>

#include <cmath>
#include <limits>
#include <set>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/norm.hpp>
#include "support/backends.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct KMeans : OpsTest {};
TESSERA_ON_EVERY_ISA(KMeans);

Matrix clustered(Context& ctx, index_t rows, index_t channels, index_t groups) {
  const Matrix topics = filled(groups, channels, {.seed = 7});
  Matrix x = filled(rows, channels, {.seed = 8, .scale = 0.25f, .pad = 3});
  for (index_t t = 0; t < rows; ++t)
    for (index_t c = 0; c < channels; ++c) x(t, c) += topics(t % groups, c);
  ops::l2_normalize(ctx, x.in(), x.out());
  return x;
}
double fit(const Matrix& x, const Matrix& centroids) {
  double all = 0;
  for (index_t t = 0; t < x.rows; ++t) {
    double most = -1e9;
    for (index_t k = 0; k < centroids.rows; ++k) {
      double s = 0;
      for (index_t c = 0; c < x.columns; ++c) s += static_cast<double>(x(t, c)) * static_cast<double>(centroids(k, c));
      most = std::max(most, s);
    }
    all += most;
  }
  return all;
}
Matrix run(Context& ctx, const Matrix& x, index_t count, const ops::KMeansOptions& o) {
  Matrix centroids = poisoned(count, x.columns, 2);
  ops::spherical_kmeans(ctx, x.in(), o, centroids.out());
  return centroids;
}

TEST_P(KMeans, IsTheAlgorithmAndFitsBetterEachTime) {
  const Matrix x = clustered(ctx, 300, 20, 12);
  Matrix before = run(ctx, x, 12, {0, 3});
  for (int i = 1; i < 6; ++i) {
    const Matrix now = run(ctx, x, 12, {i, 3});
    EXPECT_GE(fit(x, now), fit(x, before) - 1e-4);
    // One step by its definition, in double.
    std::vector<double> sums(12 * 20);
    for (index_t t = 0; t < 300; ++t) {
      index_t best = 0;
      float most = -2;
      for (index_t k = 0; k < 12; ++k) {
        float s = 0;
        for (index_t c = 0; c < 20; ++c) s = std::fma(x(t, c), before(k, c), s);
        if (s > most) most = s, best = k;
      }
      for (index_t c = 0; c < 20; ++c) sums[static_cast<std::size_t>(best * 20 + c)] += static_cast<double>(x(t, c));
    }
    for (index_t k = 0; k < 12; ++k) {
      double length = 0;
      for (index_t c = 0; c < 20; ++c)
        length += sums[static_cast<std::size_t>(k * 20 + c)] * sums[static_cast<std::size_t>(k * 20 + c)];
      if (length == 0) continue;
      for (index_t c = 0; c < 20; ++c)
        EXPECT_NEAR(static_cast<double>(now(k, c)), sums[static_cast<std::size_t>(k * 20 + c)] / std::sqrt(length), 1e-6)
            << k;
    }
    before = now;
  }
  EXPECT_GT(fit(x, before), 290 * 0.85);
}
TEST_P(KMeans, ASeedGivesTheSameBitsOnAnyThreads) {
  const Matrix x = clustered(ctx, 2100, 12, 30);
  const Matrix one = run(ctx, x, 40, {4, 5});
  EXPECT_TRUE(written_exactly(one));
  EXPECT_EQ(one.bits(), run(ctx, x, 40, {4, 5}).bits());
  EXPECT_NE(one.bits(), run(ctx, x, 40, {4, 6}).bits());
  with_threads([&](Context& many) { EXPECT_EQ(one.bits(), run(many, x, 40, {4, 5}).bits()); });
  Context generic(Isa::generic, 1);
  EXPECT_EQ(one.bits(), run(generic, x, 40, {4, 5}).bits());
}
TEST_P(KMeans, CentroidsThatLoseTheirRowsTakeTheWorstOnes) {
  Matrix x(40, 4, 0);  // 30 times one direction, and ten others
  for (index_t t = 0; t < 40; ++t)
    for (index_t c = 0; c < 4; ++c)
      x(t, c) = t < 30 ? (c == 0 ? 1.f : 0.f) : (c == t % 4 ? -1.f : 0.25f * static_cast<float>(t % 3));
  const Matrix centroids = run(ctx, x, 8, {5, 1});
  std::set<std::vector<std::uint32_t>> different;
  for (index_t k = 0; k < 8; ++k) different.insert(centroids.row_bits(k));
  EXPECT_GE(different.size(), 7U);
  EXPECT_GT(fit(x, centroids), 37);
  // Rows that cancel, and rows of zeros: no centroid is NaN.
  Matrix opposite(4, 2, 0);
  for (index_t t = 0; t < 4; ++t) opposite(t, 0) = t % 2 ? 1.f : -1.f, opposite(t, 1) = 0;
  const Matrix zeros = filled(5, 3, {.scale = 0});
  for (const Matrix& m : {run(ctx, opposite, 1, {3, 0}), run(ctx, zeros, 2, {3, 0})})
    for (index_t k = 0; k < m.rows; ++k)
      for (index_t c = 0; c < m.columns; ++c) EXPECT_TRUE(std::isfinite(m(k, c)));
}
TEST_P(KMeans, DrawsEachRowOnce) {
  for (const index_t n : {1, 2, 100}) {
    std::vector<index_t> rows(static_cast<std::size_t>(n));
    ops::draw_rows(9, n, View<index_t, 1>(rows.data(), n));
    const std::set<index_t> all(rows.begin(), rows.end());
    EXPECT_EQ(static_cast<index_t>(all.size()), n);
    EXPECT_EQ(*all.begin(), 0);
    EXPECT_EQ(*all.rbegin(), n - 1);
    std::vector<index_t> first(static_cast<std::size_t>(n / 2));
    ops::draw_rows(9, n, View<index_t, 1>(first.data(), n / 2));
    EXPECT_TRUE(std::equal(first.begin(), first.end(), rows.begin()));
  }
}
TEST_P(KMeans, RefusesAndLeavesTheOutput) {
  Matrix x = filled(5, 4), out = poisoned(6, 4), narrow = poisoned(2, 3);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "as many centroids", ops::spherical_kmeans(ctx, x.in(), {}, out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "as many centroids",
                       ops::spherical_kmeans(ctx, x.in(), {}, out.out().slice(0, 0)));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels", ops::spherical_kmeans(ctx, x.in(), {}, narrow.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "iterations", ops::spherical_kmeans(ctx, x.in(), {-1, 0}, out.out().slice(0, 2)));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1e38f}) {
    x(3, 2) = bad;
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "2^100", ops::spherical_kmeans(ctx, x.in(), {}, out.out().slice(0, 2)));
  }
  std::vector<index_t> rows(3);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "more rows", ops::draw_rows(0, 2, View<index_t, 1>(rows.data(), index_t{3})));
  EXPECT_TRUE(is_poison(out(0, 0)) && is_poison(narrow(0, 0)));
}

}  // namespace
