// Patch embedding against a projection of patches that a plain loop gathers, bit for bit; positions against torch.
#include <tessera/ops/patch.hpp>

#include <string>
#include <vector>

#include <tessera/io.hpp>
#include <tessera/ops/gemm.hpp>
#include "support/backends.hpp"
#include "support/poison.hpp"
#include "support/row_error.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Patch : OpsTest {};
TESSERA_ON_EVERY_ISA(Patch);

// A clip whose frames are padded in every dimension; bytes and the planes of their values.
struct Clip {
  std::vector<std::vector<std::uint8_t>> bytes;
  std::vector<std::vector<float>> planes;
  Matrix values;
  std::vector<ops::Pixels> as_bytes, as_planes;
  Clip(index_t frames, index_t c, index_t h, index_t w, std::uint64_t seed) : values(filled(c, 256, {.seed = seed})) {
    Random random(seed + 1);
    const index_t px = c + 1, row = w * px + 5, line = w * 2 + 3, plane = h * line + 7;
    for (index_t f = 0; f < frames; ++f) {
      auto& b = bytes.emplace_back(static_cast<std::size_t>(h * row), std::uint8_t{99});
      auto& p = planes.emplace_back(static_cast<std::size_t>(c * plane), __builtin_bit_cast(float, kPoison));
      for (index_t y = 0; y < h; ++y)
        for (index_t x = 0; x < w; ++x)
          for (index_t k = 0; k < c; ++k) {
            const auto v = static_cast<std::uint8_t>(random.next());
            b[static_cast<std::size_t>(y * row + x * px + k)] = v;
            p[static_cast<std::size_t>(k * plane + y * line + x * 2)] = values(k, v);
          }
    }
    for (index_t f = 0; f < frames; ++f) {
      ops::Pixels a, b;
      a.bytes = View<const std::uint8_t, 3>(bytes[static_cast<std::size_t>(f)].data(), h, w, c);
      a.bytes.stride[0] = row, a.bytes.stride[1] = px;
      a.values = values.in();
      b.planes = View<const float, 3>(planes[static_cast<std::size_t>(f)].data(), c, h, w);
      b.planes.stride[0] = plane, b.planes.stride[1] = line, b.planes.stride[2] = 2;
      as_bytes.push_back(a), as_planes.push_back(b);
    }
  }
};

struct Case {
  ops::PatchShape shape;
  index_t frames, height, width, channels;
};
const Case kCases[] = {{{3, 1, 7, 7}, 1, 28, 35, 20},     {{3, 1, 14, 14}, 1, 45, 30, 17}, {{1, 1, 1, 1}, 1, 5, 3, 65},
                       {{3, 1, 16, 16}, 1, 224, 192, 70}, {{3, 2, 4, 5}, 4, 9, 16, 33},    {{2, 3, 2, 2}, 8, 6, 7, 5}};

TEST_P(Patch, EqualsTheProjectionOfGatheredPatches) {
  for (const Case& k : kCases)
    for (const int parts : {0, 1, 2, 3}) {  // bias, positions
      const Clip clip(k.frames, k.shape.channels, k.height, k.width, 5);
      const index_t gf = k.frames / k.shape.frames, gh = k.height / k.shape.height, gw = k.width / k.shape.width;
      const index_t tokens = gf * gh * gw, size = k.shape.size();
      Matrix patches(tokens, size, 0);
      index_t t = 0;
      for (index_t f = 0; f < gf; ++f)
        for (index_t y = 0; y < gh; ++y)
          for (index_t x = 0; x < gw; ++x, ++t) {
            index_t at = 0;
            for (index_t c = 0; c < k.shape.channels; ++c)
              for (index_t df = 0; df < k.shape.frames; ++df)
                for (index_t dy = 0; dy < k.shape.height; ++dy)
                  for (index_t dx = 0; dx < k.shape.width; ++dx, ++at)
                    patches(t, at) = clip.as_planes[static_cast<std::size_t>(f * k.shape.frames + df)].planes(
                        c, y * k.shape.height + dy, x * k.shape.width + dx);
          }
      const Matrix weight = filled(k.channels, size, {.seed = 2}), bias = filled(1, k.channels, {.seed = 3}),
                   table = filled(tokens, k.channels, {.seed = 4, .pad = 2});
      const PackedWeight w = ops::pack_weight(ctx, weight.in());
      const auto b = parts & 1 ? bias.row() : View<const float, 1>();
      const auto p = parts & 2 ? table.in() : View<const float, 2>();
      Matrix want = poisoned(tokens, k.channels, 3);
      ops::linear(ctx, patches.in(), w, {.bias = b, .residual = p}, want.out());
      const auto check = [&](Context& own) {
        for (const auto& pixels : {clip.as_bytes, clip.as_planes}) {
          Matrix out = poisoned(tokens, k.channels, 3);
          ops::patch_embed(own, k.shape, pixels, w, b, p, out.out());
          EXPECT_EQ(out.bits(), want.bits()) << k.height << "x" << k.width << " parts " << parts;
        }
      };
      check(ctx);
      with_threads(check);
    }
}

