// Linear layers with weights of bf16: each element is the documented chain, bit for bit, on every instruction set.
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <tessera/ops.hpp>
#include "reference/bf16.hpp"
#include "support/backends.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Bf16 : OpsTest {};
TESSERA_ON_EVERY_ISA_OF(Bf16, kernels::Bf16GemmTable);

Matrix rounded(const Matrix& m) {
  Matrix out(m.rows, m.columns, 0);
  for (index_t r = 0; r < m.rows; ++r)
    for (index_t c = 0; c < m.columns; ++c) out(r, c) = ref::rounded(m(r, c));
  return out;
}

// x . w as vdpbf16ps sums it.
float chain(const Matrix& x, index_t t, const Matrix& w, index_t n) {
  float sum = 0;
  const auto step = [&](index_t k) {
    sum = ref::bf16_step(sum, k < x.columns ? x(t, k) : 0.f, k < x.columns ? w(n, k) : 0.f);
  };
  for (index_t k = 0; k < x.columns; k += 2) step(k + 1), step(k);
  return sum;
}

constexpr LinearShape kShapes[] = {{1, 1, 1},    {1, 17, 16},  {2, 2, 15},     {3, 15, 17},    {5, 16, 63},   {6, 31, 64},
                                   {7, 64, 65},  {8, 65, 128}, {11, 1, 129},   {12, 100, 40},  {13, 257, 33}, {25, 512, 48},
                                   {241, 5, 20}, {490, 3, 70}, {60, 2050, 70}, {250, 2049, 10}};

