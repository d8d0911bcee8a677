// The GEMM of sm_80, its kernel run on the host.
#include "cuda/gemm_problem.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::GemmTile128x128;
using kernels::cuda::GemmTile128x64;
using kernels::cuda::GemmTile64x128;
using kernels::cuda::GemmTile64x64;

template <class Tile, class Out>
void expect_right(const GemmShape& s, std::uint64_t seed) {
  GemmProblem<Out> p(s, seed);
  EXPECT_EQ(run_tile<Tile>(p, seed), "");
  EXPECT_TRUE(p.right()) << s.m << " x " << s.n << " x " << s.k << ", seed " << seed;
}

TEST(CudaGemm, RaggedSizes) {
  constexpr GemmShape kShapes[] = {{1, 1, 1},
                                   {17, 9, 8},
                                   {65, 63, 72},
                                   {64, 64, 64},
                                   {3, 70, 200},
                                   {70, 3, 457},
                                   {30, 40, 320, 0},
                                   {5, 130, 64, 16},
                                   {1, 8, 0},
                                   {33, 20, 129},
                                   {64, 64, 192, 0, Activation::identity, false, false, false, false, 0}};
  std::uint64_t seed = 0;
  for (const GemmShape& s : kShapes) expect_right<GemmTile64x64, float>(s, seed++);
}

// More parts of k than stages, and tiles that are cut on both sides.
TEST(CudaGemm, EveryTile) {
  expect_right<GemmTile64x64, bf16>({.m = 66, .n = 67, .k = 264, .bias = true}, 1);
  expect_right<GemmTile64x128, bf16>({.m = 66, .n = 131, .k = 200}, 2);
  expect_right<GemmTile128x64, float>({.m = 130, .n = 66, .k = 200}, 0);
  expect_right<GemmTile128x128, bf16>({.m = 130, .n = 24, .k = 200, .bias = true}, 1);
}

TEST(CudaGemm, Epilogues) {
  std::uint64_t seed = 0;
  for (const Activation act : {Activation::identity, Activation::gelu_erf, Activation::gelu_tanh, Activation::quick_gelu,
                               Activation::silu, Activation::relu, Activation::tanh})
    for (const bool all : {false, true}) {
      GemmShape s{.m = 20, .n = 27, .k = 40, .act = act, .bias = all, .scale = all, .residual = all, .pad_c = all ? 5 : 1};
      expect_right<GemmTile64x64, float>(s, seed++);
      s.gated = true;
      expect_right<GemmTile64x64, bf16>(s, seed++);
    }
  expect_right<GemmTile64x128, bf16>({.m = 66, .n = 70, .k = 80, .act = Activation::silu, .bias = true, .gated = true}, 3);
}

// Positions of three images.
TEST(CudaGemm, RepeatedResidual) {
  expect_right<GemmTile64x64, bf16>({.m = 69, .n = 26, .k = 40, .bias = true, .residual = true, .residual_rows = 23}, 1);
  expect_right<GemmTile64x64, float>({.m = 70, .n = 26, .k = 40, .residual = true, .residual_rows = 1}, 2);
}
TEST(CudaGemm, ResidualInPlace) {
  GemmProblem<bf16> apart({.m = 40, .n = 24, .k = 72, .residual = true}, 5), in_place({.m = 40, .n = 24, .k = 72}, 5);
  EXPECT_EQ(run_tile<GemmTile64x64>(apart, 1), "");
  in_place.c.fill([&](index_t r, index_t c) { return apart.residual.at(r, c); });
  GemmArgs<bf16> g = in_place.args();
  g.residual = g.c, g.ldr = g.ldc;
  EXPECT_EQ(simt::run({1, GemmTile64x64::kThreads, GemmTile64x64::kSharedBytes, 2},
                      [&] { kernels::cuda::gemm_kernel<GemmTile64x64, false>(g); }),
            "");
  for (index_t r = 0; r < 40; ++r) EXPECT_EQ(apart.c.row(r), in_place.c.row(r));
}

// Rows of a product alone, in a batch, by any tile, in any order of events: one result.
TEST(CudaGemm, BitsDependOnTheRowAlone) {
  const GemmShape s{.m = 70, .n = 72, .k = 200, .act = Activation::gelu_erf, .bias = true};
  GemmProblem<float> batch(s, 9), again(s, 9), by_large(s, 9);
  EXPECT_EQ(run_tile<GemmTile64x64>(batch, 0), "");
  EXPECT_EQ(run_tile<GemmTile64x64>(again, 4), "");
  EXPECT_EQ(run_tile<GemmTile128x128>(by_large, 2), "");
  for (index_t r = 0; r < s.m; ++r) {
    EXPECT_EQ(batch.c.row(r), again.c.row(r)) << r;
    EXPECT_EQ(batch.c.row(r), by_large.c.row(r)) << r;
  }
  for (const index_t r : {0, 33, 69}) {
    GemmShape one = s;
    one.m = 1;
    GemmProblem<float> alone(one, 9);
    alone.a.fill([&](index_t, index_t k) { return batch.a.at(r, k); });
    alone.w.fill([&](index_t n, index_t k) { return batch.w.at(n, k); });
    alone.bias.fill([&](index_t, index_t n) { return batch.bias.at(0, n); });
    EXPECT_EQ(run_tile<GemmTile64x64>(alone, static_cast<std::uint64_t>(r)), "");
    EXPECT_EQ(alone.c.row(0), batch.c.row(r)) << r;
  }
}

// A NaN stays in its row, as it would in a batch of one.
TEST(CudaGemm, NanStaysInItsRow) {
  GemmProblem<float> p({.m = 20, .n = 16, .k = 70, .act = Activation::silu}, 3);
  p.a(7, 69) = bf16{0x7fc0};
  EXPECT_EQ(run_tile<GemmTile64x64>(p, 2), "");
  for (index_t r = 0; r < 20; ++r)
    for (index_t c = 0; c < 16; ++c) EXPECT_EQ(std::isnan(p.c.at(r, c)), r == 7);
}

}  // namespace
}  // namespace tessera::test
