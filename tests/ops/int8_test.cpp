// Linear layers with weights of int8. Where rounding loses nothing the sums are those of integers, whatever cancels; else
// each number is the nearest of the documented ones. The same bits on every instruction set.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <tessera/ops.hpp>
#include "support/backends.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Int8 : OpsTest {};
TESSERA_ON_EVERY_ISA_OF(Int8, kernels::Int8GemmTable);

PackedWeight packed_int8(Context& ctx, const Matrix& w) { return packed_as(ctx, w, DType::i8); }

std::uint32_t hash(index_t a, index_t b, std::uint32_t seed) {
  auto h = static_cast<std::uint32_t>(a * 7919 + b) * 2654435761U ^ seed * 40503U;
  h = (h ^ h >> 15) * 2246822519U;
  return h ^ h >> 13;
}

// Rows that bytes hold exactly: (q - zero) * step, both ends of 0 ... 255 there twice, and one number far beyond them where
// there is room.
Matrix exact_rows(index_t rows, index_t k, std::uint32_t seed, bool outliers) {
  Matrix m(rows, k, 3);
  for (index_t r = 0; r < rows; ++r) {
    const auto zero = static_cast<float>(hash(r, -1, seed) % 256), step = std::ldexp(1.f, -static_cast<int>(r % 5));
    const auto at = [&](index_t i) -> float& { return m(r, (i + r) % k); };
    for (index_t i = 0; i < k; ++i) at(i) = (static_cast<float>(i < 4 ? i / 2 * 255 : hash(r, i, seed) % 256) - zero) * step;
    if (!outliers || k < 6 || r % 3 == 2) continue;
    const auto far = static_cast<float>(600 + hash(r, -2, seed) % 60000);
    at(4 + hash(r, -3, seed) % (k - 4)) = (r % 3 == 0 ? far - zero : 255 - far - zero) * step;
  }
  return m;
}
Matrix exact_weights(index_t n, index_t k, std::uint32_t seed, bool outliers) {
  Matrix m(n, k, 5);
  for (index_t r = 0; r < n; ++r) {
    const float step = std::ldexp(1.f, -3 - static_cast<int>(r % 4));
    const auto at = [&](index_t i) -> float& { return m(r, (i + 3 * r) % k); };
    for (index_t i = 0; i < k; ++i)
      at(i) = static_cast<float>(i < 2 ? 127 : static_cast<int>(hash(r, i, seed) % 255) - 127) * step;
    if (!outliers || k < 6 || r % 3 == 2) continue;
    const auto far = static_cast<float>(215 + hash(r, -2, seed) % 3800);
    at(2 + hash(r, -3, seed) % (k - 2)) = (r % 3 == 0 ? far : -far) * step;
  }
  return m;
}
// Off by the roundings of a few products, however much was cancelled in the sum.
void expect_exact(const Matrix& x, const Matrix& w, const Matrix& out) {
  for (index_t t = 0; t < x.rows; ++t)
    for (index_t n = 0; n < w.rows; ++n) {
      double want = 0;
      for (index_t k = 0; k < x.columns; ++k) want += static_cast<double>(x(t, k)) * static_cast<double>(w(n, k));
      ASSERT_LE(std::fabs(static_cast<double>(out(t, n)) - want), 6e-7 * std::fabs(want))
          << "row " << t << " of " << x.rows << ", channel " << n << " of " << w.rows << ", k " << x.columns;
    }
}

constexpr LinearShape kShapes[] = {{1, 4, 1},       {2, 5, 17},     {3, 6, 16},    {5, 7, 63},    {6, 8, 64},
                                   {7, 63, 65},     {8, 64, 128},   {11, 65, 129}, {12, 100, 40}, {13, 257, 33},
                                   {25, 512, 48},   {33, 66, 80},   {241, 9, 20},  {490, 12, 70}, {60, 2050, 70},
                                   {250, 4100, 10}, {70, 4150, 300}};

