// Pooling, its kernel run on the host.
#include <tessera/cuda/pool.cuh>

#include <cmath>
#include <numeric>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::PoolArgs;
using kernels::cuda::Pooling;
using simt::Tensor;

constexpr Pooling kModes[] = {Pooling::cls, Pooling::mean,          Pooling::mean_sqrt,
                              Pooling::max, Pooling::weighted_mean, Pooling::last};

template <class X>
struct PoolProblem {
  explicit PoolProblem(const std::vector<int>& list, int c, std::uint64_t seed = 1)
      : lengths(list),
        x(simt::Use<X>::input, std::accumulate(list.begin(), list.end(), 0), c, 8),
        weights(simt::Use<float>::input, 1, x.rows()),
        cu_seqlens(simt::Use<std::int32_t>::input, 1, static_cast<index_t>(list.size()) + 1),
        out(simt::Use<float>::output, static_cast<index_t>(list.size()), c, 3) {
    Random random(seed);
    x.fill([&](index_t, index_t) { return random.unit() - 0.5f; });
    weights.fill([&](index_t, index_t) { return random.unit() + 1.5f; });
    std::int32_t end = 0;
    cu_seqlens(0, 0) = 0;
    for (std::size_t i = 0; i < list.size(); ++i) cu_seqlens(0, static_cast<index_t>(i) + 1) = end += list[i];
  }
  std::string run(Pooling mode, bool weigh, std::uint64_t seed) {
    const int c = static_cast<int>(x.columns());
    const PoolArgs<X> g{
        x.data(), x.ld(), cu_seqlens.data(), out.data(), out.ld(), c, mode, weigh ? weights.data() : nullptr};
    return simt::run({(c + kernels::cuda::kPoolColumns - 1) / kernels::cuda::kPoolColumns, kernels::cuda::kPoolWarps * 32,
                      kernels::cuda::kPoolSharedBytes, seed, static_cast<int>(lengths.size())},
                     [&] { kernels::cuda::pool_kernel(g); });
  }
  double exact(std::size_t b, index_t c, Pooling mode, bool weigh) const {
    const index_t begin = cu_seqlens.data()[b], length = lengths[b];
    if (length == 0) return 0;
    if (mode == Pooling::cls) return x.at(begin, c);
    if (mode == Pooling::last) return x.at(begin + length - 1, c);
    double sum = 0, total = 0, largest = -INFINITY;
    for (index_t t = 0; t < length; ++t) {
      const double weight = mode != Pooling::weighted_mean ? 1
                            : weigh                        ? weights.at(0, begin + t)
                                                           : static_cast<double>(t + 1);
      sum += weight * x.at(begin + t, c), total += weight;
      largest = std::max<double>(largest, x.at(begin + t, c));
    }
    return mode == Pooling::max ? largest : sum / (mode == Pooling::mean_sqrt ? std::sqrt(total) : total);
  }
  testing::AssertionResult right(Pooling mode, bool weigh) const {
    if (const auto written = out.written_exactly(); !written) return written;
    for (std::size_t b = 0; b < lengths.size(); ++b)
      for (index_t c = 0; c < x.columns(); ++c) {
        const double e = exact(b, c, mode, weigh), got = out.at(static_cast<index_t>(b), c);
        const bool copied = mode == Pooling::cls || mode == Pooling::last || mode == Pooling::max;
        if (!(std::fabs(got - e) <= (copied ? 0 : 1e-6 * (1 + std::fabs(e)))))
          return testing::AssertionFailure() << "sequence " << b << " column " << c << ": " << got << ", not " << e;
      }
    return testing::AssertionSuccess();
  }

  std::vector<int> lengths;
  Tensor<X> x;
  Tensor<float> weights;
  Tensor<std::int32_t> cu_seqlens;
  Tensor<float> out;
};

TEST(CudaPool, EveryMode) {
  std::uint64_t seed = 0;
  for (const Pooling mode : kModes)
    for (const int c : {8, 264}) {
      PoolProblem<float> f({1, 0, 37, 8, 9}, c, seed);
      EXPECT_EQ(f.run(mode, false, seed), "");
      EXPECT_TRUE(f.right(mode, false)) << static_cast<int>(mode);
      PoolProblem<bf16> h({16, 2, 0}, c, seed);
      EXPECT_EQ(h.run(mode, mode == Pooling::weighted_mean, ++seed), "");
      EXPECT_TRUE(h.right(mode, true)) << static_cast<int>(mode);
    }
}
TEST(CudaPool, BitsDependOnTheSequenceAlone) {
  for (const Pooling mode : kModes) {
    PoolProblem<float> batch({5, 50, 3}, 40), alone({50}, 40);
    alone.x.fill([&](index_t t, index_t c) { return batch.x.at(t + 5, c); });
    EXPECT_EQ(batch.run(mode, false, 1), "");
    EXPECT_EQ(alone.run(mode, false, 2), "");
    EXPECT_EQ(alone.out.row(0), batch.out.row(1));
  }
}
TEST(CudaPool, NanStaysInItsColumn) {
  for (const Pooling mode : {Pooling::mean, Pooling::max, Pooling::weighted_mean})
    for (const index_t bad : {3, 4, 12}) {
      PoolProblem<float> p({3, 10, 4}, 16);
      p.x(bad, 7) = NAN;
      EXPECT_EQ(p.run(mode, false, 1), "");
      for (index_t b = 0; b < 3; ++b)
        for (index_t c = 0; c < 16; ++c) EXPECT_EQ(std::isnan(p.out.at(b, c)), b == (bad > 3 ? 1 : bad / 3) && c == 7);
    }
}

}  // namespace
}  // namespace tessera::test
