// Linear layers with weights of bf16 in a fast context: on a matrix unit (Intel's AMX, Arm's BFMMLA) they have an order of
// its own, the same whatever the batch and the threads. Where there is none those tests are skipped and say so;
// tests/bits/neon_fast.sh runs them on an emulated one.
#include <cmath>

#include <tessera/ops.hpp>
#include <tessera/ops/detail/product.hpp>
#include "reference/linear.hpp"
#include "support/bfmmla.hpp"
#include "support/errors.hpp"
#include "support/packed.hpp"
#include "support/random.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

bool has(Isa wanted) {
  for (const Isa isa : available_isas())
    if (isa == wanted) return true;
  return false;
}
struct MatrixUnit : testing::Test {
  Isa isa = Isa::generic;
  void SetUp() override {
    for (const Isa i : available_isas())
      if (has_matrix_unit(i)) isa = i;
    if (isa == Isa::generic) GTEST_SKIP() << "no matrix unit on this machine, or none for this process";
  }
  Context fast_context(int threads) const { return Context(ContextOptions{.threads = threads, .isa = &isa, .fast = true}); }
};

float upper_half(float x) { return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x) & 0xffff0000U); }
Matrix numbers(index_t rows, index_t columns, std::uint64_t seed) {  // that are bf16 as they stand
  Matrix m = filled(rows, columns, {.seed = seed, .pad = 3});
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) m(r, c) = upper_half(m(r, c));
  return m;
}

// AMX, for every 32 k: a chain over the first elements of pairs and one over the second, together added to the sum.
float sum_by_amx(const Matrix& x, index_t t, const Matrix& w, index_t n) {
  float sum = 0;
  for (index_t k = 0; k < x.columns; k += 32) {
    float part[2] = {0, 0};
    for (index_t i = k; i < k + 32 && i < x.columns; ++i) part[i % 2] = std::fma(x(t, i), w(n, i), part[i % 2]);
    sum += part[0] + part[1];
  }
  return sum;
}
float sum_by_bfmmla(const Matrix& x, index_t t, const Matrix& w, index_t n) {
  float sum = 0;
  for (index_t k = 0; k < x.columns; k += 4) {
    float row[4] = {}, column[4] = {};
    for (index_t i = k; i < k + 4 && i < x.columns; ++i) row[i - k] = without_subnormal(x(t, i)), column[i - k] = w(n, i);
    sum = bfmmla(sum, row, column);
  }
  return sum;
}
Matrix expected_by(Isa isa, const Matrix& x, const Matrix& w) {
  Matrix want = poisoned(x.rows, w.rows, 4);
  for (index_t t = 0; t < x.rows; ++t)
    for (index_t n = 0; n < w.rows; ++n) want(t, n) = isa == Isa::amx ? sum_by_amx(x, t, w, n) : sum_by_bfmmla(x, t, w, n);
  return want;
}

// AMX's tiles have 32 or 16 rows and 32 or 16 columns, its instructions 32 k; BFMMLA's tiles 8 rows and 8 columns, the
// instruction 2 rows, 2 columns and 4 k. Parts of k are 2048.
constexpr LinearShape kShapes[] = {{1, 1, 1},    {1, 17, 16},  {2, 32, 15},    {3, 2, 9},      {4, 3, 8},      {5, 4, 7},
                                   {6, 5, 24},   {7, 6, 25},   {8, 7, 17},     {9, 8, 31},     {15, 31, 33},   {16, 33, 64},
                                   {17, 64, 65}, {33, 63, 49}, {32, 96, 80},   {49, 65, 128},  {100, 512, 40}, {25, 257, 48},
                                   {241, 5, 20}, {490, 3, 70}, {60, 2050, 70}, {61, 2053, 70}, {250, 4100, 17}};

