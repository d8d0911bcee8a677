// The best rows of a corpus, the kernels run on the host.
#include <tessera/cuda/topk.cuh>

#include <cmath>

#include <tessera/ops/topk.hpp>
#include <tessera/tables/gemm.hpp>
#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::TopKArgs;
using kernels::cuda::TopKMergeArgs;
using simt::Tensor;

struct TopKShape {
  int batch, n, e, k;
  int chunk = 128;
  bool bias = false, scale = false, allowed = false;
  float least = -INFINITY;
  bool ties = false;  ///< few different scores, which are exact
};

struct TopKProblem {
  explicit TopKProblem(const TopKShape& s, std::uint64_t seed = 1)
      : shape(s),
        queries(simt::Use<bf16>::input, s.batch, s.e, 8 + (8 - s.e % 8) % 8),
        corpus(simt::Use<bf16>::input, s.n, s.e, (8 - s.e % 8) % 8),
        bias(simt::Use<float>::input, 1, s.n),
        scale(simt::Use<float>::input, 1, s.n),
        allowed(simt::Use<std::uint64_t>::input, 1, (s.n + 63) / 64),
        lists(simt::Use<std::uint64_t>::output, args().chunks(), static_cast<index_t>(s.batch) * s.k),
        scores(simt::Use<float>::output, s.batch, s.k, 3),
        ids(simt::Use<index_t>::output, s.batch, s.k, 2),
        counts(simt::Use<index_t>::output, 1, s.batch) {
    Random random(seed);
    const auto number = [&](index_t, index_t) { return s.ties ? static_cast<float>(random.in(-2, 2)) : random.unit(); };
    queries.fill(number), corpus.fill(number);
    bias.fill([&](index_t, index_t) { return static_cast<float>(random.in(-2, 2)); });
    scale.fill([&](index_t, index_t) { return static_cast<float>(random.in(1, 4)) / 2; });
    for (index_t i = 0; i < allowed.columns(); ++i) allowed(0, i) = random.next() | std::uint64_t{1} << 63;
  }
  TopKArgs args() {
    TopKArgs g{queries.data(), queries.ld(), corpus.data(), corpus.ld(), shape.batch,
               shape.n,        shape.e,      shape.k,       shape.chunk, nullptr};
    if (shape.bias) g.bias = bias.data();
    if (shape.scale) g.scale = scale.data();
    if (shape.allowed) g.allowed = allowed.data();
    g.least = shape.least;
    return g;
  }
  template <int kList>
  std::string run_list(std::uint64_t seed) {
    using Tile = kernels::cuda::TopKTile<kList>;
    TopKArgs g = args();
    g.lists = lists.data();
    const simt::Launch launch{g.chunks(), Tile::kThreads, kernels::cuda::kTopKSharedBytes<kList>, seed,
                              (g.batch + Tile::kRows - 1) / Tile::kRows};
    const std::string wrong = simt::run(launch, [&] { kernels::cuda::topk_kernel<kList>(g); });
    if (!wrong.empty()) return wrong;
    const TopKMergeArgs merge{lists.data(), g.chunks(), g.batch,  g.k,          scores.data(),
                              scores.ld(),  ids.data(), ids.ld(), counts.data()};
    const int each = kernels::cuda::kTopKMergeQueries;
    return simt::run({(g.batch + each - 1) / each, each * 32, 0, seed + 1},
                     [&] { kernels::cuda::topk_merge_kernel<kList>(merge); });
  }
  std::string run(std::uint64_t seed) { return shape.k <= 32 ? run_list<32>(seed) : run_list<128>(seed); }

  double exact(index_t query, index_t row) const {
    double v = 0;
    for (index_t i = 0; i < shape.e; ++i) v += static_cast<double>(queries.at(query, i)) * corpus.at(row, i);
    if (shape.bias) v += bias.at(0, row);
    return shape.scale ? v * scale.at(0, row) : v;
  }
  bool open(index_t row) const {
    return !shape.allowed || (allowed.data()[row / 64] >> static_cast<unsigned>(row % 64) & 1) != 0;
  }
  /// Against double precision: with ties, the same ids; else scores that are right, in order, and none left out that is
  /// clearly above the last one.
  void expect_right() {
    ASSERT_TRUE(scores.written_exactly());
    ASSERT_TRUE(lists.written_exactly());
    for (index_t q = 0; q < shape.batch; ++q) {
      std::vector<std::pair<double, index_t>> all;
      for (index_t r = 0; r < shape.n; ++r)
        if (const double v = exact(q, r); open(r) && v >= static_cast<double>(shape.least)) all.emplace_back(-v, r);
      std::sort(all.begin(), all.end());
      const index_t found = std::min<index_t>(shape.k, static_cast<index_t>(all.size()));
      ASSERT_EQ(counts(0, q), found) << "query " << q;
      for (index_t i = 0; i < shape.k; ++i) {
        if (i >= found) {
          ASSERT_EQ(ids(q, i), -1);
          ASSERT_EQ(scores.at(q, i), -INFINITY);
          continue;
        }
        const auto& [negative, row] = all[static_cast<std::size_t>(i)];
        ASSERT_NEAR(scores.at(q, i), exact(q, ids(q, i)), shape.ties ? 0 : 1e-5) << "query " << q << " place " << i;
        ASSERT_NEAR(scores.at(q, i), -negative, shape.ties ? 0 : 1e-5) << "query " << q << " place " << i;
        if (shape.ties) {
          ASSERT_EQ(ids(q, i), row) << "query " << q << " place " << i;
        }
        if (i > 0) {
          ASSERT_GT(kernels::selection_key(scores.at(q, i - 1), ids(q, i - 1)),
                    kernels::selection_key(scores.at(q, i), ids(q, i)));
        }
      }
    }
  }

