// Rotary positions against plain loops in double, and their tables against transformers.
#include <tessera/ops/rotary.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <tessera/io.hpp>
#include "reference/rotary.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Rotary : OpsTest {};
TESSERA_ON_EVERY_ISA(Rotary);

using ops::RotaryPairs;
constexpr RotaryPairs kPairs[] = {RotaryPairs::halves, RotaryPairs::adjacent};

struct Case {
  index_t tokens, heads, head_dim, half;
};
constexpr Case kCases[] = {{1, 1, 2, 1},     {5, 2, 7, 3},    {17, 3, 8, 2},    {3, 1, 33, 15}, {9, 2, 32, 16},
                           {20, 4, 35, 17},  {7, 2, 64, 32},  {12, 3, 100, 31}, {6, 2, 9, 0},   {101, 2, 48, 24},
                           {2, 12, 128, 64}, {33, 1, 80, 33}, {257, 2, 20, 10}};

/// Tables of 11 places, of any numbers, and a place or none for each token.
struct Inputs {
  Matrix x, cos, sin;
  std::vector<std::int32_t> places;
  explicit Inputs(const Case& c, std::uint64_t seed = 1)
      : x(filled(c.tokens, c.heads * c.head_dim, {.seed = seed, .scale = 4.f, .pad = 3})),
        cos(filled(11, c.half, {.seed = seed + 1, .pad = 5})),
        sin(filled(11, c.half, {.seed = seed + 2, .pad = 2})) {
    Random random(seed + 3);
    for (index_t t = 0; t < c.tokens; ++t) places.push_back(static_cast<std::int32_t>(random.in(-2, 10)));
  }
  ops::Rotary tables(RotaryPairs pairs) const { return {cos.in(), sin.in(), pairs}; }
  View<const std::int32_t, 1> at() const { return View<const std::int32_t, 1>(places.data(), places.size()); }
};

