// From pixels to tokens, the kernels run on the host.
#include <tessera/cuda/patchify.cuh>

#include "cuda/gemm_problem.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::PatchifyArgs;

struct PatchShape {
  int images = 1, height = 16, width = 16;  // of an image
  int channels = 3, frames = 1, patch_height = 8, patch_width = 8, prefix = 0;
  index_t pad = 0, pad_row = 5;
};

struct PatchProblem {
  explicit PatchProblem(const PatchShape& s, std::uint64_t seed = 1)
      : shape(s),
        pixels(simt::Use<std::uint8_t>::input, static_cast<index_t>(s.images) * s.frames * s.height, s.width * s.channels,
               s.pad_row),
        values(simt::Use<float>::input, s.channels, 256),
        out(simt::Use<bf16>::output, args_without_out().tokens() * s.images, args_without_out().padded_k(), s.pad) {
    Random random(seed);
    for (index_t r = 0; r < pixels.rows(); ++r)
      for (index_t c = 0; c < pixels.columns(); ++c) pixels(r, c) = static_cast<std::uint8_t>(random.in(0, 255));
    values.fill([&](index_t channel, index_t byte) {
      return (static_cast<float>(byte) / 255.0f - 0.4f - 0.05f * static_cast<float>(channel)) / 0.27f;
    });
  }
  PatchifyArgs args_without_out() {
    const index_t row = pixels.ld();
    return {pixels.data(),
            row * shape.height,
            row,
            values.data(),
            nullptr,
            0,
            shape.images,
            shape.prefix,
            shape.height / shape.patch_height,
            shape.width / shape.patch_width,
            shape.channels,
            shape.frames,
            shape.patch_height,
            shape.patch_width};
  }
  PatchifyArgs args() {
    PatchifyArgs g = args_without_out();
    g.out = out.data(), g.ldo = out.ld();
    return g;
  }
  std::string run(std::uint64_t seed) {
    const PatchifyArgs g = args();
    return simt::run({g.blocks_of_image(), kernels::cuda::kPatchifyThreads, 0, seed, g.images},
                     [&] { kernels::cuda::patchify_kernel(g); });
  }
  /// What the row of a token holds: 0 for the prefix.
  float exact(index_t row, index_t k) {
    const PatchifyArgs g = args();
    const index_t image = row / g.tokens(), patch = row % g.tokens() - g.prefix;
    if (patch < 0 || k >= g.k()) return 0;
    const index_t x = k % g.width, y = k / g.width % g.height, frame = k / (g.width * g.height) % g.frames,
                  channel = k / (g.width * g.height * g.frames);
    const index_t of_row = (image * g.frames + frame) * shape.height + patch / g.columns * g.height + y;
    const std::uint8_t byte = pixels(of_row, (patch % g.columns * g.width + x) * g.channels + channel);
    return simt::to_host_float(simt::host_bf16(values.at(channel, byte)));
  }
  void expect_right(std::uint64_t seed) {
    EXPECT_EQ(out.columns(), (args().k() + 7) / 8 * 8);
    EXPECT_EQ(run(seed), "");
    EXPECT_TRUE(out.written_exactly());
    for (index_t r = 0; r < out.rows(); ++r)
      for (index_t k = 0; k < out.columns(); ++k) ASSERT_EQ(out.at(r, k), exact(r, k)) << "row " << r << ", k " << k;
  }

  PatchShape shape;
  Tensor<std::uint8_t> pixels;
  Tensor<float> values;
  Tensor<bf16> out;
};

TEST(CudaPatchify, EveryPixelOfEveryPatch) {
  const PatchShape shapes[] = {
      {},
      {.images = 2, .height = 33, .width = 50, .patch_height = 16, .patch_width = 16, .prefix = 1, .pad = 8},
      {.images = 3, .height = 30, .width = 43, .patch_height = 14, .patch_width = 14, .prefix = 5},  // k = 588
      {.images = 2, .height = 7, .width = 20, .channels = 1, .patch_height = 7, .patch_width = 5, .pad_row = 0},
      {.images = 2, .height = 9, .width = 12, .frames = 2, .patch_height = 3, .patch_width = 4, .prefix = 2},
      {.images = 1, .height = 4, .width = 4, .channels = 4, .frames = 3, .patch_height = 1, .patch_width = 2},
  };
  std::uint64_t seed = 0;
  for (const PatchShape& s : shapes) PatchProblem(s, seed).expect_right(seed), ++seed;
}

// Patches, their product with the projection, positions and the class token: all tokens of two images at their places.
TEST(CudaPatchify, TokensOfImages) {
  PatchProblem p({.images = 2, .height = 30, .width = 43, .patch_height = 14, .patch_width = 14, .prefix = 1});
  EXPECT_EQ(p.run(3), "");
  const PatchifyArgs g = p.args();
  GemmShape s{.m = 2 * g.tokens(), .n = 21, .k = g.padded_k(), .pad = 0, .residual = true, .residual_rows = g.tokens()};
  GemmProblem<float> product(s);
  for (index_t n = 0; n < s.n; ++n)  // weights end where the patch does
    for (index_t k = g.k(); k < g.padded_k(); ++k) product.w(n, k) = bf16{};
  product.a.fill([&](index_t r, index_t k) { return p.exact(r, k); });
  GemmArgs<float> args = product.args();
  args.a = p.out.data(), args.lda = p.out.ld();
  using Tile = kernels::cuda::GemmTile64x64;
  EXPECT_EQ(simt::run({1, Tile::kThreads, Tile::kSharedBytes, 1}, [&] { kernels::cuda::gemm_kernel<Tile, false>(args); }),
            "");
  EXPECT_TRUE(product.right());
  for (index_t n = 0; n < s.n; ++n)  // the class token, with its position
    for (const index_t image : {0, 1}) EXPECT_EQ(product.c.at(image * g.tokens(), n), product.residual.at(0, n));
}

}  // namespace
}  // namespace tessera::test