TEST_F(MatrixUnit, IsTheOrderOfTheInstruction) {
  Context ctx = fast_context(1);
  for (const LinearShape& s : kShapes) {
    poison_arena(ctx);
    const Matrix x = numbers(s.t, s.k, 3), w = numbers(s.n, s.k, 4);
    Matrix out = poisoned(s.t, s.n, 4);
    ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
    ASSERT_EQ(out.bits(), expected_by(isa, x, w).bits()) << s.t << "x" << s.k << "x" << s.n;
    EXPECT_TRUE(close("linear", out, ref::linear({.x = x.in(), .w = w.in()}))) << s.t << "x" << s.k << "x" << s.n;
  }
}
TEST_F(MatrixUnit, EpiloguesGatesAndRoundedRows) {
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
TEST_F(MatrixUnit, RowsAreRoundedToNearestEven) {
  Context ctx = fast_context(1), usual(Isa::generic, 1);
  // W is the identity, so what comes out is A as it was rounded: what the usual products make of it.
  const index_t k = 70;
  Matrix x = filled(9, k, {.seed = 5, .pad = 3}), w(k, k, 0), out = poisoned(9, k, 2), want = poisoned(9, k, 2);
  for (index_t i = 0; i < k; ++i)
    for (index_t j = 0; j < k; ++j) w(i, j) = i == j ? 1.0f : 0.0f;
  x(0, 0) = __builtin_bit_cast(float, 0x3f808000U), x(0, 1) = __builtin_bit_cast(float, 0x3f818000U);  // halfway
  x(0, 2) = 0x1.ffp-127f, x(0, 3) = 0x1p-149f, x(0, 4) = 0x1p-126f;
  ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
  ops::linear(usual, x.in(), packed_bf16(usual, w), {}, want.out());
  EXPECT_EQ(out.bits(), want.bits());
}
TEST_F(MatrixUnit, ThreadsAndRowsAloneChangeNoBit) {
  for (const LinearShape s : {LinearShape{1000, 3, 70}, {293, 40, 100}, {1, 20, 300}, {50, 7, 1}, {35, 4100, 330}})
    expect_no_other_bits(isa, s, DType::bf16, true);
}
TEST_F(MatrixUnit, OnlyWeightsOfBf16MayHaveOtherBits) {
  Context usual(Isa::generic, 1), exact(isa, 1), fast = fast_context(1);
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
// Subnormal numbers, overflows, infinities and NaN as the instruction has them, and in their own row and column.
TEST_F(MatrixUnit, SpecialNumbersOfBfmmla) {
  if (isa != Isa::neon_bf16) GTEST_SKIP() << "another matrix unit: " << isa_name(isa);
  Context ctx = fast_context(1);
  const float odd[] = {0.0f,    -0.0f,    0x1p-127f,   -0x1p-133f,   0x1p-126f, -0x1p-126f, 0x1p-64f, -0x1p-63f,
                       0x1p63f, -0x1p64f, 0x1.fep127f, -0x1.fep127f, INFINITY,  -INFINITY,  NAN,      1.0f};
  Random random(7);
  for (const index_t k : {index_t{1}, index_t{2}, index_t{3}, index_t{5}, index_t{70}}) {
    Matrix x = numbers(37, k, 5), w = numbers(90, k, 6), out = poisoned(37, 90, 4);
    for (Matrix* m : {&x, &w})
      for (index_t r = 0; r < m->rows; r += 2)
        for (int i = 0; i < 2; ++i) (*m)(r, random.in(0, k - 1)) = odd[random.in(0, 15)];
    ops::linear(ctx, x.in(), packed_bf16(ctx, w), {}, out.out());
    EXPECT_EQ(out.bits(), expected_by(isa, x, w).bits()) << k;
  }
}
// What runs on every machine: the rounding that these tests hold BFMMLA to, and that only a matrix unit has another order.
TEST(Bfmmla, RoundsToOdd) {
  const float least = 0x1p-126f, most = __builtin_bit_cast(float, 0x7f7fffffU), infinity = INFINITY;
  EXPECT_EQ(add_to_odd(1, 2), 3.0f);
  EXPECT_EQ(add_to_odd(1, 0x1p-25f), 0x1.000002p0f);    // up, as the last bit of 1 is even
  EXPECT_EQ(add_to_odd(1, -0x1p-60f), 0x1.fffffep-1f);  // what is below 1 ends in an odd bit
  EXPECT_EQ(add_to_odd(0x1.000002p0f, 0x1.8p-24f), 0x1.000002p0f);
  EXPECT_EQ(add_to_odd(-1, -0x1p-149f), -1.0f);  // a subnormal number counts as zero
  EXPECT_EQ(add_to_odd(-1, -0x1p-126f), -0x1.000002p0f);
  EXPECT_EQ(add_to_odd(0x1.8p-126f, -least), 0.0f);
  EXPECT_TRUE(std::signbit(add_to_odd(-0x1.8p-126f, least)));  // and keeps its sign
  EXPECT_FALSE(std::signbit(add_to_odd(1, -1)));
  EXPECT_EQ(add_to_odd(most, 0x1p100f), most);  // odd already: only what reaches 2^128 is an infinity
  EXPECT_EQ(add_to_odd(most, most), infinity);
  EXPECT_EQ(__builtin_bit_cast(std::uint32_t, add_to_odd(infinity, -infinity)), 0x7fc00000U);
  EXPECT_EQ(product_to_odd(0x1p-64f, 0x1p-62f), least);
  EXPECT_EQ(product_to_odd(0x1p-64f, -0x1.fep-63f), 0.0f);
  EXPECT_EQ(product_to_odd(-0x1p64f, 0x1p64f), -infinity);
  EXPECT_TRUE(std::isnan(product_to_odd(0x1p-130f, infinity)));
  // The pair's sum first: 2^-24 and 2^-24 make 2^-23, each alone would be lost in a rounding to nearest.
  EXPECT_EQ(bfmmla(1, {0x1p-12f, 0x1p-12f, 0, 0}, {0x1p-12f, 0x1p-12f, 0, 0}), 0x1.000002p0f);
}
TEST(FastContext, HasTheUsualBitsWithoutAMatrixUnit) {
  const Matrix x = filled(37, 70, {.seed = 1}), w = filled(90, 70, {.seed = 2});
  for (const Isa isa : available_isas()) {
    if (has_matrix_unit(isa)) continue;
    Context usual(isa, 1), fast(ContextOptions{.threads = 2, .isa = &isa, .fast = true});
    for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
      Matrix a = poisoned(37, 90), b = poisoned(37, 90);
      ops::linear(usual, x.in(), packed_as(usual, w, type), {.act = Activation::gelu_erf}, a.out());
      ops::linear(fast, x.in(), packed_as(fast, w, type), {.act = Activation::gelu_erf}, b.out());
      EXPECT_EQ(a.bits(), b.bits()) << isa_name(isa);
    }
  }
}
TEST(FastContext, EveryProductKnowsThePeakOfItsInstruction) {
  for (const Isa isa : available_isas())
    for (const bool fast : {false, true}) {
      Context ctx(ContextOptions{.threads = 1, .isa = &isa, .fast = fast});
      for (const DType type : {DType::bf16, DType::i8}) {
        const kernels::Peak peak = ops::detail::rounded_gemm(ctx, type)->peak;
        ASSERT_TRUE(peak.run != nullptr && peak.flops > 0) << isa_name(isa) << ", " << dtype_name(type);
        const volatile float keep = peak.run(3);
        (void)keep;
      }
    }
}
TEST(FastContext, HasTheUsualIsaAndItsLanesAreFast) {
  Context usual(2), fast(ContextOptions{.threads = 2, .fast = true});
  EXPECT_EQ(usual.isa(), fast.isa());
  EXPECT_FALSE(usual.fast() || usual.lane(1).fast());
  EXPECT_TRUE(fast.fast() && fast.lane(1).fast());
  for (const Isa isa : {Isa::amx, Isa::neon_bf16})
    if (!has(isa)) TESSERA_EXPECT_ERROR(Code::kUnsupported, isa_name(isa), Context(isa, 1));
}

}  // namespace