TEST_P(Rotary, MatchesTheReferenceAndLeavesTheRest) {
  for (const Case& c : kCases)
    for (const RotaryPairs pairs : kPairs) {
      const Inputs in(c);
      Matrix out = in.x;
      ops::rotary(ctx, out.heads_out(c.heads), in.tables(pairs), in.at());
      const auto want =
          ref::rotary(in.x.heads(c.heads), in.cos.in(), in.sin.in(), in.places, pairs == RotaryPairs::adjacent);
      EXPECT_TRUE(close("rotary", out, want)) << c.tokens << " tokens, " << c.heads << " x " << c.head_dim << ", " << c.half;
    }
}
TEST_P(Rotary, WithoutPlacesARowIsAToken) {
  const Case c{11, 2, 12, 5};
  Inputs in(c);
  for (std::size_t t = 0; t < in.places.size(); ++t) in.places[t] = static_cast<std::int32_t>(t);
  Matrix given = in.x, own = in.x;
  ops::rotary(ctx, given.heads_out(2), in.tables(RotaryPairs::halves), in.at());
  ops::rotary(ctx, own.heads_out(2), in.tables(RotaryPairs::halves), {});
  EXPECT_EQ(given.bits(), own.bits());
  EXPECT_NE(own.bits(), in.x.bits());
}
TEST_P(Rotary, HeadsMayLieApart) {
  const Case c{6, 3, 20, 9};
  for (const RotaryPairs pairs : kPairs) {
    const Inputs in(c);
    Matrix packed = in.x, apart = poisoned(6, 3 * 27, 4);
    const View<float, 3> heads = [&] {
      View<float, 3> v = apart.heads_out(3);
      v.extent[2] = 20;
      return v;
    }();
    const auto from = in.x.heads(3);
    for (index_t t = 0; t < 6; ++t)
      for (index_t h = 0; h < 3; ++h)
        for (index_t i = 0; i < 20; ++i) heads(t, h, i) = from(t, h, i);
    ops::rotary(ctx, packed.heads_out(3), in.tables(pairs), in.at());
    ops::rotary(ctx, heads, in.tables(pairs), in.at());
    for (index_t t = 0; t < 6; ++t)
      for (index_t h = 0; h < 3; ++h)
        for (index_t i = 0; i < 27; ++i) {
          if (i < 20) {
            EXPECT_EQ(heads(t, h, i), packed(t, h * 20 + i));
          } else {
            EXPECT_TRUE(is_poison(apart(t, h * 27 + i)));
          }
        }
  }
}
TEST_P(Rotary, TurnsKeepLengthsAndDependOnDistanceAlone) {  // the paper's (10): <R_m q, R_n k> = <q, R_(n-m) k>
  constexpr index_t kPlaces = 40, kHalf = 16;
  Matrix coordinates(kPlaces, 1, 0), frequencies(1, kHalf, 0), cos = poisoned(kPlaces, kHalf, 1),
                                                               sin = poisoned(kPlaces, kHalf, 2);
  for (index_t t = 0; t < kPlaces; ++t) coordinates(t, 0) = static_cast<float>(t);
  View<float, 1> f(frequencies.data(), kHalf);
  ops::rotary_frequencies(10000, f);
  ops::rotary_tables(coordinates.in(), {}, f, cos.out(), sin.out());
  EXPECT_TRUE(written_exactly(cos) && written_exactly(sin));
  const Matrix q = filled(1, 32, {.seed = 2}), k = filled(1, 32, {.seed = 3});
  const auto dot = [&](RotaryPairs pairs, std::int32_t m, std::int32_t n) {
    Matrix a = q, b = k;
    ops::rotary(ctx, a.heads_out(1), {cos.in(), sin.in(), pairs}, View<const std::int32_t, 1>(&m, 1));
    ops::rotary(ctx, b.heads_out(1), {cos.in(), sin.in(), pairs}, View<const std::int32_t, 1>(&n, 1));
    double sum = 0, before = 0, after = 0;
    for (index_t i = 0; i < 32; ++i) before += double{q(0, i)} * double{q(0, i)}, after += double{a(0, i)} * double{a(0, i)};
    EXPECT_NEAR(after, before, 2e-6);
    for (index_t i = 0; i < 32; ++i) sum += double{a(0, i)} * double{b(0, i)};
    return sum;
  };
  for (const RotaryPairs pairs : kPairs) {
    for (const std::int32_t m : {1, 7, 20}) EXPECT_NEAR(dot(pairs, m, m + 19), dot(pairs, 0, 19), 2e-6);
    EXPECT_GT(std::fabs(dot(pairs, 0, 19) - dot(pairs, 0, 3)), 1e-3);
  }
}
TEST_P(Rotary, ThreadsChangeNoBit) {
  for (const Case& c : kCases)
    for (const RotaryPairs pairs : kPairs) {
      const Inputs in(c, 7);
      Matrix one = in.x;
      ops::rotary(ctx, one.heads_out(c.heads), in.tables(pairs), in.at());
      with_threads([&](Context& many) {
        Matrix out = in.x;
        ops::rotary(many, out.heads_out(c.heads), in.tables(pairs), in.at());
        EXPECT_EQ(one.bits(), out.bits());
      });
    }
}
TEST_P(Rotary, NonFiniteStaysInItsPair) {
  for (const RotaryPairs pairs : kPairs)
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Inputs in({5, 2, 24, 10});
      in.places = {3, 1, 4, 1, 5};
      Matrix clean = in.x;
      ops::rotary(ctx, clean.heads_out(2), in.tables(pairs), in.at());
      Matrix out = in.x;
      out(2, 24 + 6) = bad;
      ops::rotary(ctx, out.heads_out(2), in.tables(pairs), in.at());
      const index_t other = pairs == RotaryPairs::halves ? 16 : 7;
      for (index_t t = 0; t < 5; ++t)
        for (index_t i = 0; i < 48; ++i) {
          const bool touched = t == 2 && (i == 24 + 6 || i == 24 + other);
          if (touched)
            EXPECT_FALSE(std::isfinite(out(t, i)));
          else
            EXPECT_EQ(out(t, i), clean(t, i));
        }
    }
}
TEST_P(Rotary, RefusesWhatDoesNotFitAndLeavesTheInput) {
  Inputs in({4, 2, 8, 3});
  in.places = {0, -1, 10, 3};
  Matrix x = in.x;
  const auto run = [&](const ops::Rotary& tables, View<float, 3> to) { ops::rotary(ctx, to, tables, in.at()); };
  const ops::Rotary good = in.tables(RotaryPairs::halves);
  const Matrix short_table = filled(11, 2), wide_table = filled(11, 5), long_table = filled(12, 3);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels", run({good.cos, short_table.in()}, x.heads_out(2)));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", run({good.cos, long_table.in()}, x.heads_out(2)));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "head", run({wide_table.in(), wide_table.in()}, x.heads_out(2)));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "places", run(good, x.heads_out(2).slice(0, 3)));
  View<float, 3> gaps = x.heads_out(2);
  gaps.stride[2] = 2;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", run(good, gaps));
  View<float, 3> far = x.heads_out(2);
  far.space = Space::cuda;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "cuda", run(good, far));
  in.places[2] = 11;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "places[2] is 11", run(good, x.heads_out(2)));
  Matrix many = filled(12, 16);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "more tokens", ops::rotary(ctx, many.heads_out(2), good, {}));
  EXPECT_EQ(x.bits(), in.x.bits());
  EXPECT_NO_THROW(
      ops::rotary(ctx, View<float, 3>(x.data(), 0, 2, 8), good, View<const std::int32_t, 1>(in.places.data(), 0)));
}

