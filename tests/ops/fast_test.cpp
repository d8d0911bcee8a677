// Linear layers with weights of bf16 in a fast context: on the matrix unit they have an order of their own, the same
// whatever the batch and the threads. Where there is none those tests are skipped and say so.
#include <cmath>

#include <tessera/ops.hpp>
#include "reference/linear.hpp"
#include "support/errors.hpp"
#include "support/packed.hpp"
#include "support/random.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

bool has_amx() {
  for (const Isa isa : available_isas())
    if (isa == Isa::amx) return true;
  return false;
}
struct Amx : testing::Test {
  void SetUp() override {
    if (!has_amx() || !detail::permit_amx()) GTEST_SKIP() << "no matrix unit on this machine, or none for this process";
  }
};
Context fast_context(int threads) {
  static constexpr Isa kAmx = Isa::amx;
  return Context(ContextOptions{.threads = threads, .isa = &kAmx, .fast = true});
}

float upper_half(float x) { return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x) & 0xffff0000U); }
Matrix numbers(index_t rows, index_t columns, std::uint64_t seed) {  // that are bf16 as they stand
  Matrix m = filled(rows, columns, {.seed = seed, .pad = 3});
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) m(r, c) = upper_half(m(r, c));
  return m;
}

// For every 32 k: a chain over the first elements of pairs and one over the second, together added to the sum.
float sum_of(const Matrix& x, index_t t, const Matrix& w, index_t n) {
  float sum = 0;
  for (index_t k = 0; k < x.columns; k += 32) {
    float part[2] = {0, 0};
    for (index_t i = k; i < k + 32 && i < x.columns; ++i) part[i % 2] = std::fma(x(t, i), w(n, i), part[i % 2]);
    sum += part[0] + part[1];
  }
  return sum;
}

// Tiles have 32 or 16 rows and 32 or 16 columns, instructions 32 k, parts of k 2048.
constexpr LinearShape kShapes[] = {{1, 1, 1},     {1, 17, 16},  {2, 32, 15},  {15, 31, 33},   {16, 33, 64},
                                   {17, 64, 65},  {33, 63, 49}, {32, 96, 80}, {49, 65, 128},  {100, 512, 40},
                                   {25, 257, 48}, {241, 5, 20}, {490, 3, 70}, {60, 2050, 70}, {250, 4100, 100}};

TEST_F(Amx, IsTheOrderOfTheInstruction) {
  Context ctx = fast_context(1);
  for (const LinearShape& s : kShapes) {
    poison_arena(ctx);
    const Matrix x = numbers(s.t, s.k, 3), w = numbers(s.n, s.k, 4);
    Matrix out = poisoned(s.t, s.n, 4), want = poisoned(s.t, s.n, 4);
    ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
    for (index_t t = 0; t < s.t; ++t)
      for (index_t n = 0; n < s.n; ++n) want(t, n) = sum_of(x, t, w, n);
    ASSERT_EQ(out.bits(), want.bits()) << s.t << "x" << s.k << "x" << s.n;
  }
}
TEST_F(Amx, EpiloguesGatesAndRoundedRows) {
  Context ctx = fast_context(2);
  for (const bool glu : {false, true})
    for (const Activation act : {Activation::identity, Activation::gelu_erf}) {
      const Matrix x = numbers(37, 70, 1), w = numbers(90, 70, 2), up = numbers(90, 70, 3),
                   bias = filled(1, glu ? 180 : 90, {.seed = 4}), residual = filled(37, 90, {.seed = 6, .pad = 3});
      WeightView gate = w.in(), other = up.in();
      gate.packed = other.packed = DType::bf16;
      const PackedWeight weight = glu ? ops::pack_weight_glu(ctx, gate, other) : ops::pack_weight(ctx, gate);
      Matrix out = poisoned(37, 90, 2);
      ops::linear(ctx, x.in(), weight, {.bias = bias.row(), .act = act, .glu = glu, .residual = residual.in()}, out.out());
      ref::LinearArgs a{.x = x.in(), .w = w.in(), .bias = bias.row(), .act = act};
      a.residual = residual.in();
      if (glu) a.up = up.in();
      EXPECT_TRUE(close("linear", out, ref::linear(a))) << glu;
    }
}
TEST_F(Amx, ThreadsAndRowsAloneChangeNoBit) {
  for (const LinearShape s : {LinearShape{1000, 3, 70}, {293, 40, 100}, {1, 20, 300}, {50, 7, 1}, {130, 4100, 640}})
    expect_no_other_bits(Isa::amx, s, DType::bf16, true);
}
TEST_F(Amx, OnlyWeightsOfBf16MayHaveOtherBits) {
  Context usual(Isa::avx512, 1), exact(Isa::amx, 1), fast = fast_context(1);
  const Matrix x = filled(37, 70, {.seed = 1}), w = filled(90, 70, {.seed = 2});
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    const PackedWeight weight = packed_as(usual, w, type);
    Matrix a = poisoned(37, 90), b = poisoned(37, 90), c = poisoned(37, 90);
    ops::linear(usual, x.in(), weight, {.act = Activation::gelu_erf}, a.out());
    ops::linear(exact, x.in(), weight, {.act = Activation::gelu_erf}, b.out());
    ops::linear(fast, x.in(), weight, {.act = Activation::gelu_erf}, c.out());
    EXPECT_EQ(a.bits(), b.bits());
    EXPECT_EQ(a.bits() == c.bits(), type != DType::bf16);
  }
}
// What runs on every machine: only the matrix unit is asked for another order.
TEST(FastContext, HasTheUsualBitsWithoutAMatrixUnit) {
  const Matrix x = filled(37, 70, {.seed = 1}), w = filled(90, 70, {.seed = 2});
  for (const Isa isa : available_isas()) {
    if (isa == Isa::amx) continue;
    Context usual(isa, 1), fast(ContextOptions{.threads = 2, .isa = &isa, .fast = true});
    for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
      Matrix a = poisoned(37, 90), b = poisoned(37, 90);
      ops::linear(usual, x.in(), packed_as(usual, w, type), {.act = Activation::gelu_erf}, a.out());
      ops::linear(fast, x.in(), packed_as(fast, w, type), {.act = Activation::gelu_erf}, b.out());
      EXPECT_EQ(a.bits(), b.bits()) << isa_name(isa);
    }
  }
}
TEST(FastContext, HasTheUsualIsaAndItsLanesAreFast) {
  Context usual(2), fast(ContextOptions{.threads = 2, .fast = true});
  EXPECT_EQ(usual.isa(), fast.isa());
  EXPECT_FALSE(usual.fast() || usual.lane(1).fast());
  EXPECT_TRUE(fast.fast() && fast.lane(1).fast());
  if (!has_amx()) TESSERA_EXPECT_ERROR(Code::kUnsupported, "'amx'", Context(Isa::amx, 1));
}

}  // namespace
