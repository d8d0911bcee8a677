// The GEMM of sm_90a, its kernel run on the host: copies, products and stores happen at any moment that the machine allows.
#include "cuda/sm90_gemm_problem.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::Sm90GemmTile;
using Small = Sm90GemmTile<64, 64, 1, 2, 3>;  // two teams, three stages
using OneTeam = Sm90GemmTile<128, 64, 2, 1, 2>;

/// Rows of C begin on multiples of so many numbers, those of the residual on others that are pairs.
constexpr GemmShape aligned(GemmShape s, index_t numbers) {
  s.pad_c = (numbers - s.n % numbers) % numbers + numbers, s.pad_residual = 2;
  return s;
}

TEST(Sm90Gemm, RaggedSizes) {
  constexpr GemmShape kShapes[] = {{1, 1, 1},    {17, 9, 8},    {65, 63, 72},     {64, 64, 64},  {3, 70, 200},
                                   {70, 3, 457}, {30, 40, 320}, {5, 130, 64, 16}, {33, 20, 129}, {130, 60, 72}};
  std::uint64_t seed = 0;
  for (const GemmShape& s : kShapes) expect_sm90_right<Small, float>(aligned(s, 2), seed++);
  for (const GemmShape& s : kShapes) expect_sm90_right<Small, bf16>(aligned(s, 8), seed++);
}
// More tiles than blocks: the ring goes on over the tiles of a block, and teams take turns.
TEST(Sm90Gemm, ManyTilesABlock) {
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    expect_sm90_right<Small, bf16>({.m = 150, .n = 104, .k = 136, .pad_c = 8}, seed, 3);
    expect_sm90_right<OneTeam, bf16>({.m = 150, .n = 104, .k = 136, .pad_c = 8}, seed, 2);
    expect_sm90_right<OneTeam, float>({.m = 130, .n = 70, .k = 200, .pad_c = 2}, seed);
  }
}
// The tiles that differ in how warpgroups share them; others differ in numbers.
TEST(Sm90Gemm, Tiles) {
  const GemmShape s{.m = 150, .n = 136, .k = 72, .bias = true, .pad_c = 8};
  expect_sm90_right<kernels::cuda::Sm90GemmTile64x256, float>(s, 0);
  expect_sm90_right<kernels::cuda::Sm90GemmTile128x160, bf16>(s, 0);
  expect_sm90_right<kernels::cuda::Sm90GemmTile128x256, bf16>(s, 2);
  expect_sm90_right<kernels::cuda::Sm90GemmTile192x128, bf16>(s, 1);
  expect_sm90_right<kernels::cuda::Sm90GemmTile256x128, float>(s, 2);
}
TEST(Sm90Gemm, Epilogues) {
  const GemmShape all{.m = 70, .n = 40, .k = 40, .bias = true, .scale = true, .residual = true};
  GemmShape odd = all;
  odd.n = 27;
  for (const GemmShape& s : {all, odd}) {
    expect_sm90_right<Small, bf16, false, Activation::gelu_erf>(aligned(s, 8), 1);
    expect_sm90_right<Small, float, false, Activation::quick_gelu>(aligned(s, 2), 2);
  }
  expect_sm90_right<Small, bf16, true, Activation::silu>(aligned(all, 8), 3);
  expect_sm90_right<Small, bf16, true, Activation::silu>(aligned({.m = 20, .n = 72, .k = 130, .bias = true}, 8), 4);
  expect_sm90_right<OneTeam, float, true, Activation::relu>(aligned(all, 2), 5);
}
TEST(Sm90Gemm, RepeatedResidual) {
  const GemmShape s{.m = 69, .n = 40, .k = 40, .bias = true, .residual = true, .residual_rows = 23};
  expect_sm90_right<Small, bf16>(aligned(s, 8), 1);
  expect_sm90_right<Small, float>(aligned(s, 2), 2);
}
// What this kernel does not do is refused with a sentence.
TEST(Sm90Gemm, Refusals) {
  const auto refused = [](const GemmShape& s) {
    GemmProblem<bf16> p(s, 1);
    return s.gated ? run_sm90<Small, true, Activation::silu>(p, 0, 1)
                   : run_sm90<Small, false, Activation::identity>(p, 0, 1);
  };
  EXPECT_EQ(refused({.m = 4, .n = 12, .k = 16, .gated = true, .pad_c = 4}), "a gated product has a multiple of 8 columns");
  EXPECT_EQ(refused({.m = 4, .n = 12, .k = 16, .pad_c = 3}), "rows of C or of the residual are not aligned to pairs");
  EXPECT_EQ(refused({.m = 4, .n = 12, .k = 16, .residual = true, .pad_c = 4}),
            "rows of C or of the residual are not aligned to pairs");
  EXPECT_EQ(refused({.m = 4, .n = 12, .k = 16, .pad_c = 2}), fault_text(kernels::cuda::TensorMapFault::pitch_alignment));
  EXPECT_EQ(refused({.m = 4, .n = 12, .k = 16, .pad = 4, .pad_c = 4}),
            fault_text(kernels::cuda::TensorMapFault::pitch_alignment));
}

