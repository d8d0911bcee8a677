// Token merging, its kernels run on the host, against the CPU's operations: the same choices, and for f32 the same bits.
#include <tessera/cuda/merge.cuh>

#include <cmath>
#include <numeric>

#include <tessera/ops/merge.hpp>
#include "cuda/simt/block.hpp"
#include "cuda/simt/host_view.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::F32Tile;
using kernels::cuda::kNormRows;
using kernels::cuda::MergeBatch;
using kernels::cuda::MergeSequence;
using kernels::cuda::Norm;
using simt::Tensor;

int blocks_of(index_t rows, int of_block) { return static_cast<int>((rows + of_block - 1) / of_block); }

struct MergeShape {
  std::vector<int> lengths;
  int d = 20, prefix = 1, r = 4, c = 24;
  bool by_score = false, ties = false, sizes = true;
};

template <class X, class Y>
struct MergeProblem {
  explicit MergeProblem(const MergeShape& s, std::uint64_t seed = 1)
      : shape(s),
        tokens(std::accumulate(s.lengths.begin(), s.lengths.end(), 0)),
        rows(left(s)),
        metric(simt::Use<float>::input, tokens, s.d, 4),
        x(simt::Use<X>::input, tokens, s.c, 8),
        sizes(simt::Use<float>::input, 1, tokens),
        score(simt::Use<float>::output, 1, tokens),
        to(simt::Use<std::int32_t>::output, 1, tokens),
        first(simt::Use<std::int32_t>::output, 1, rows + 1),
        members(simt::Use<std::int32_t>::output, 1, tokens),
        cu_seqlens(simt::Use<std::int32_t>::input, 1, static_cast<index_t>(s.lengths.size()) + 1),
        cu_rows(simt::Use<std::int32_t>::input, 1, static_cast<index_t>(s.lengths.size()) + 1),
        out(simt::Use<X>::output, rows, s.c, 8),
        out_sizes(simt::Use<float>::output, 1, rows),
        gamma(simt::Use<float>::input, 1, s.c),
        beta(simt::Use<float>::input, 1, s.c),
        y(simt::Use<Y>::output, rows, s.c, 16) {
    Random random(seed);
    const auto any = [&](index_t, index_t) { return random.unit(); };
    // With ties, numbers whose products and sums are exact, and few of them.
    metric.fill([&](index_t, index_t) { return s.ties ? static_cast<float>(random.in(-1, 1)) : random.unit(); });
    x.fill(any), gamma.fill(any), beta.fill(any);
    sizes.fill([&](index_t, index_t) { return static_cast<float>(random.in(1, 7)); });
    cu_seqlens(0, 0) = cu_rows(0, 0) = 0;
    for (std::size_t i = 0; i < s.lengths.size(); ++i) {
      const auto at = static_cast<index_t>(i);
      cu_seqlens(0, at + 1) = cu_seqlens(0, at) + s.lengths[i];
      cu_rows(0, at + 1) = cu_rows(0, at) + MergeSequence(0, s.lengths[i], s.prefix, s.r).rows();
    }
  }
  static index_t left(const MergeShape& s) {
    index_t n = 0;
    for (const int length : s.lengths) n += MergeSequence(0, length, s.prefix, s.r).rows();
    return n;
  }
  MergeBatch batch() { return {cu_seqlens.data(), static_cast<int>(shape.lengths.size()), shape.prefix, shape.r}; }
  int longest() const { return *std::max_element(shape.lengths.begin(), shape.lengths.end()); }

