// Late interaction, its kernel run on the host.
#include <tessera/cuda/maxsim.cuh>

#include <cmath>
#include <numeric>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::MaxSimArgs;
using kernels::cuda::MaxSimTile;
using simt::Tensor;

struct MaxSimProblem {
  MaxSimProblem(const std::vector<int>& of_queries, const std::vector<int>& of_documents, int e, std::uint64_t seed = 1)
      : q_lengths(of_queries),
        d_lengths(of_documents),
        queries(simt::Use<bf16>::input, total(of_queries), e, 8 + (8 - e % 8) % 8),
        documents(simt::Use<bf16>::input, total(of_documents), e, (8 - e % 8) % 8),
        cu_q(simt::Use<std::int32_t>::input, 1, static_cast<index_t>(of_queries.size()) + 1),
        cu_d(simt::Use<std::int32_t>::input, 1, static_cast<index_t>(of_documents.size()) + 1),
        scores(simt::Use<float>::output, static_cast<index_t>(of_queries.size()), static_cast<index_t>(of_documents.size()),
               5) {
    Random random(seed);
    const auto any = [&](index_t, index_t) { return random.unit(); };
    queries.fill(any), documents.fill(any);
    const auto offsets = [](Tensor<std::int32_t>& cu, const std::vector<int>& lengths) {
      cu(0, 0) = 0;
      for (std::size_t i = 0; i < lengths.size(); ++i)
        cu(0, static_cast<index_t>(i) + 1) = cu(0, static_cast<index_t>(i)) + lengths[i];
    };
    offsets(cu_q, of_queries), offsets(cu_d, of_documents);
  }
  static index_t total(const std::vector<int>& lengths) { return std::accumulate(lengths.begin(), lengths.end(), 0); }
  std::string run(std::uint64_t seed) {
    const MaxSimArgs g{queries.data(),   queries.ld(),   cu_q.data(),
                       documents.data(), documents.ld(), cu_d.data(),
                       scores.data(),    scores.ld(),    static_cast<int>(queries.columns())};
    return simt::run({static_cast<int>(d_lengths.size()), MaxSimTile::kThreads, MaxSimTile::kSharedBytes, seed,
                      static_cast<int>(q_lengths.size())},
                     [&] { kernels::cuda::maxsim_kernel(g); });
  }
  /// NaN passed over.
  double exact(index_t b, index_t n) const {
    double sum = 0;
    for (index_t i = cu_q.data()[b]; i < cu_q.data()[b + 1]; ++i) {
      double most = -INFINITY;
      for (index_t j = cu_d.data()[n]; j < cu_d.data()[n + 1]; ++j) {
        double v = 0;
        for (index_t c = 0; c < queries.columns(); ++c) v += static_cast<double>(queries.at(i, c)) * documents.at(j, c);
        if (v > most) most = v;
      }
      sum += most;
    }
    return sum;
  }
  void expect_right() {
    ASSERT_TRUE(scores.written_exactly());
    for (index_t b = 0; b < scores.rows(); ++b)
      for (index_t n = 0; n < scores.columns(); ++n) {
        const double e = exact(b, n);
        if (std::isinf(e)) {
          EXPECT_EQ(scores.at(b, n), static_cast<float>(e)) << b << ", " << n;
        } else {
          EXPECT_NEAR(scores.at(b, n), e, 2e-5 * (1 + std::fabs(e))) << b << ", " << n;
        }
      }
  }

  std::vector<int> q_lengths, d_lengths;
  Tensor<bf16> queries, documents;
  Tensor<std::int32_t> cu_q, cu_d;
  Tensor<float> scores;
};

TEST(CudaMaxSim, RaggedQueriesAndDocuments) {
  std::uint64_t seed = 0;
  for (const int e : {8, 20, 128, 200}) {
    MaxSimProblem p({1, 32, 0, 7, 70}, {64, 1, 0, 65, 130, 33}, e, seed);
    EXPECT_EQ(p.run(seed++), "");
    p.expect_right();
  }
}
// All products below zero: what is beyond the document's end, zeros, is not the largest.
TEST(CudaMaxSim, NegativeProducts) {
  MaxSimProblem p({5, 40}, {3, 70}, 16);
  p.queries.fill([](index_t t, index_t c) { return 1.0f + static_cast<float>((t + c) % 3); });
  p.documents.fill([](index_t t, index_t c) { return -1.0f - static_cast<float>((t * 5 + c) % 4); });
  EXPECT_EQ(p.run(2), "");
  p.expect_right();
}
TEST(CudaMaxSim, NanIsPassedOver) {
  MaxSimProblem p({4, 3}, {5, 1, 66}, 24);
  p.documents(2, 7) = p.documents(5, 0) = p.documents(70, 23) = bf16{0x7fc0};
  EXPECT_EQ(p.run(1), "");
  p.expect_right();
}
TEST(CudaMaxSim, BitsDependOnQueryAndDocumentAlone) {
  MaxSimProblem batch({3, 40, 9}, {12, 90, 5}, 72), alone({40}, {90}, 72);
  alone.queries.fill([&](index_t t, index_t c) { return batch.queries.at(3 + t, c); });
  alone.documents.fill([&](index_t t, index_t c) { return batch.documents.at(12 + t, c); });
  EXPECT_EQ(batch.run(1), "");
  EXPECT_EQ(alone.run(2), "");
  EXPECT_EQ(alone.scores.at(0, 0), batch.scores.at(1, 1));
}

}  // namespace
}  // namespace tessera::test