TEST_P(Bf16, IsTheDocumentedChainBitForBit) {
  for (const LinearShape& s : kShapes) {
    poison_arena(ctx);
    const Matrix x = filled(s.t, s.k, {.seed = 3, .pad = 5}), w = filled(s.n, s.k, {.seed = 4, .pad = 3});
    Matrix out = poisoned(s.t, s.n, 4), want = poisoned(s.t, s.n, 4);
    ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
    for (index_t t = 0; t < s.t; ++t)
      for (index_t n = 0; n < s.n; ++n) want(t, n) = chain(x, t, w, n);
    ASSERT_EQ(out.bits(), want.bits()) << s.t << "x" << s.k << "x" << s.n;
  }
}
TEST_P(Bf16, NumbersOfAllSizesAndSubnormalOnes) {
  // Few rows meet words as they are, many (kWidenRows) words that are taken apart.
  for (const index_t rows : {9, 40})
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      // Products and sums around the smallest normal number, and wide ones.
      Matrix x = filled(rows, 38, {.seed = seed}), w = filled(50, 38, {.seed = seed + 50});
      for (index_t c = 0; c < 38; ++c) {
        const float scale = std::ldexp(1.f, static_cast<int>(seed < 4 ? -62 - c % 5 : 30 - 3 * c));
        for (index_t r = 0; r < rows; ++r) x(r, c) *= scale;
        for (index_t r = 0; r < 50; ++r) w(r, c) *= scale;
      }
      x(0, 3) = 1e-40f, x(1, 4) = -0.f, x(2, 5) = -3e-39f, w(0, 3) = 1e30f, w(7, 5) = 2e-39f, w(8, 0) = 1e38f;
      x(3, 6) = std::bit_cast<float>(0x007fffffU), w(9, 6) = 1e38f, w(10, 4) = std::bit_cast<float>(0x807fffffU),
           x(4, 4) = 1e38f;
      Matrix out = poisoned(rows, 50), want = poisoned(rows, 50);
      ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
      for (index_t t = 0; t < rows; ++t)
        for (index_t n = 0; n < 50; ++n) want(t, n) = chain(x, t, w, n);
      EXPECT_EQ(promised_bits(out), promised_bits(want)) << seed;
    }
}
TEST_P(Bf16, RoundsToEvenAndKeepsInfinityAndNan) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto bits = [](std::uint32_t b) { return std::bit_cast<float>(b); };
  const float numbers[] = {bits(0x3f808000),
                           bits(0x3f818000),
                           bits(0x3f808001),
                           bits(0x3f817fff),
                           bits(0xbf808000),
                           bits(0x7f7fffff),
                           bits(0xff7f7fff),
                           inf,
                           -inf,
                           nan,
                           bits(0x7f800001),
                           bits(0xffffffff),
                           0.f,
                           -0.f};
  const auto count = static_cast<index_t>(std::size(numbers));
  Matrix x(count, 2, 0), w(17, 2, 0);
  for (index_t t = 0; t < count; ++t) x(t, 0) = numbers[t], x(t, 1) = 0;
  for (index_t n = 0; n < 17; ++n) w(n, 0) = 1, w(n, 1) = 1;
  Matrix out = poisoned(count, 17);
  ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
  for (index_t t = 0; t < count; ++t) {
    const float want = ref::rounded(numbers[t]) + 0.f;
    for (index_t n = 0; n < 17; ++n)
      EXPECT_TRUE(std::isnan(want) ? std::isnan(out(t, n)) : out(t, n) == want) << t << " " << n << " " << out(t, n);
  }
}
TEST_P(Bf16, EpiloguesAreThoseOfF32) {
  const auto drawn = [](index_t rows, std::uint64_t seed) { return rounded(filled(rows, 40, {.seed = seed})); };
  for (const index_t rows : {9, 40}) expect_epilogues_of_f32(ctx, DType::bf16, drawn(rows, 1), drawn(70, 2), drawn(70, 3));
}
TEST_P(Bf16, ThreadsAndRowsAloneChangeNoBit) {
  for (const LinearShape s :
       {LinearShape{1000, 3, 70}, {500, 11, 600}, {293, 9, 100}, {1, 20, 300}, {26, 33, 200}, {50, 7, 1}, {130, 2060, 640}})
    expect_no_other_bits(GetParam(), s, DType::bf16);
}
TEST_P(Bf16, CheckpointTypesPackTheSameOnEveryIsa) {
  for (const index_t n : {1, 16, 50, 131})
    for (const index_t k : {1, 19, 64, 96}) {
      std::vector<std::uint16_t> half(static_cast<std::size_t>(n * k));
      std::vector<float> wide(half.size());
      for (std::size_t i = 0; i < half.size(); ++i) {
        half[i] = static_cast<std::uint16_t>(i * 2654435761U >> 7 & 0xbfffU);  // finite
        wide[i] = std::bit_cast<float>(std::uint32_t{half[i]} << 16);
      }
      WeightView v;
      v.data = reinterpret_cast<const std::byte*>(half.data()), v.dtype = v.packed = DType::bf16;
      v.extent[0] = n, v.extent[1] = v.stride[0] = k, v.stride[1] = 1;
      WeightView f = View<const float, 2>(wide.data(), n, k);
      f.packed = DType::bf16;
      Context other(isas().front(), 3);
      const PackedWeight a = ops::pack_weight(ctx, v), b = ops::pack_weight(other, f);
      ASSERT_EQ(a.bytes(), static_cast<std::size_t>((n + 15) / 16 * 16 * ((k + 1) / 2) * 4));
      ASSERT_EQ(a.bytes(), b.bytes());
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.bytes()), 0) << n << " " << k;
      const auto* words = reinterpret_cast<const std::uint16_t*>(a.data());  // the layout itself
      for (index_t r = 0; r < n; ++r)
        for (index_t c = 0; c < k; ++c)
          ASSERT_EQ(words[((r / 16 * ((k + 1) / 2) + c / 2) * 16 + r % 16) * 2 + c % 2],
                    half[static_cast<std::size_t>(r * k + c)]);
      const WeightView parts[] = {v.slice(0, n / 2), v.slice(n / 2, n)};
      if (n > 1) {
        const PackedWeight joined = ops::pack_weight(ctx, parts, 2);
        EXPECT_EQ(std::memcmp(joined.data(), a.data(), a.bytes()), 0) << n << " " << k;
      }
    }
}
TEST_P(Bf16, PatchesToo) {
  const ops::PatchShape shape{.channels = 3, .frames = 1, .height = 5, .width = 3};
  const Matrix planes = filled(3 * 20, 12, {.seed = 5}), w = filled(40, 45, {.seed = 6}), bias = filled(1, 40, {.seed = 7});
  std::vector<float> pixels;
  for (index_t r = 0; r < 60; ++r)
    for (index_t c = 0; c < 12; ++c) pixels.push_back(planes(r, c));
  ops::Pixels frame;
  frame.planes = View<const float, 3>(pixels.data(), 3, 20, 12);
  const index_t tokens = 16;
  Matrix out = poisoned(tokens, 40), rows(tokens, 45, 0), want = poisoned(tokens, 40);
  ops::patch_embed(ctx, shape, std::span(&frame, 1), packed_bf16(ctx, w), bias.row(), {}, out.out());
  for (index_t t = 0; t < tokens; ++t)
    for (index_t c = 0; c < 3; ++c)
      for (index_t i = 0; i < 5; ++i)
        for (index_t j = 0; j < 3; ++j) rows(t, (c * 5 + i) * 3 + j) = planes(c * 20 + t / 4 * 5 + i, t % 4 * 3 + j);
  ops::linear(ctx, rows.in(), packed_bf16(ctx, w), {.bias = bias.row()}, want.out());
  EXPECT_EQ(out.bits(), want.bits());
}
TEST_P(Bf16, GatedOnesFitIntoTheScratchThatTheyName) {
  const Matrix x = filled(40, 66, {.seed = 8}), gate = filled(70, 66, {.seed = 9}), up = filled(70, 66, {.seed = 10});
  WeightView parts[] = {gate.in(), up.in()};
  parts[0].packed = parts[1].packed = DType::bf16;
  const PackedWeight w = ops::pack_weight_glu(ctx, parts[0], parts[1]);
  Matrix out = poisoned(40, 70), want = poisoned(40, 70);
  ops::linear(ctx, x.in(), w, {.act = Activation::silu, .glu = true}, want.out());
  Context other(GetParam(), 3);
  other.arena().reserve(64 + ops::linear_scratch(other, 40, 66, DType::bf16, true));
  const ArenaScope scope(other.arena());
  (void)other.arena().carve<char>(1);  // now it cannot grow
  ops::linear(other, x.in(), w, {.act = Activation::silu, .glu = true}, out.out());
  EXPECT_EQ(out.bits(), want.bits());
}
TEST_P(Bf16, RefusesPartsOfTwoTypes) {
  const Matrix a = filled(4, 8), b = filled(4, 8);
  WeightView parts[] = {a.in(), b.in()};
  parts[1].packed = DType::bf16;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "one type", (void)ops::pack_weight(ctx, parts, 2));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "one type", (void)ops::pack_weight_glu(ctx, parts[0], parts[1]));
  parts[0].packed = DType::f16;
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "bf16 or int8", (void)ops::pack_weight(ctx, parts[0]));
}

}  // namespace
