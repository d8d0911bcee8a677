// Row normalisations, their kernels run on the host.
#include <tessera/cuda/norm.cuh>

#include <cmath>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::Norm;
using simt::Tensor;

struct NormShape {
  int rows, c;
  index_t pad = 8;
  bool weights = true, residual = false;
  float spread = 1, mean = 0;
};

template <class X, class Y>
struct NormProblem {
  explicit NormProblem(const NormShape& s, std::uint64_t seed = 1)
      : shape(s),
        x(simt::Use<X>::input, s.rows, s.c, s.pad),
        residual(simt::Use<X>::input, s.rows, s.c, s.pad + 8),
        sum(simt::Use<X>::output, s.rows, s.c, s.pad),
        y(simt::Use<Y>::output, s.rows, s.c, s.pad),
        gamma(simt::Use<float>::input, 1, s.c),
        beta(simt::Use<float>::input, 1, s.c) {
    Random random(seed);
    const auto any = [&](index_t, index_t) { return random.unit(); };
    x.fill([&](index_t, index_t) { return s.mean + s.spread * random.unit(); });
    residual.fill(any), gamma.fill(any), beta.fill(any);
  }
  template <Norm kNorm>
  std::string run(std::uint64_t seed) {
    const auto g = args();
    const simt::Launch launch{(shape.rows + kernels::cuda::kNormRows - 1) / kernels::cuda::kNormRows,
                              kernels::cuda::kNormRows * 32, 0, seed};
    switch (kernels::cuda::norm_pieces(shape.c)) {
      case 2: return simt::run(launch, [&] { kernels::cuda::norm_kernel<kNorm, 2>(g); });
      case 4: return simt::run(launch, [&] { kernels::cuda::norm_kernel<kNorm, 4>(g); });
      case 8: return simt::run(launch, [&] { kernels::cuda::norm_kernel<kNorm, 8>(g); });
      default: return "too many columns";
    }
  }
  kernels::cuda::NormArgs<X, Y> args() {
    kernels::cuda::NormArgs<X, Y> g{x.data(), x.ld(), y.data(), y.ld(), shape.rows, shape.c, 1e-6f};
    if (shape.weights) g.gamma = gamma.data(), g.beta = beta.data();
    if (shape.residual) g.residual = residual.data(), g.ldr = residual.ld(), g.sum = sum.data(), g.lds = sum.ld();
    return g;
  }
  /// Against double precision, over the numbers as they are stored.
  template <Norm kNorm>
  testing::AssertionResult right() {
    if (const auto written = y.written_exactly(); !written) return written;
    if (shape.residual) {
      if (const auto written = sum.written_exactly(); !written) return written;
    }
    const double rounding = sizeof(Y) == 2 ? 0x1p-8 : 3e-6;
    for (index_t r = 0; r < shape.rows; ++r) {
      std::vector<double> row;
      for (index_t j = 0; j < shape.c; ++j) {
        float v = x.at(r, j);
        if (shape.residual) {
          v = simt::to_host_float(simt::from_host_float<X>(v + residual.at(r, j)));
          if (sum.at(r, j) != v) return testing::AssertionFailure() << "sum of row " << r << " column " << j;
        }
        row.push_back(v);
      }
      double mean = 0, square = 0;
      for (const double v : row) mean += kNorm == Norm::layer ? v / shape.c : 0;
      for (const double v : row) square += (v - mean) * (v - mean);
      const double divisor = kNorm == Norm::l2 ? std::max(std::sqrt(square), 1e-6) : std::sqrt(square / shape.c + 1e-6);
      for (index_t j = 0; j < shape.c; ++j) {
        double v = (row[static_cast<std::size_t>(j)] - mean) / divisor;
        const double size = std::fabs(v) + std::fabs(mean / divisor) * 0.1 + 1;
        if (kNorm != Norm::l2 && shape.weights) v *= gamma.at(0, j);
        if (kNorm == Norm::layer && shape.weights) v += beta.at(0, j);
        if (!(std::fabs(y.at(r, j) - v) <= rounding * size))
          return testing::AssertionFailure() << "row " << r << " column " << j << ": " << y.at(r, j) << ", not " << v;
      }
    }
    return testing::AssertionSuccess();
  }

  NormShape shape;
  Tensor<X> x, residual, sum;
  Tensor<Y> y;
  Tensor<float> gamma, beta;
};

