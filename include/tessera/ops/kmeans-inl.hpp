#pragma once
#include <algorithm>
#include <atomic>
#include <numeric>
#include <unordered_map>
#include <vector>

#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/kmeans.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/topk.hpp>

namespace tessera::ops {

namespace detail {

/// Vigna's splitmix64: the same numbers on every machine.
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

/// Whether all numbers are finite and so small that products with unit vectors are finite too.
inline bool moderate(Context& ctx, View<const float, 2> x) {
  std::atomic<bool> all{true};
  for_rows(ctx, x.extent[0], 256, [&](index_t a, index_t b) {
    for (index_t t = a; t < b && all.load(std::memory_order_relaxed); ++t)
      for (index_t j = 0; j < x.extent[1]; ++j)
        if (!(x(t, j) <= 0x1p100f && x(t, j) >= -0x1p100f)) all.store(false, std::memory_order_relaxed);
  });
  return all.load();
}

/// Rows in the order of their clusters, and in each ascending.
struct Clusters {
  std::vector<index_t> begins, rows;

  Clusters(const std::vector<index_t>& cluster, index_t count)
      : begins(static_cast<std::size_t>(count) + 1), rows(cluster.size()) {
    for (const index_t c : cluster) ++begins[static_cast<std::size_t>(c) + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    std::vector<index_t> at(begins.begin(), begins.end() - 1);
    for (std::size_t t = 0; t < cluster.size(); ++t)
      rows[static_cast<std::size_t>(at[static_cast<std::size_t>(cluster[t])]++)] = static_cast<index_t>(t);
  }
};

}  // namespace detail

inline void draw_rows(std::uint64_t seed, index_t n, View<index_t, 1> rows) {
  const index_t count = rows.extent[0];
  if (count > n) detail::fail(Code::kBadArgument, "draw_rows", "more rows than there are");
  detail::SplitMix random(seed);
  std::unordered_map<index_t, index_t> moved;  // Fisher and Yates' shuffle of 0 .. n - 1: what lies elsewhere than at first
  const auto at = [&](index_t i) {
    const auto found = moved.find(i);
    return found == moved.end() ? i : found->second;
  };
  for (index_t i = 0; i < count; ++i) {
    const index_t j = i + static_cast<index_t>(random.next() % static_cast<std::uint64_t>(n - i));
    rows(i) = at(j);
    moved[j] = at(i);
  }
}

inline void nearest_rows(Context& ctx, View<const float, 2> x, const PackedWeight& centroids, View<index_t, 1> ids,
                         View<float, 1> scores) {
  using namespace detail;
  constexpr const char* kOp = "nearest_rows";
  constexpr index_t kMostRows = 1024;  // at once: the lists of top_k() stay small
  const index_t rows = x.extent[0];
  expect(kOp, "ids", ids.extent[0], rows);
  expect_rows(kOp, ids);
  if (scores.data) expect(kOp, "scores", scores.extent[0], rows), expect_rows(kOp, scores);
  std::vector<float> unasked(static_cast<std::size_t>(scores.data ? 0 : kMostRows));
  std::vector<index_t> counts(static_cast<std::size_t>(kMostRows));
  for (index_t t = 0; t < rows; t += kMostRows) {
    const index_t some = std::min(kMostRows, rows - t);
    top_k(ctx, x.slice(t, t + some), centroids, {},
          {View<float, 2>(scores.data ? scores.data + t : unasked.data(), some, index_t{1}),
           View<index_t, 2>(ids.data + t, some, index_t{1}), View<index_t, 1>(counts.data(), some)});
  }
}

inline void spherical_kmeans(Context& ctx, View<const float, 2> x, const KMeansOptions& options, View<float, 2> centroids) {
  using namespace detail;
  constexpr const char* kOp = "spherical_kmeans";
  const index_t rows = x.extent[0], count = centroids.extent[0], channels = x.extent[1];
  expect(kOp, "channels of the centroids", centroids.extent[1], channels);
  expect_rows(kOp, x), expect_rows(kOp, centroids);
  if (count < 1 || count > rows) fail(Code::kBadArgument, kOp, "as many centroids as rows at most, and at least one");
  if (options.iterations < 0) fail(Code::kBadArgument, kOp, "iterations must not be negative");
  if (!moderate(ctx, x)) fail(Code::kBadArgument, kOp, "rows with NaN, infinity or numbers beyond 2^100");
  std::vector<index_t> first(static_cast<std::size_t>(count)), cluster(static_cast<std::size_t>(rows));
  draw_rows(options.seed, rows, View<index_t, 1>(first.data(), count));
  for (index_t c = 0; c < count; ++c) {
    const View<const float, 1> row = x[first[static_cast<std::size_t>(c)]];
    std::copy_n(row.data, channels, &centroids(c, 0));
  }
  l2_normalize(ctx, centroids, centroids);
  std::vector<float> fit(static_cast<std::size_t>(rows));
  for (int i = 0; i < options.iterations; ++i) {
    nearest_rows(ctx, x, pack_weight(ctx, centroids), View<index_t, 1>(cluster.data(), rows),
                 View<float, 1>(fit.data(), rows));
    const Clusters of(cluster, count);
    std::vector<std::uint8_t> lost(static_cast<std::size_t>(count));
    ctx.parallel_for(count, [&](index_t c, int) {
      const auto at = static_cast<std::size_t>(c);
      std::vector<double> sum(static_cast<std::size_t>(channels));
      for (index_t r = of.begins[at]; r < of.begins[at + 1]; ++r) {
        const float* const row = &x(of.rows[static_cast<std::size_t>(r)], 0);
        for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += static_cast<double>(row[j]);
      }
      // Of sums only the direction matters: brought to a size that f32 has.
      double most = 0;
      for (const double s : sum) most = std::max(most, s < 0 ? -s : s);
      lost[at] = most == 0;
      for (std::size_t j = 0; j < sum.size() && most > 0; ++j)
        centroids(c, static_cast<index_t>(j)) = static_cast<float>(sum[j] / most);
    });
    std::vector<index_t> worst;  // rows by how little they fit
    for (index_t c = 0, taken = 0; c < count; ++c) {
      if (!lost[static_cast<std::size_t>(c)]) continue;
      if (worst.empty()) {
        worst.resize(static_cast<std::size_t>(rows));
        std::iota(worst.begin(), worst.end(), index_t{0});
        const auto needed = std::count(lost.begin() + c, lost.end(), 1);
        std::partial_sort(worst.begin(), worst.begin() + needed, worst.end(), [&](index_t a, index_t b) {
          const float fa = fit[static_cast<std::size_t>(a)], fb = fit[static_cast<std::size_t>(b)];
          return fa != fb ? fa < fb : a < b;
        });
      }
      std::copy_n(&x(worst[static_cast<std::size_t>(taken++)], 0), channels, &centroids(c, 0));
    }
    l2_normalize(ctx, centroids, centroids);
  }
}

}  // namespace tessera::ops