  std::string match(std::uint64_t seed) {
    const kernels::cuda::MergeMatchArgs g{metric.data(), metric.ld(), shape.d, batch(), to.data(), score.data()};
    return simt::run(
        {blocks_of((longest() + 1) / 2, F32Tile::kRows), F32Tile::kThreads, F32Tile::kSharedBytes, seed, g.batch.sequences},
        [&] { kernels::cuda::merge_match_kernel(g); });
  }
  std::string select(std::uint64_t seed) {
    const kernels::cuda::MergeSelectArgs g{batch(),      to.data(),      score.data(),  cu_rows.data(),
                                           first.data(), members.data(), shape.by_score};
    const auto bytes = static_cast<std::size_t>(kernels::cuda::merge_select_bytes(longest()));
    return simt::run({g.batch.sequences, kernels::cuda::kMergeSelectThreads, bytes, seed},
                     [&] { kernels::cuda::merge_select_kernel(g); });
  }
  template <Norm kNorm>
  std::string merge(bool normalise, std::uint64_t seed) {
    kernels::cuda::MergeArgs<X, Y> g{x.data(),     x.ld(),           shape.sizes ? sizes.data() : nullptr,
                                     first.data(), members.data(),   out.data(),
                                     out.ld(),     out_sizes.data(), static_cast<int>(rows),
                                     shape.c};
    if (normalise) g.y = y.data(), g.ldy = y.ld();
    g.gamma = gamma.data(), g.beta = beta.data(), g.eps = 1e-6f;
    return simt::run({blocks_of(rows, kNormRows), kNormRows * 32, 0, seed},
                     [&] { kernels::cuda::merge_kernel<kNorm, 2>(g); });
  }
  ops::MergePlan plan(Context& ctx, std::size_t i) const {
    const auto at = static_cast<index_t>(i);
    const View<const float, 2> mine = simt::rows_of(metric, cu_seqlens.data()[at], cu_seqlens.data()[at + 1]);
    return ops::bipartite_merge(ctx, mine, shape.r, shape.prefix,
                                shape.by_score ? ops::MergeOrder::score : ops::MergeOrder::position);
  }
  /// All rows against the plans of the CPU.
  void expect_rows_of_cpu() {
    Context ctx(1);
    std::int32_t place = 0;
    for (std::size_t i = 0; i < shape.lengths.size(); ++i) {
      const ops::MergePlan mine = plan(ctx, i);
      const std::int32_t begin = cu_seqlens.data()[i];
      ASSERT_EQ(mine.size(), cu_rows.data()[i + 1] - cu_rows.data()[i]);
      for (std::size_t r = 0; r < mine.rows.size(); ++r) {
        ASSERT_EQ(first.data()[cu_rows.data()[i] + static_cast<std::int32_t>(r)], place) << "row " << r << " of " << i;
        ASSERT_EQ(members.data()[place++], begin + mine.rows[r]) << "row " << r << " of " << i;
        for (std::int32_t t = 0; t < shape.lengths[i]; ++t) {
          if (t == mine.rows[r] || mine.into[static_cast<std::size_t>(t)] != mine.rows[r]) continue;
          ASSERT_EQ(members.data()[place++], begin + t) << "row " << r << " of " << i;
        }
      }
    }
    EXPECT_EQ(first.data()[rows], place);
    EXPECT_EQ(place, tokens);
  }

  MergeShape shape;
  index_t tokens, rows;
  Tensor<float> metric;
  Tensor<X> x;
  Tensor<float> sizes, score;
  Tensor<std::int32_t> to, first, members, cu_seqlens, cu_rows;
  Tensor<X> out;
  Tensor<float> out_sizes, gamma, beta;
  Tensor<Y> y;
};