template <Norm kNorm, class X, class Y>
void expect_right(const NormShape& s, std::uint64_t seed) {
  NormProblem<X, Y> p(s, seed);
  EXPECT_EQ(p.template run<kNorm>(seed), "");
  EXPECT_TRUE(p.template right<kNorm>()) << s.rows << " x " << s.c;
}
constexpr NormShape kShapes[] = {{1, 8},
                                 {5, 16},
                                 {4, 8, 0},
                                 {9, 264},
                                 {3, 256, 16},
                                 {2, 512, 8},
                                 {3, 384, 0, true, true},
                                 {5, 768, 8, false, true},
                                 {2, 1000, 24, true, true},
                                 {2, 2048, 0},
                                 {3, 56, 8, true, false, 0.25f, 30}};

TEST(CudaNorm, LayerNorm) {
  std::uint64_t seed = 0;
  for (const NormShape& s : kShapes) {
    expect_right<Norm::layer, bf16, bf16>(s, seed++);
    expect_right<Norm::layer, float, float>(s, seed++);
    expect_right<Norm::layer, float, bf16>(s, seed++);
  }
}
TEST(CudaNorm, RmsNormAndL2) {
  std::uint64_t seed = 0;
  for (const NormShape& s : kShapes) {
    expect_right<Norm::rms, bf16, bf16>(s, seed++);
    expect_right<Norm::rms, float, float>(s, seed++);
    expect_right<Norm::l2, float, float>(s, seed++);
    expect_right<Norm::l2, float, bf16>(s, seed++);
  }
  NormProblem<float, float> zero({.rows = 2, .c = 24});
  zero.x.fill([](index_t, index_t) { return 0.0f; });
  EXPECT_EQ(zero.run<Norm::l2>(1), "");
  EXPECT_TRUE(zero.right<Norm::l2>());
}
TEST(CudaNorm, BitsDependOnTheRowAlone) {
  NormProblem<float, float> batch({.rows = 7, .c = 304}), again({.rows = 7, .c = 304});
  EXPECT_EQ(batch.run<Norm::layer>(1), "");
  EXPECT_EQ(again.run<Norm::layer>(2), "");
  NormProblem<float, float> alone({.rows = 1, .c = 304});
  alone.x.fill([&](index_t, index_t c) { return batch.x.at(5, c); });
  alone.gamma.fill([&](index_t, index_t c) { return batch.gamma.at(0, c); });
  alone.beta.fill([&](index_t, index_t c) { return batch.beta.at(0, c); });
  EXPECT_EQ(alone.run<Norm::layer>(3), "");
  EXPECT_EQ(alone.y.row(0), batch.y.row(5));
  for (index_t r = 0; r < 7; ++r) EXPECT_EQ(batch.y.row(r), again.y.row(r));
}
TEST(CudaNorm, InPlace) {
  NormProblem<bf16, bf16> apart({.rows = 5, .c = 72, .residual = true}, 3);
  EXPECT_EQ(apart.run<Norm::rms>(1), "");
  Tensor<bf16> stream(simt::Use<bf16>::output, 5, 72, 8);
  stream.fill([&](index_t r, index_t c) { return apart.residual.at(r, c); });
  auto g = apart.args();
  g.residual = g.sum = stream.data(), g.ldr = g.lds = stream.ld();
  EXPECT_EQ(simt::run({2, 128, 0, 4}, [&] { kernels::cuda::norm_kernel<Norm::rms, 2>(g); }), "");
  for (index_t r = 0; r < 5; ++r) EXPECT_EQ(stream.row(r), apart.sum.row(r));
}
TEST(CudaNorm, NanStaysInItsRow) {
  for (const float bad : {NAN, INFINITY}) {
    NormProblem<float, float> p({.rows = 5, .c = 40});
    p.x(2, 39) = bad;
    EXPECT_EQ(p.run<Norm::layer>(1), "");
    for (index_t r = 0; r < 5; ++r) EXPECT_EQ(std::isnan(p.y.at(r, 32)), r == 2);
  }
}
TEST(CudaNorm, PiecesHaveRoom) {
  EXPECT_EQ(kernels::cuda::norm_pieces(512), 2);
  EXPECT_EQ(kernels::cuda::norm_pieces(520), 4);
  EXPECT_EQ(kernels::cuda::norm_pieces(1024), 4);
  EXPECT_EQ(kernels::cuda::norm_pieces(1032), 8);
  EXPECT_EQ(kernels::cuda::norm_pieces(kernels::cuda::kNormMostColumns), 8);
  EXPECT_EQ(kernels::cuda::norm_pieces(kernels::cuda::kNormMostColumns + 8), 0);
}

}  // namespace
}  // namespace tessera::test
