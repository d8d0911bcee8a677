// The f32 GEMM, its kernel run on the host: against double precision, and the CPU's product bit by bit.
#include <tessera/cuda/gemm_f32.cuh>

#include <cmath>

#include <tessera/ops/gemm.hpp>
#include "cuda/simt/block.hpp"
#include "cuda/simt/host_view.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::F32Tile;
using kernels::cuda::GemmF32Args;
using simt::Tensor;

struct F32Shape {
  int m, n, k;
  Activation act = Activation::identity;
  bool bias = false, scale = false, residual = false, gated = false;
  int residual_rows = 0;
};

struct F32Problem {
  explicit F32Problem(const F32Shape& s, std::uint64_t seed = 1)
      : shape(s),
        a(simt::Use<float>::input, s.m, s.k, 4 + (4 - s.k % 4) % 4),
        w(simt::Use<float>::input, s.gated ? 2 * s.n : s.n, s.k, 8 + (4 - s.k % 4) % 4),
        c(simt::Use<float>::output, s.m, s.n, 3),
        residual(simt::Use<float>::input, s.residual_rows > 0 ? s.residual_rows : s.m, s.n, 5),
        bias(simt::Use<float>::input, 1, s.gated ? 2 * s.n : s.n),
        scale(simt::Use<float>::input, 1, s.n) {
    Random random(seed);
    const auto any = [&](index_t, index_t) { return random.unit(); };
    a.fill(any), w.fill(any), residual.fill(any), bias.fill(any), scale.fill(any);
  }
  GemmF32Args args() {
    GemmF32Args g{{a.data(), a.ld(), w.data(), w.ld(), shape.m, shape.n, shape.k}, c.data(), c.ld()};
    if (shape.residual) g.residual = residual.data(), g.ldr = residual.ld(), g.residual_rows = shape.residual_rows;
    g.epilogue = {shape.bias ? bias.data() : nullptr, shape.scale ? scale.data() : nullptr, shape.act};
    return g;
  }
  std::string run(std::uint64_t seed) {
    const GemmF32Args g = args();
    const int columns = F32Tile::columns_of_c(shape.gated);
    const simt::Launch launch{(shape.m + F32Tile::kRows - 1) / F32Tile::kRows * ((shape.n + columns - 1) / columns),
                              F32Tile::kThreads, F32Tile::kSharedBytes, seed};
    return simt::run(launch, [&] {
      if (shape.gated) {
        kernels::cuda::gemm_f32_kernel<true>(g);
      } else {
        kernels::cuda::gemm_f32_kernel<false>(g);
      }
    });
  }
  double sum(index_t row, index_t of_w) const {
    double v = shape.bias ? static_cast<double>(bias.at(0, of_w)) : 0;
    for (index_t k = 0; k < shape.k; ++k) v += static_cast<double>(a.at(row, k)) * w.at(of_w, k);
    return v;
  }
  /// Products without an activation, to 1e-6 of the magnitudes that a sum has.
  testing::AssertionResult right() const {
    if (const auto written = c.written_exactly(); !written) return written;
    for (index_t r = 0; r < shape.m; ++r)
      for (index_t j = 0; j < shape.n; ++j) {
        double e = sum(r, j);
        if (shape.gated) e *= sum(r, shape.n + j);
        if (shape.scale) e *= scale.at(0, j);
        if (shape.residual) e += residual.at(shape.residual_rows > 0 ? r % shape.residual_rows : r, j);
        if (!(std::fabs(c.at(r, j) - e) <= 1e-6 * (shape.k + 2)))
          return testing::AssertionFailure() << "row " << r << " column " << j << ": " << c.at(r, j) << ", not " << e;
      }
    return testing::AssertionSuccess();
  }
  /// What the CPU makes of the same.
  void expect_bits_of_cpu() {
    Context ctx(1);
    PackedWeight packed;
    if (shape.gated) {
      packed = ops::pack_weight_glu(ctx, simt::rows_of(w, 0, shape.n), simt::rows_of(w, shape.n, 2 * shape.n));
    } else {
      packed = ops::pack_weight(ctx, simt::rows_of(w, 0, shape.n));
    }
    ops::Epilogue e;
    e.act = shape.act, e.glu = shape.gated;
    if (shape.bias) e.bias = simt::numbers_of(bias);
    if (shape.scale) e.channel_scale = simt::numbers_of(scale);
    if (shape.residual) e.residual = simt::rows_of(residual, 0, shape.m);
    std::vector<float> expected(static_cast<std::size_t>(shape.m * shape.n));
    ops::linear(ctx, simt::rows_of(a, 0, shape.m), packed, e, View<float, 2>(expected.data(), shape.m, shape.n));
    for (index_t r = 0; r < shape.m; ++r)
      for (index_t j = 0; j < shape.n; ++j)
        ASSERT_EQ(c.at(r, j), expected[static_cast<std::size_t>(r * shape.n + j)]) << "row " << r << " column " << j;
  }

  F32Shape shape;
  Tensor<float> a, w, c, residual, bias, scale;
};

TEST(CudaGemmF32, RaggedSizes) {
  constexpr F32Shape kShapes[] = {
      {1, 1, 1},    {17, 9, 8},    {65, 63, 72}, {64, 64, 64},
      {3, 70, 200}, {130, 3, 101}, {1, 8, 0},    {66, 67, 96, Activation::identity, true, true, true}};
  std::uint64_t seed = 0;
  for (const F32Shape& s : kShapes) {
    F32Problem p(s, seed);
    EXPECT_EQ(p.run(seed++), "");
    EXPECT_TRUE(p.right()) << s.m << " x " << s.n << " x " << s.k;
  }
  for (const F32Shape& s : {F32Shape{.m = 7, .n = 37, .k = 40, .bias = true, .gated = true},
                            F32Shape{.m = 21, .n = 5, .k = 12, .residual = true, .residual_rows = 7}}) {
    F32Problem p(s, seed);
    EXPECT_EQ(p.run(seed++), "");
    EXPECT_TRUE(p.right());
  }
}
TEST(CudaGemmF32, BitsOfTheCpu) {
  std::uint64_t seed = 0;
  for (const Activation act : {Activation::identity, Activation::gelu_erf, Activation::gelu_tanh, Activation::quick_gelu,
                               Activation::silu, Activation::tanh})
    for (const bool gated : {false, true}) {
      F32Problem p({.m = 19, .n = 45, .k = 140, .act = act, .bias = true, .scale = true, .residual = true, .gated = gated},
                   seed);
      EXPECT_EQ(p.run(seed++), "");
      p.expect_bits_of_cpu();
    }
}
TEST(CudaGemmF32, NanStaysInItsRow) {
  F32Problem p({20, 16, 70}, 3);
  p.a(7, 69) = NAN;
  EXPECT_EQ(p.run(2), "");
  for (index_t r = 0; r < 20; ++r)
    for (index_t c = 0; c < 16; ++c) EXPECT_EQ(std::isnan(p.c.at(r, c)), r == 7);
}

}  // namespace
}  // namespace tessera::test