TEST(CudaMerge, ChoicesOfTheCpu) {
  const std::vector<int> ragged = {1, 0, 21, 2, 150, 3, 64, 9};
  std::uint64_t seed = 0;
  for (const bool ties : {false, true})
    for (const bool by_score : {false, true})
      for (const int prefix : {0, 1, 2, 5})
        for (const int r : {0, 3, 1000}) {
          MergeProblem<float, float> p(
              {.lengths = ragged, .d = ties ? 4 : 20, .prefix = prefix, .r = r, .by_score = by_score, .ties = ties}, seed);
          EXPECT_EQ(p.match(seed), "");
          EXPECT_EQ(p.select(seed), "");
          EXPECT_TRUE(p.first.written_exactly());
          EXPECT_TRUE(p.members.written_exactly());
          p.expect_rows_of_cpu();
          ++seed;
        }
}
// Longer than a tile both ways, and longer in depth than a part.
TEST(CudaMerge, LongSequences) {
  MergeProblem<float, float> p({.lengths = {300, 197}, .d = 72, .r = 40}, 5);
  EXPECT_EQ(p.match(1), "");
  EXPECT_EQ(p.select(2), "");
  p.expect_rows_of_cpu();
}
TEST(CudaMerge, WhatIsNoNumberIsNeverTheBest) {
  for (const float bad : {NAN, INFINITY, -INFINITY})
    for (const index_t token : {3, 4, 7}) {
      MergeProblem<float, float> p({.lengths = {12, 9}, .r = 3}, 2);
      for (index_t j = 0; j < p.shape.d; ++j) p.metric(token, j) = bad;
      EXPECT_EQ(p.match(1), "");
      EXPECT_EQ(p.select(2), "");
      p.expect_rows_of_cpu();
    }
}
TEST(CudaMerge, RowsOfTheCpu) {
  for (const bool sizes : {false, true}) {
    MergeProblem<float, float> p({.lengths = {21, 2, 70, 0, 1}, .r = 9, .sizes = sizes}, 3);
    EXPECT_EQ(p.match(1), "");
    EXPECT_EQ(p.select(2), "");
    EXPECT_EQ(p.merge<Norm::layer>(false, 3), "");
    EXPECT_TRUE(p.out.written_exactly());
    EXPECT_TRUE(p.out_sizes.written_exactly());
    Context ctx(1);
    for (std::size_t i = 0; i < p.shape.lengths.size(); ++i) {
      const ops::MergePlan plan = p.plan(ctx, i);
      const index_t begin = p.cu_seqlens.data()[i], row = p.cu_rows.data()[i], c = p.shape.c;
      std::vector<float> out(static_cast<std::size_t>(plan.size() * c)), merged(static_cast<std::size_t>(plan.size()));
      View<const float, 1> of_tokens;
      if (sizes) of_tokens = View<const float, 1>(p.sizes.data() + begin, plan.tokens());
      ops::merge_tokens(ctx, plan, simt::rows_of(p.x, begin, begin + plan.tokens()), of_tokens,
                        View<float, 2>(out.data(), plan.size(), c), View<float, 1>(merged.data(), plan.size()));
      for (index_t r = 0; r < plan.size(); ++r) {
        EXPECT_EQ(p.out_sizes.at(0, row + r), merged[static_cast<std::size_t>(r)]);
        for (index_t j = 0; j < c; ++j) EXPECT_EQ(p.out.at(row + r, j), out[static_cast<std::size_t>(r * c + j)]);
      }
    }
  }
}
template <Norm kNorm, class X, class Y>
void expect_norm_of_merged_rows(const MergeShape& s) {
  MergeProblem<X, Y> p(s, 4);
  EXPECT_EQ(p.match(1), "");
  EXPECT_EQ(p.select(2), "");
  EXPECT_EQ(p.template merge<kNorm>(true, 3), "");
  EXPECT_TRUE(p.out.written_exactly());
  EXPECT_TRUE(p.y.written_exactly());
  const double rounding = sizeof(X) == 2 ? 0x1p-8 : 1e-6;
  for (index_t r = 0; r < p.rows; ++r) {
    double total = 0;
    const std::int32_t begin = p.first.data()[r], end = p.first.data()[r + 1];
    for (std::int32_t i = begin; i < end; ++i) total += p.sizes.at(0, p.members.data()[i]);
    for (index_t j = 0; j < s.c; ++j) {
      double v = 0;
      for (std::int32_t i = begin; i < end; ++i) {
        const std::int32_t t = p.members.data()[i];
        v += static_cast<double>(p.sizes.at(0, t)) / total * p.x.at(t, j);
      }
      EXPECT_NEAR(p.out.at(r, j), v, rounding);
    }
  }
  Tensor<X> merged(simt::Use<X>::input, p.rows, s.c, 8);
  merged.fill([&](index_t r, index_t j) { return p.out.at(r, j); });
  Tensor<Y> y(simt::Use<Y>::output, p.rows, s.c, 16);
  const kernels::cuda::NormArgs<X, Y> g{merged.data(), merged.ld(), y.data(),       y.ld(),       static_cast<int>(p.rows),
                                        s.c,           1e-6f,       p.gamma.data(), p.beta.data()};
  EXPECT_EQ(
      simt::run({blocks_of(p.rows, kNormRows), kNormRows * 32, 0, 5}, [&] { kernels::cuda::norm_kernel<kNorm, 2>(g); }), "");
  for (index_t r = 0; r < p.rows; ++r) EXPECT_EQ(p.y.row(r), y.row(r)) << r;
}
TEST(CudaMerge, NormOfMergedRows) {
  const MergeShape s{.lengths = {21, 2, 30}, .r = 9, .c = 264};
  expect_norm_of_merged_rows<Norm::layer, bf16, bf16>(s);
  expect_norm_of_merged_rows<Norm::rms, float, bf16>(s);
  expect_norm_of_merged_rows<Norm::layer, float, float>(s);
}
TEST(CudaMerge, BitsDependOnTheSequenceAlone) {
  MergeProblem<float, float> batch({.lengths = {7, 70, 30}, .r = 9}, 6), alone({.lengths = {70}, .r = 9}, 7);
  alone.metric.fill([&](index_t t, index_t c) { return batch.metric.at(7 + t, c); });
  alone.x.fill([&](index_t t, index_t c) { return batch.x.at(7 + t, c); });
  alone.sizes.fill([&](index_t, index_t t) { return batch.sizes.at(0, 7 + t); });
  alone.gamma.fill([&](index_t, index_t c) { return batch.gamma.at(0, c); });
  alone.beta.fill([&](index_t, index_t c) { return batch.beta.at(0, c); });
  std::uint64_t seed = 0;
  for (auto* p : {&batch, &alone}) {
    EXPECT_EQ(p->match(++seed), "");
    EXPECT_EQ(p->select(++seed), "");
    EXPECT_EQ(p->merge<Norm::layer>(true, ++seed), "");
  }
  for (index_t r = 0; r < alone.rows; ++r) {
    EXPECT_EQ(alone.out.row(r), batch.out.row(batch.cu_rows(0, 1) + r));
    EXPECT_EQ(alone.y.row(r), batch.y.row(batch.cu_rows(0, 1) + r));
  }
}
TEST(CudaMerge, KeyMetric) {
  for (const int head : {32, 64, 72, 128})
    for (const int heads : {1, 3}) {
      Tensor<bf16> k(simt::Use<bf16>::input, 6, heads * head, 8);
      Tensor<float> metric(simt::Use<float>::output, 6, head);
      Random random(static_cast<std::uint64_t>(head));
      k.fill([&](index_t t, index_t) { return t == 4 ? 0.0f : random.unit(); });
      const kernels::cuda::KeyMetricArgs g{k.data(), k.ld(), metric.data(), 6, heads, head};
      EXPECT_EQ(simt::run({2, kNormRows * 32, 0, 1}, [&] { kernels::cuda::key_metric_kernel(g); }), "");
      EXPECT_TRUE(metric.written_exactly());
      for (index_t t = 0; t < 6; ++t) {
        std::vector<double> sum(static_cast<std::size_t>(head));
        double square = 0;
        for (index_t j = 0; j < heads * head; ++j) sum[static_cast<std::size_t>(j % head)] += k.at(t, j);
        for (const double v : sum) square += v * v;
        for (index_t j = 0; j < head; ++j)
          EXPECT_NEAR(metric.at(t, j), t == 4 ? 0 : sum[static_cast<std::size_t>(j)] / std::sqrt(square), 1e-6);
      }
    }
}

}  // namespace
}  // namespace tessera::test