TEST_P(Int8, SumsAreThoseOfIntegers) {
  for (const bool outliers : {false, true})
    for (const LinearShape& s : kShapes) {
      poison_arena(ctx);
      const Matrix x = exact_rows(s.t, s.k, 1, outliers), w = exact_weights(s.n, s.k, 2, outliers);
      Matrix out = poisoned(s.t, s.n, 4);
      const PackedWeight weight = packed_int8(ctx, w);
      ASSERT_EQ(weight.dtype(), DType::i8);
      ops::linear(ctx, x.in(), weight, {}, out.out());
      EXPECT_TRUE(written_exactly(out));
      expect_exact(x, w, out);
      if (HasFatalFailure()) return;
    }
}
TEST_P(Int8, LargestSumsOfTheLongestRows) {
  constexpr index_t k = 57344;
  Matrix x(4, k, 0), w(20, k, 0);
  for (index_t r = 0; r < 4; ++r)
    for (index_t i = 0; i < k; ++i) x(r, i) = r % 2 == 0 ? 255 : -255;
  for (index_t r = 0; r < 20; ++r)
    for (index_t i = 0; i < k; ++i) w(r, i) = r % 2 == 0 ? 127 : -127;
  for (index_t r = 2; r < 4; ++r) x(r, 77) *= 65000.f / 255;  // and what outliers add at most
  for (index_t r = 0; r < 20; ++r) w(r, r < 10 ? 77 : 99) *= 30;
  Matrix out = poisoned(4, 20);
  ops::linear(ctx, x.in(), packed_int8(ctx, w), {}, out.out());
  expect_exact(x, w, out);
}
TEST_P(Int8, EachNumberOfARowIsTheNearestOne) {
  constexpr index_t k = 53;
  Matrix unit(k, k, 0);
  for (index_t i = 0; i < k; ++i)
    for (index_t j = 0; j < k; ++j) unit(i, j) = i == j ? 1.f : 0.f;
  Matrix x = filled(60, k, {.seed = 5});
  for (index_t r = 0; r < x.rows; ++r)
    for (index_t i = 0; i < k; ++i) {
      if (r % 4 == 1) x(r, i) = std::fabs(x(r, i));
      if (r % 4 == 2) x(r, i) = -std::fabs(x(r, i));
      if (i == r % k && r % 3 == 0) x(r, i) *= r % 2 == 0 ? 60.f : -60.f;
      if (i == 7) x(r, i) = 0;
      x(r, i) = std::ldexp(x(r, i), static_cast<int>(r) * 3 - 90);
    }
  for (index_t r = 4; r < x.rows; r += 5) {  // a quarter wider by one number: enough to set it apart
    float least = 0, most = 0;
    for (index_t i = 0; i < k; ++i) least = std::min(least, x(r, i)), most = std::max(most, x(r, i));
    x(r, 21) = most + (most - least) / 4;
  }
  for (index_t r = 6; r < x.rows; r += 7) x(r, 30) *= 1e6f;  // further than an outlier may be
  Matrix out = poisoned(60, k);
  ops::linear(ctx, x.in(), packed_int8(ctx, unit), {}, out.out());
  for (index_t r = 0; r < x.rows; ++r) {
    std::vector<double> row;
    for (index_t i = 0; i < k; ++i) row.push_back(static_cast<double>(x(r, i)));
    const auto range = [&] {
      return std::max(0.0, *std::max_element(row.begin(), row.end())) -
             std::min(0.0, *std::min_element(row.begin(), row.end()));
    };
    const double all = range();
    double rest = all;
    for (const bool up : {true, false}) {  // without the end that makes it wider
      const auto end = up ? std::max_element(row.begin(), row.end()) : std::min_element(row.begin(), row.end());
      const double was = *end;
      *end = 0;
      rest = std::min(rest, std::max(range(), std::fabs(was) * 255 / 65536));
      *end = was;
    }
    const double step = (rest * 1.125 < all ? rest : all) / 255;
    for (index_t i = 0; i < k; ++i)
      ASSERT_LE(std::fabs(static_cast<double>(out(r, i)) - static_cast<double>(x(r, i))),
                step * 0.501 + 3e-7 * std::fabs(static_cast<double>(x(r, i))))
          << r << " " << i;
    ASSERT_EQ(out(r, 7), 0.f) << r;  // zero stays zero
  }
}
TEST_P(Int8, WeightsAreTheNearestOnes) {
  constexpr index_t k = 70, n = 50;
  Matrix unit(k, k, 0), w = filled(n, k, {.seed = 9, .pad = 1});
  for (index_t i = 0; i < k; ++i)
    for (index_t j = 0; j < k; ++j) unit(i, j) = i == j ? 1.f : 0.f;
  for (index_t r = 0; r < n; ++r) {
    if (r % 3 == 0) w(r, (r * 7) % k) = r % 2 == 0 ? 9.f : -9.f;
    if (r % 4 == 1) w(r, 3) = 5000;  // further than an outlier may be
    for (index_t i = 0; i < k; ++i) w(r, i) = std::ldexp(w(r, i), static_cast<int>(r) - 30);
  }
  Matrix out = poisoned(k, n);
  ops::linear(ctx, unit.in(), packed_int8(ctx, w), {}, out.out());
  for (index_t r = 0; r < n; ++r) {
    std::vector<double> size;
    for (index_t i = 0; i < k; ++i) size.push_back(std::fabs(static_cast<double>(w(r, i))));
    std::sort(size.rbegin(), size.rend());
    const double rest = std::max(size[1], size[0] * 127 / 4096), step = (rest * 5 / 3 < size[0] ? rest : size[0]) / 127;
    for (index_t i = 0; i < k; ++i)
      ASSERT_LE(std::fabs(static_cast<double>(out(i, r)) - static_cast<double>(w(r, i))),
                step * 0.501 + 3e-7 * std::fabs(static_cast<double>(w(r, i))))
          << r << " " << i;
  }
}
TEST_P(Int8, EpiloguesAreThoseOfF32) {
  Matrix x = exact_rows(9, 40, 3, true), w = exact_weights(70, 40, 4, true), up = exact_weights(70, 40, 5, true);
  for (Matrix* m : {&x, &w, &up})
    for (index_t r = 0; r < m->rows; ++r)
      for (index_t i = 0; i < m->columns; ++i) (*m)(r, i) = std::ldexp((*m)(r, i), -8);
  expect_epilogues_of_f32(ctx, DType::i8, x, w, up);
}
TEST_P(Int8, RowsOfNothingAndOfWhatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Matrix x = filled(9, 40, {.seed = 1}), w = filled(50, 40, {.seed = 2});
  const auto all = [](Matrix& m, index_t r, float v) {
    for (index_t i = 0; i < m.columns; ++i) m(r, i) = v;
  };
  all(x, 0, 0), all(x, 1, -0.f), all(x, 2, 1e-42f), x(3, 5) = inf, x(4, 39) = -inf, x(5, 17) = nan;
  for (index_t i = 0; i < 40; ++i) x(6, i) = i % 2 == 0 ? 3e38f : -3e38f;
  all(w, 0, 0), w(1, 3) = nan, w(17, 39) = -inf, w(33, 0) = inf;
  Matrix out = poisoned(9, 50);
  ops::linear(ctx, x.in(), packed_int8(ctx, w), {}, out.out());
  for (index_t t = 0; t < 9; ++t)
    for (index_t n = 0; n < 50; ++n) {
      const bool lost = (t >= 3 && t <= 5) || n == 1 || n == 17 || n == 33;
      ASSERT_EQ(std::isnan(out(t, n)), lost) << t << " " << n << " " << out(t, n);
      if (!lost && (t < 3 || n == 0)) {
        ASSERT_EQ(out(t, n), 0.f) << t << " " << n;
      }
    }
}
TEST_P(Int8, OneTinyNumberAloneIsNotLost) {  // set apart, it would leave a step that counts as zero
  const Matrix big = exact_rows(2, 40, 1, false);
  Matrix x(2, 40, 0), w(20, 40, 0);
  for (index_t i = 0; i < 40; ++i) {
    x(0, i) = i == 9 ? 1e-27f : 0.f, x(1, i) = i == 11 ? -1e-27f : 0.f;
    for (index_t n = 0; n < 20; ++n) w(n, i) = i == 9 + n % 3 ? (n % 2 == 0 ? 1e-27f : 1.f) : 0.f;
  }
  Matrix tiny = poisoned(2, 20), out = poisoned(2, 20);
  const PackedWeight weight = packed_int8(ctx, w);
  ops::linear(ctx, x.in(), weight, {}, tiny.out());
  ops::linear(ctx, big.in(), weight, {}, out.out());
  EXPECT_NEAR(tiny(0, 3) * 1e27f, 1.f, 1e-5f);
  EXPECT_NEAR(tiny(1, 5) * 1e27f, -1.f, 1e-5f);
  for (index_t n = 0; n < 20; n += 2) EXPECT_NEAR(out(1, n) * 1e27f, big(1, 9 + n % 3), 1e-3f) << n;
}
TEST_P(Int8, ThreadsAndRowsAloneChangeNoBit) {
  for (const LinearShape s :
       {LinearShape{1000, 3, 70}, {500, 11, 600}, {293, 9, 100}, {1, 20, 300}, {26, 33, 200}, {50, 7, 1}, {130, 4120, 640}})
    expect_no_other_bits(GetParam(), s, DType::i8);
}
TEST_P(Int8, IsTheSameOnEveryIsa) {
  Context plain(Isa(isas().front()), 1);
  for (const LinearShape& s : kShapes) {
    Matrix x = filled(s.t, s.k, {.seed = 3, .pad = 5}), w = filled(s.n, s.k, {.seed = 4, .pad = 3});
    for (index_t t = 0; t < s.t; t += 2) x(t, (5 * t) % s.k) *= 20;
    for (index_t n = 0; n < s.n; n += 3) w(n, (7 * n) % s.k) *= 9;
    const PackedWeight a = packed_int8(plain, w), b = packed_int8(ctx, w);
    ASSERT_EQ(a.bytes(), b.bytes());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.bytes()), 0) << s.k << " " << s.n;
    EXPECT_EQ(ops::int8_rounding(plain, a), ops::int8_rounding(ctx, a));
    Matrix want = poisoned(s.t, s.n, 2), out = poisoned(s.t, s.n, 2);
    ops::linear(plain, x.in(), a, {}, want.out());
    ops::linear(ctx, x.in(), a, {}, out.out());
    ASSERT_EQ(promised_bits(out), promised_bits(want)) << s.t << "x" << s.k << "x" << s.n;
  }
}
TEST_P(Int8, PartsStackedAndPatches) {
  const Matrix w = filled(131, 45, {.seed = 6});
  const PackedWeight whole = packed_int8(ctx, w);
  WeightView v = w.in();
  v.packed = DType::i8;
  for (const index_t cut : {16, 50}) {
    const WeightView parts[] = {v.slice(0, cut), v.slice(cut, 131)};
    const PackedWeight joined = ops::pack_weight(ctx, parts, 2);
    ASSERT_EQ(joined.bytes(), whole.bytes());
    EXPECT_EQ(std::memcmp(joined.data(), whole.data(), whole.bytes()), 0);
  }
  const ops::PatchShape shape{.channels = 3, .frames = 1, .height = 5, .width = 3};
  const Matrix planes = filled(3 * 20, 12, {.seed = 5});
  std::vector<float> pixels;
  for (index_t r = 0; r < 60; ++r)
    for (index_t c = 0; c < 12; ++c) pixels.push_back(planes(r, c));
  ops::Pixels frame;
  frame.planes = View<const float, 3>(pixels.data(), 3, 20, 12);
  Matrix out = poisoned(16, 131), rows(16, 45, 0), want = poisoned(16, 131);
  ops::patch_embed(ctx, shape, std::span(&frame, 1), whole, {}, {}, out.out());
  for (index_t t = 0; t < 16; ++t)
    for (index_t c = 0; c < 3; ++c)
      for (index_t i = 0; i < 5; ++i)
        for (index_t j = 0; j < 3; ++j) rows(t, (c * 5 + i) * 3 + j) = planes(c * 20 + t / 4 * 5 + i, t % 4 * 3 + j);
  ops::linear(ctx, rows.in(), whole, {}, want.out());
  EXPECT_EQ(out.bits(), want.bits());
}
TEST_P(Int8, WeightsThatItWouldMoveTooFarAreBf16) {
  Matrix w = filled(40, 64, {.seed = 6});
  const double usual = ops::int8_rounding(ctx, packed_int8(ctx, w));
  EXPECT_GT(usual, 0.003);
  EXPECT_LT(usual, 0.02);
  double off = 0, size = 0;  // of the packed bytes themselves
  const PackedWeight packed = packed_int8(ctx, w);
  const auto* words = reinterpret_cast<const float*>(packed.data());
  for (index_t n = 0; n < 40; ++n)
    for (index_t k = 0; k < 64; ++k) {
      const float* const slice = words + n / 16 * 20 * 16;
      const auto q = static_cast<double>(reinterpret_cast<const signed char*>(slice + (4 + k / 4) * 16 + n % 16)[k % 4]);
      const double exact = static_cast<double>(w(n, k)), got = q * static_cast<double>(slice[n % 16]);
      off += (got - exact) * (got - exact), size += exact * exact;
    }
  EXPECT_NEAR(std::sqrt(off / size), usual, 0.05 * usual);
  Matrix far = filled(40, 640, {.seed = 6});
  for (index_t n = 0; n < 40; ++n) far(n, 1) = far(n, 2) = 40;  // two of them: only one may be kept apart
  EXPECT_EQ(packed_int8(ctx, far).dtype(), DType::bf16);
  WeightView v = far.in();
  v.packed = DType::i8, v.most_rounding = 1;
  EXPECT_EQ(ops::pack_weight(ctx, v).dtype(), DType::i8);
  EXPECT_EQ(ops::int8_rounding(ctx, packed_as(ctx, far, DType::bf16)), 0);
  for (index_t n = 0; n < 40; ++n) far(n, 2) = 0.1f;
  EXPECT_EQ(packed_int8(ctx, far).dtype(), DType::i8);
  const Matrix deep(2, 57345, 0);
  EXPECT_EQ(packed_int8(ctx, deep).dtype(), DType::bf16);
}

}  // namespace