TEST(Sm90Gemm, ResidualInPlace) {
  GemmProblem<bf16> apart({.m = 70, .n = 40, .k = 72, .residual = true, .pad_c = 8, .pad_residual = 2}, 5),
      in_place({.m = 70, .n = 40, .k = 72, .pad_c = 8}, 5);
  EXPECT_EQ((run_sm90<Small, false, Activation::identity>(apart, 1, 1)), "");
  in_place.c.fill([&](index_t r, index_t c) { return apart.residual.at(r, c); });
  Sm90GemmArgs<bf16> args{};
  args.c = in_place.c.data(), args.ldc = in_place.c.ld(), args.m = 70, args.n = 40, args.k = 72;
  args.residual = args.c, args.ldr = args.ldc;
  ASSERT_EQ((kernels::cuda::make_sm90_gemm_maps<Small, false>(args, in_place.a.data(), in_place.a.ld(), in_place.w.data(),
                                                              in_place.w.ld())),
            nullptr);
  EXPECT_EQ(simt::run({1, Small::kThreads, Small::kSharedBytes, 2},
                      [&] { kernels::cuda::sm90_gemm_kernel<Small, false, Activation::identity, bf16>(args); }),
            "");
  for (index_t r = 0; r < 70; ++r) EXPECT_EQ(apart.c.row(r), in_place.c.row(r));
}

// Rows of a product alone, in a batch, by any tile, in any order of events, on any number of SMs: one result.
TEST(Sm90Gemm, BitsDependOnTheRowAlone) {
  const GemmShape s{.m = 70, .n = 72, .k = 200, .bias = true, .pad_c = 2};
  GemmProblem<float> batch(s, 9), again(s, 9), tall(s, 9), wide(s, 9);
  EXPECT_EQ((run_sm90<Small, false, Activation::identity>(batch, 0, 1)), "");
  EXPECT_EQ((run_sm90<Small, false, Activation::identity>(again, 4, 3)), "");
  EXPECT_EQ((run_sm90<kernels::cuda::Sm90GemmTile256x128, false, Activation::identity>(tall, 2, 1)), "");
  EXPECT_EQ((run_sm90<kernels::cuda::Sm90GemmTile64x256, false, Activation::identity>(wide, 1, 1)), "");
  for (index_t r = 0; r < s.m; ++r) {
    EXPECT_EQ(batch.c.row(r), again.c.row(r)) << r;
    EXPECT_EQ(batch.c.row(r), tall.c.row(r)) << r;
    EXPECT_EQ(batch.c.row(r), wide.c.row(r)) << r;
  }
  GemmShape one = s;
  one.m = 1;
  GemmProblem<float> alone(one, 9);
  alone.a.fill([&](index_t, index_t k) { return batch.a.at(33, k); });
  alone.w.fill([&](index_t n, index_t k) { return batch.w.at(n, k); });
  alone.bias.fill([&](index_t, index_t n) { return batch.bias.at(0, n); });
  EXPECT_EQ((run_sm90<Small, false, Activation::identity>(alone, 3, 1)), "");
  EXPECT_EQ(alone.c.row(0), batch.c.row(33));
}
TEST(Sm90Gemm, NanStaysInItsRow) {
  GemmProblem<float> p({.m = 20, .n = 16, .k = 70, .pad_c = 2}, 3);
  p.a(7, 69) = bf16{0x7fc0};
  EXPECT_EQ((run_sm90<Small, false, Activation::identity>(p, 2, 1)), "");
  for (index_t r = 0; r < 20; ++r)
    for (index_t c = 0; c < 16; ++c) EXPECT_EQ(std::isnan(p.c.at(r, c)), r == 7);
}

}  // namespace
}  // namespace tessera::test