// ---- tables ----

struct Golden {
  io::SafeTensors file = io::SafeTensors::open(TESSERA_GOLDENS "/rotary.safetensors");
  View<const float, 2> matrix(const std::string& name) const { return file.at(name).as<float, 2>(); }
  View<const float, 1> vector(const std::string& name) const { return file.at(name).as<float, 1>(); }
};

/// The largest distance of any two.
double distance(View<const float, 2> a, View<const float, 2> b) {
  EXPECT_EQ(a.extent[0], b.extent[0]);
  EXPECT_EQ(a.extent[1], b.extent[1]);
  double most = 0;
  for (index_t t = 0; t < a.extent[0]; ++t)
    for (index_t j = 0; j < a.extent[1]; ++j) most = std::fmax(most, std::fabs(double{a(t, j)} - double{b(t, j)}));
  return most;
}
constexpr double kUnit = 6.0e-8;  // in the last place of a number between 1/2 and 1

TEST(RotaryTables, EqualTransformersAtAnyPlace) {
  const Golden golden;
  const auto positions = golden.file.at("llama.position").as<std::int64_t, 1>();
  Matrix coordinates(positions.extent[0], 1, 0);
  for (index_t t = 0; t < coordinates.rows; ++t) coordinates(t, 0) = static_cast<float>(positions(t));
  for (const std::string base : {"10000", "500000"}) {
    const auto frequencies = golden.vector("llama." + base + ".inv_freq");
    Matrix cos = poisoned(coordinates.rows, 32, 3), sin = poisoned(coordinates.rows, 32, 1), own(1, 32, 0);
    ops::rotary_tables(coordinates.in(), {}, frequencies, cos.out(), sin.out());
    EXPECT_TRUE(written_exactly(cos) && written_exactly(sin));
    EXPECT_LE(distance(cos.in(), golden.matrix("llama." + base + ".cos")), kUnit);
    EXPECT_LE(distance(sin.in(), golden.matrix("llama." + base + ".sin")), kUnit);
    ops::rotary_frequencies(std::stod(base), View<float, 1>(own.data(), 32));
    for (index_t i = 0; i < 32; ++i) {
      const float below = std::nextafter(frequencies(i), 0.f), above = std::nextafter(frequencies(i), 2.f);
      EXPECT_TRUE(own(0, i) >= below && own(0, i) <= above) << base << " " << i;
    }
  }
}
TEST(RotaryTables, OfAnImageEqualDinov3s) {
  const Golden golden;
  Matrix frequencies(1, 12, 0);
  std::vector<std::int32_t> axes;
  for (index_t j = 0; j < 12; ++j) {
    frequencies(0, j) = golden.vector("grid.inv_freq")(j % 6);
    axes.push_back(j >= 6);
  }
  for (const auto& [h, w] : {std::pair<index_t, index_t>{1, 1}, {3, 5}, {14, 14}, {9, 2}}) {
    const std::string name = "grid." + std::to_string(h) + "x" + std::to_string(w);
    Matrix coordinates(h * w, 2, 0), cos = poisoned(h * w, 12), sin = poisoned(h * w, 12);
    ops::rotary_grid(h, w, coordinates.out());
    ops::rotary_tables(coordinates.in(), View<const std::int32_t, 1>(axes.data(), 12), frequencies.row(), cos.out(),
                       sin.out());
    EXPECT_LE(distance(cos.in(), golden.matrix(name + ".cos")), 4 * kUnit)
        << name;  // its angles are rounded in other places
    EXPECT_LE(distance(sin.in(), golden.matrix(name + ".sin")), 4 * kUnit) << name;
  }
}
TEST(RotaryTables, OfThreeAxesEqualQwen2VLs) {
  const Golden golden;
  const auto positions = golden.file.at("mrope.position").as<std::int64_t, 2>();
  Matrix coordinates(20, 3, 0), cos = poisoned(20, 16), sin = poisoned(20, 16);
  for (index_t t = 0; t < 20; ++t)
    for (index_t axis = 0; axis < 3; ++axis) coordinates(t, axis) = static_cast<float>(positions(axis, t));
  std::vector<std::int32_t> axes;
  for (index_t j = 0; j < 16; ++j) axes.push_back(j < 4 ? 0 : j < 10 ? 1 : 2);
  ops::rotary_tables(coordinates.in(), View<const std::int32_t, 1>(axes.data(), 16), golden.vector("mrope.inv_freq"),
                     cos.out(), sin.out());
  EXPECT_LE(distance(cos.in(), golden.matrix("mrope.cos")), kUnit);
  EXPECT_LE(distance(sin.in(), golden.matrix("mrope.sin")), kUnit);
}
TEST_P(Rotary, TurnsAsLlamaAndGptJ) {
  const Golden golden;
  const auto x = golden.file.at("turned.x").as<float, 3>();
  for (const RotaryPairs pairs : kPairs) {
    const bool halves = pairs == RotaryPairs::halves;
    ops::Rotary tables{golden.matrix("turned.cos"), golden.matrix("turned.sin"), pairs};
    if (!halves) tables.cos.extent[1] = tables.sin.extent[1] = 6;
    std::vector<float> out(x.data, x.data + x.size());
    ops::rotary(ctx, View<float, 3>(out.data(), 7, 3, 20), tables, {});
    const auto want = golden.file.at(halves ? "turned.halves" : "turned.adjacent").as<float, 3>();
    for (index_t i = 0; i < want.size(); ++i) EXPECT_NEAR(out[static_cast<std::size_t>(i)], want.data[i], 5e-7);
  }
}
TEST(RotaryTables, AreRoundedFromTheExactValues) {  // by the library's functions of long doubles
  Random random(5);
  const auto near = [](float found, long double exact) {
    const auto rounded = static_cast<float>(exact);
    const auto unit = static_cast<long double>(std::nextafter(std::fabs(rounded), 2.f) - std::fabs(rounded));
    return std::fabs(static_cast<long double>(found) - exact) <= 0.51L * unit;
  };
  const float one = 1.f;
  for (int i = 0; i < 20000; ++i) {
    const float angle = random.unit() * (i % 2 ? 1000.f : 4.f);
    float c = NAN, s = NAN;
    ops::rotary_tables(View<const float, 2>(&angle, 1, 1), {}, View<const float, 1>(&one, 1), View<float, 2>(&c, 1, 1),
                       View<float, 2>(&s, 1, 1));
    ASSERT_TRUE(near(c, std::cos(static_cast<long double>(angle)))) << angle;
    ASSERT_TRUE(near(s, std::sin(static_cast<long double>(angle)))) << angle;
  }
  for (const double base : {1e-30, 0.3, 1.0, 2.0, 100.0, 10000.0, 1e6, 1e30}) {
    Matrix f(1, 7, 0);
    ops::rotary_frequencies(base, View<float, 1>(f.data(), 7));
    for (index_t i = 0; i < 7; ++i) {
      const auto exponent = static_cast<long double>(static_cast<float>(static_cast<double>(i) / 7));
      const auto power = static_cast<float>(std::pow(static_cast<long double>(base), exponent));
      EXPECT_EQ(f(0, i), 1.f / power) << base << " " << i;
    }
  }
}
TEST(RotaryTables, RefusesWhatIsNoAngle) {
  Matrix coordinates = filled(3, 2), frequencies = filled(1, 4), cos = filled(3, 4, {.seed = 3}), sin = cos;
  const auto before = cos.bits();
  std::vector<std::int32_t> axes{0, 1, 1, 0};
  const auto run = [&] {
    ops::rotary_tables(coordinates.in(), View<const std::int32_t, 1>(axes.data(), axes.size()), frequencies.row(), cos.out(),
                       sin.out());
  };
  for (const float bad : {1e7f, -1e7f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    coordinates(2, 0) = bad, frequencies(0, 3) = 1.f;
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "angle", run());
  }
  for (const std::int32_t axis : {2, -1}) {
    axes[1] = axis;
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "axis", run());
  }
  axes.pop_back();
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "axes", run());
  EXPECT_EQ(cos.bits(), before);
  for (const double base : {0.0, -1.0, 1e31, std::numeric_limits<double>::quiet_NaN()})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "base", ops::rotary_frequencies(base, View<float, 1>(cos.data(), 4)));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", ops::rotary_grid(2, 2, coordinates.out()));
}

}  // namespace