TEST_P(Patch, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  Clip clip(2, 3, 8, 8, 1);
  const Matrix weight = filled(10, 48, {.seed = 2}), bias = filled(1, 9, {.seed = 3});
  const PackedWeight w = ops::pack_weight(ctx, weight.in());
  Matrix out = poisoned(4, 10, 1);
  const auto before = out.bits();
  const ops::PatchShape shape{3, 1, 4, 4};
  const std::span<const ops::Pixels> one(clip.as_bytes.data(), 1);
  const auto run = [&](const ops::PatchShape& s, std::span<const ops::Pixels> pixels, View<const float, 1> b,
                       View<float, 2> o) { ops::patch_embed(ctx, s, pixels, w, b, {}, o); };
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "patch", run({3, 1, 4, 5}, one, {}, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", run(shape, clip.as_bytes, {}, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bias", run(shape, one, bias.row(), out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "empty", run({3, 1, 4, 0}, one, {}, out.out()));
  const PackedWeight gated = ops::pack_weight_glu(ctx, weight.in(), weight.in());
  Matrix wide_out = poisoned(4, 20, 0);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "glu", ops::patch_embed(ctx, shape, one, gated, {}, {}, wide_out.out()));
  ops::Pixels bare = clip.as_bytes[0];
  bare.values = {};
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "values", run(shape, {&bare, 1}, {}, out.out()));
  ops::Pixels gray = clip.as_bytes[0];
  gray.bytes.extent[2] = 1;
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels", run(shape, {&gray, 1}, {}, out.out()));
  clip.as_bytes[1].bytes.extent[0] = 4;
  Matrix two = poisoned(8, 10, 0);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "sizes", run(shape, clip.as_bytes, {}, two.out()));
  EXPECT_EQ(out.bits(), before);
}

TEST_P(Patch, PositionsEqualTorch) {
  const auto golden = io::SafeTensors::open(TESSERA_GOLDENS "/positions.safetensors");
  const std::pair<std::string, ops::PositionInterpolation> modes[] = {
      {"bicubic", ops::PositionInterpolation::bicubic},
      {"bicubic_antialias", ops::PositionInterpolation::bicubic_antialias},
      {"bilinear_antialias", ops::PositionInterpolation::bilinear_antialias}};
  int compared = 0;
  for (const std::string& name : golden.names())
    for (const auto& [mode, how] : modes) {
      if (!name.starts_with("out.") || name.find("." + mode + ".") == std::string::npos) continue;
      const auto table = golden.at("table." + name.substr(4, 1)).as<float, 3>();
      const auto want = golden.at(name).as<float, 3>();
      const index_t c = want.extent[2], rows = want.extent[0] * want.extent[1];
      Matrix out = poisoned(rows, c, 0);
      ops::interpolate_positions(ctx, how, table, View<float, 3>(out.data(), want.extent[0], want.extent[1], c));
      EXPECT_LE(worst_row_error(out.in(), want.data), 1e-6) << name;
      ++compared;
    }
  EXPECT_EQ(compared, 24);
}

TEST_P(Patch, PositionsOfTheSameGridStayToTheBit) {
  const Matrix table = filled(20, 9, {.seed = 1});
  for (const auto how : {ops::PositionInterpolation::bicubic, ops::PositionInterpolation::bicubic_antialias,
                         ops::PositionInterpolation::bilinear_antialias}) {
    Matrix out = poisoned(20, 9, 0);
    ops::interpolate_positions(ctx, how, View<const float, 3>(table.data(), 4, 5, 9), View<float, 3>(out.data(), 4, 5, 9));
    EXPECT_EQ(out.bits(), table.bits());
  }
}

}  // namespace