  TopKShape shape;
  Tensor<bf16> queries, corpus;
  Tensor<float> bias, scale;
  Tensor<std::uint64_t> allowed, lists;
  Tensor<float> scores;
  Tensor<index_t> ids, counts;
};

void expect_right(const TopKShape& s, std::uint64_t seed) {
  TopKProblem p(s, seed);
  ASSERT_EQ(p.run(seed), "");
  p.expect_right();
}

TEST(CudaTopK, SizesAndLists) {
  const TopKShape shapes[] = {
      {1, 1, 8, 1},         {1, 300, 16, 10},       {5, 129, 24, 32, 128}, {66, 150, 72, 3, 256},
      {3, 70, 40, 33, 128}, {2, 260, 16, 128, 256}, {2, 50, 16, 100, 128}, {3, 500, 200, 7, 384},
  };
  std::uint64_t seed = 0;
  for (TopKShape s : shapes)
    for (const bool ties : {false, true}) {
      s.ties = ties;
      expect_right(s, seed++);
    }
}
TEST(CudaTopK, BiasScaleFilterLeast) {
  std::uint64_t seed = 0;
  for (const int k : {9, 40})
    for (const bool ties : {false, true}) {
      expect_right({.batch = 3, .n = 333, .e = 16, .k = k, .bias = true, .scale = true, .allowed = true, .ties = ties},
                   seed++);
      expect_right({.batch = 2, .n = 200, .e = 8, .k = k, .bias = true, .ties = ties}, seed++);
      expect_right({.batch = 2, .n = 200, .e = 8, .k = k, .scale = true, .least = 2.5f, .ties = ties}, seed++);
    }
  expect_right({.batch = 2, .n = 200, .e = 8, .k = 5, .least = INFINITY}, seed);  // nothing
}
TEST(CudaTopK, NanIsNeverFoundAndZerosAreOne) {
  TopKProblem p({.batch = 1, .n = 40, .e = 8, .k = 40});
  p.queries.fill([](index_t, index_t) { return 1.0f; });
  p.corpus.fill([](index_t row, index_t) { return row % 3 == 0 ? NAN : row % 2 == 0 ? -0.0f : 0.0f; });
  EXPECT_EQ(p.run(1), "");
  index_t at = 0;
  for (index_t row = 0; row < 40; ++row) {
    if (row % 3 == 0) continue;
    EXPECT_EQ(p.ids(0, at++), row);
  }
  EXPECT_EQ(p.counts(0, 0), at);
  EXPECT_EQ(p.ids(0, at), -1);
}
// What is found does not depend on chunks, other queries, or the length of lists.
TEST(CudaTopK, BitsDependOnQueryAndCorpusAlone) {
  const TopKShape s{.batch = 66, .n = 400, .e = 136, .k = 20};
  TopKShape coarse = s, one = s, longer = s;
  coarse.chunk = 512, one.batch = 1, longer.k = 40;
  TopKProblem fine(s, 4), whole(coarse, 4), wide(longer, 4), alone(one, 5);
  alone.queries.fill([&](index_t, index_t i) { return fine.queries.at(65, i); });
  alone.corpus.fill([&](index_t r, index_t i) { return fine.corpus.at(r, i); });
  std::uint64_t seed = 0;
  for (TopKProblem* p : {&fine, &whole, &wide, &alone}) EXPECT_EQ(p->run(++seed), "");
  for (index_t q = 0; q < s.batch; ++q) {
    EXPECT_EQ(fine.scores.row(q), whole.scores.row(q));
    EXPECT_EQ(fine.ids.row(q), whole.ids.row(q));
    for (index_t i = 0; i < s.k; ++i) {
      EXPECT_EQ(fine.scores.at(q, i), wide.scores.at(q, i));
      EXPECT_EQ(fine.ids(q, i), wide.ids(q, i));
    }
  }
  EXPECT_EQ(alone.scores.row(0), fine.scores.row(65));
  EXPECT_EQ(alone.ids.row(0), fine.ids.row(65));
}
TEST(CudaTopK, KeysOfTheCpu) {
  for (const float score : {0.0f, -0.0f, 1.5f, -1.5f, INFINITY, -INFINITY, 1e-40f, -1e-40f})
    for (const int row : {0, 1, 77, 2147483647}) {
      const std::uint64_t key = kernels::cuda::topk_key(score, row);
      EXPECT_EQ(key, kernels::selection_key(score, row));
      EXPECT_EQ(kernels::cuda::score_of_key(key), score);
      EXPECT_EQ(kernels::cuda::row_of_key(key), row);
    }
}
TEST(CudaTopK, Chunks) {
  using kernels::cuda::topk_chunk;
  EXPECT_EQ(topk_chunk(100, 1, 132), 128);
  EXPECT_EQ(topk_chunk(1 << 20, 1, 132), 32 * 128);  // 8192 tiles for 264 blocks
  EXPECT_EQ(topk_chunk(1 << 20, 64 * 264, 132), 1 << 20);
  for (const int n : {1, 1000, 12345, 1000000})
    for (const int batch : {1, 65, 5000}) {
      const int chunk = topk_chunk(n, batch, 108);
      EXPECT_EQ(chunk % 128, 0);
      EXPECT_GE(chunk, 128);
    }
}

}  // namespace
}  // namespace tessera::test
