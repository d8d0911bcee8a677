#include <tessera/ops/gemm.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>
#include <vector>

#include "reference/linear.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Linear : OpsTest {};
TESSERA_ON_EVERY_ISA(Linear);

constexpr Activation kActivations[] = {Activation::identity,   Activation::gelu_erf, Activation::gelu_tanh,
                                       Activation::quick_gelu, Activation::silu,     Activation::relu,
                                       Activation::tanh};

struct Shape {
  index_t t, k, n;
};
// Tiles have 6 rows (2 on the generic kernels), slices 16 columns, panels 64, blocks of A 120 or 240 rows.
constexpr Shape kShapes[] = {{1, 1, 1},     {1, 17, 16},  {2, 2, 15},   {3, 15, 17},  {5, 16, 63},
                             {6, 31, 64},   {7, 64, 65},  {8, 65, 128}, {11, 1, 129}, {12, 100, 40},
                             {13, 257, 33}, {25, 63, 48}, {241, 5, 20}, {490, 3, 70}};

// One problem with everything that an epilogue can have, in padded rows.
struct Problem {
  Matrix x, w, up, bias, scale, residual;
  Problem(Shape s, bool glu, std::uint64_t seed)
      : x(filled(s.t, s.k, {.seed = seed, .pad = 3})),
        w(filled(s.n, s.k, {.seed = seed + 1, .pad = 5})),
        up(filled(s.n, s.k, {.seed = seed + 2, .pad = 7})),
        bias(filled(1, glu ? 2 * s.n : s.n, {.seed = seed + 3, .pad = 2})),
        scale(filled(1, s.n, {.seed = seed + 4, .pad = 2})),
        residual(filled(s.t, s.n, {.seed = seed + 5, .pad = 9})) {}
};

PackedWeight pack(Context& ctx, const Problem& p, bool glu) {
  return glu ? ops::pack_weight_glu(ctx, p.w.in(), p.up.in()) : ops::pack_weight(ctx, p.w.in());
}

// Parts of the epilogue are chosen by the bits of `parts`.
ops::Epilogue epilogue(const Problem& p, Activation act, bool glu, int parts) {
  ops::Epilogue e;
  e.act = act, e.glu = glu;
  if (parts & 1) e.bias = p.bias.row();
  if (parts & 2) e.channel_scale = p.scale.row();
  if (parts & 4) e.residual = p.residual.in();
  return e;
}

ref::Result expected(const Problem& p, const ops::Epilogue& e) {
  ref::LinearArgs a{.x = p.x.in(), .w = p.w.in(), .bias = e.bias, .act = e.act};
  a.channel_scale = e.channel_scale, a.residual = e.residual;
  if (e.glu) a.up = p.up.in();
  return ref::linear(a);
}

TEST_P(Linear, MatchesReferenceOnEveryShapeAndEpilogue) {
  int i = 0;
  for (const Shape s : kShapes)
    for (const bool glu : {false, true}) {
      const Problem p(s, glu, static_cast<std::uint64_t>(10 * i));
      const PackedWeight w = pack(ctx, p, glu);
      for (int parts = 0; parts < 8; ++parts, ++i) {
        const auto e = epilogue(p, kActivations[i % 7], glu, parts);
        Matrix out = poisoned(s.t, s.n, 4);
        ops::linear(ctx, p.x.in(), w, e, out.out());
        ASSERT_TRUE(close("linear", out, expected(p, e)))
            << s.t << "x" << s.k << "x" << s.n << " act " << i % 7 << " parts " << parts << " glu " << glu;
      }
    }
}
TEST_P(Linear, EveryActivationWithAndWithoutGate) {
  for (const Activation act : kActivations)
    for (const bool glu : {false, true}) {
      const Problem p({9, 40, 70}, glu, 77);
      const auto e = epilogue(p, act, glu, 7);
      Matrix out = poisoned(9, 70, 1);
      ops::linear(ctx, p.x.in(), pack(ctx, p, glu), e, out.out());
      EXPECT_TRUE(close("linear", out, expected(p, e))) << static_cast<int>(act) << glu;
    }
}
TEST_P(Linear, ThreadsChangeNoBit) {
  // 1000 rows: blocks of rows; 500 and 293: a part a lane where it has 96; the others: panels, with and without cut rows.
  for (const Shape s : {Shape{1000, 3, 70},
                        {500, 11, 600},
                        {293, 9, 100},
                        {1, 20, 300},
                        {26, 33, 200},
                        {100, 16, 65},
                        {50, 7, 1},
                        {130, 5, 640}})
    for (const bool glu : {false, true}) {
      const Problem p(s, glu, 5);
      const auto e = epilogue(p, Activation::gelu_erf, glu, 7);
      Matrix one = poisoned(s.t, s.n, 2);
      ops::linear(ctx, p.x.in(), pack(ctx, p, glu), e, one.out());
      ASSERT_TRUE(written_exactly(one));
      with_threads([&](Context& many) {
        Matrix out = poisoned(s.t, s.n, 2);
        ops::linear(many, p.x.in(), pack(many, p, glu), e, out.out());
        EXPECT_EQ(one.bits(), out.bits()) << s.t << "x" << s.k << "x" << s.n;
      });
    }
}
TEST_P(Linear, KInPartsHasTheBitsOfKWhole) {
  // Beyond 1024 channels and 48 rows K falls into parts if the arena has room: groups of 4 panels, blocks of 240 rows.
  for (const Shape s : {Shape{250, 1025, 330}, {49, 2049, 70}, {61, 3100, 15}, {200, 1500, 520}}) {
    const Problem p(s, false, 21);
    const PackedWeight w = pack(ctx, p, false);
    const auto e = epilogue(p, Activation::gelu_erf, false, 7);
    Matrix whole = poisoned(s.t, s.n, 4), parts = poisoned(s.t, s.n, 4), in_place = p.residual;
    {
      const ArenaScope scope(ctx.arena());
      ctx.arena().reserve(64);
      ctx.arena().carve<std::byte>(static_cast<index_t>(ctx.arena().capacity()));
      ops::linear(ctx, p.x.in(), w, e, whole.out());
    }
    ASSERT_TRUE(close("linear", whole, expected(p, e)));
    ops::linear(ctx, p.x.in(), w, e, parts.out());
    const std::size_t scratch = ops::linear_scratch(ctx, s.t, s.k);
    EXPECT_TRUE(scratch > 0 && ctx.arena().capacity() >= scratch && ctx.arena().used() == 0);
    EXPECT_EQ(whole.bits(), parts.bits()) << s.t << "x" << s.k << "x" << s.n;
    auto same = e;
    same.residual = in_place.in();
    ops::linear(ctx, p.x.in(), w, same, in_place.out());
    for (index_t r = 0; r < s.t; ++r) EXPECT_EQ(in_place.row_bits(r), whole.row_bits(r));
    with_threads([&](Context& many) {
      Matrix out = poisoned(s.t, s.n, 4);
      ops::linear(many, p.x.in(), w, e, out.out());
      EXPECT_EQ(whole.bits(), out.bits()) << s.t << "x" << s.k << "x" << s.n;
    });
  }
  EXPECT_EQ(ops::linear_scratch(ctx, 48, 5000), 0u);
  EXPECT_EQ(ops::linear_scratch(ctx, 5000, 1024), 0u);
}
TEST_P(Linear, RowsAloneHaveTheBitsOfTheBatch) {
  const Problem p({29, 50, 80}, false, 9);
  const PackedWeight w = pack(ctx, p, false);
  const auto e = epilogue(p, Activation::silu, false, 3);
  Matrix all = poisoned(29, 80, 3);
  ops::linear(ctx, p.x.in(), w, e, all.out());
  for (index_t first = 0; first < 29; ++first)
    for (const index_t count : {1, 2, 5}) {
      if (first + count > 29) continue;
      Matrix part = poisoned(count, 80);
      ops::linear(ctx, p.x.in().slice(first, first + count), w, e, part.out());
      for (index_t r = 0; r < count; ++r) EXPECT_EQ(part.row_bits(r), all.row_bits(first + r));
    }
}
TEST_P(Linear, NonFiniteRowsStayAlone) {
  Problem p({14, 35, 66}, false, 3);
  Matrix clean = poisoned(14, 66), out = poisoned(14, 66);
  const PackedWeight w = pack(ctx, p, false);
  const auto e = epilogue(p, Activation::gelu_tanh, false, 1);
  ops::linear(ctx, p.x.in(), w, e, clean.out());
  p.x(4, 7) = std::numeric_limits<float>::quiet_NaN();
  p.x(9, 34) = std::numeric_limits<float>::infinity();
  ops::linear(ctx, p.x.in(), w, e, out.out());
  for (index_t r = 0; r < 14; ++r) {
    if (r != 4 && r != 9) {
      EXPECT_EQ(out.row_bits(r), clean.row_bits(r));
      continue;
    }
    for (index_t c = 0; c < 66; ++c)
      EXPECT_TRUE(r == 4 ? std::isnan(out(r, c)) : !(std::fabs(out(r, c)) < 1e30f && out(r, c) != 0.f));
  }
}
TEST_P(Linear, ZeroRowGivesTheBias) {
  Problem p({3, 20, 18}, false, 4);
  for (index_t c = 0; c < 20; ++c) p.x(1, c) = 0.f;
  Matrix out = poisoned(3, 18);
  ops::linear(ctx, p.x.in(), pack(ctx, p, false), {.bias = p.bias.row()}, out.out());
  for (index_t c = 0; c < 18; ++c) EXPECT_EQ(out(1, c), p.bias(0, c));
}
TEST_P(Linear, ResidualMayBeTheOutput) {
  for (const int threads : {1, 3}) {
    Context other(GetParam(), threads);
    const Problem p({70, 21, 100}, false, 6);
    const PackedWeight w = pack(ctx, p, false);
    auto e = epilogue(p, Activation::identity, false, 7);
    Matrix apart = poisoned(70, 100, 9), place = p.residual;
    ops::linear(ctx, p.x.in(), w, e, apart.out());
    e.residual = place.in();
    ops::linear(other, p.x.in(), w, e, place.out());
    EXPECT_EQ(apart.bits(), place.bits());
  }
}
TEST_P(Linear, PartsPackAsTheStackedMatrix) {
  for (const auto& [a, b, c] : {std::array<index_t, 3>{16, 32, 16}, {5, 7, 20}, {16, 3, 16}, {1, 1, 1}}) {
    Problem p({4, 19, a + b + c}, false, 8);
    const WeightView parts[] = {p.w.in().slice(0, a), p.w.in().slice(a, a + b), p.w.in().slice(a + b, a + b + c)};
    const PackedWeight joined = ops::pack_weight(ctx, parts, 3);
    EXPECT_EQ(joined.n(), a + b + c);
    EXPECT_EQ(joined.k(), 19);
    Matrix one = poisoned(4, a + b + c), two = poisoned(4, a + b + c);
    ops::linear(ctx, p.x.in(), pack(ctx, p, false), {}, one.out());
    ops::linear(ctx, p.x.in(), joined, {}, two.out());
    EXPECT_EQ(one.bits(), two.bits());
  }
}
// the bits of a finite f16, as f32: another way than the library's.
std::uint32_t half_bits(std::uint16_t h) {
  const double mantissa = 1.0 + (h & 1023) / 1024.0;
  const int exponent = (h >> 10) & 31;
  const double value = exponent == 0 ? std::ldexp((h & 1023) / 1024.0, -14) : std::ldexp(mantissa, exponent - 15);
  return __builtin_bit_cast(std::uint32_t, static_cast<float>(h & 0x8000 ? -value : value));
}
TEST_P(Linear, TheTypesOfCheckpointsPackAsTheirF32AlignedOrNot) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16})
    for (const index_t n : {1, 16, 50, 131}) {
      constexpr index_t k = 19;
      const auto size = static_cast<std::size_t>(bit_width(type) / 8), count = static_cast<std::size_t>(n * k);
      std::vector<std::byte> bytes(count * size + 1);
      std::vector<float> wide(count);
      for (const std::size_t shift : {std::size_t{0}, std::size_t{1}}) {
        for (std::size_t i = 0; i < count * size; ++i)
          bytes[i + shift] = static_cast<std::byte>(i * 37 % 120);  // all finite
        for (std::size_t i = 0; i < count; ++i) {
          std::uint32_t bits = 0;
          std::memcpy(&bits, bytes.data() + shift + i * size, size);
          if (type == DType::bf16) bits <<= 16;
          if (type == DType::f16) bits = half_bits(static_cast<std::uint16_t>(bits));
          wide[i] = __builtin_bit_cast(float, bits);
        }
        WeightView w;
        w.data = bytes.data() + shift, w.dtype = type;
        w.extent[0] = n, w.extent[1] = w.stride[0] = k, w.stride[1] = 1;
        const View<const float, 2> plain(wide.data(), n, k);
        for (const bool glu : {false, true}) {
          const auto pack_it = [&](const WeightView& v) {
            return glu ? ops::pack_weight_glu(ctx, v, v) : ops::pack_weight(ctx, v);
          };
          const PackedWeight got = pack_it(w), want = pack_it(plain);
          ASSERT_EQ(got.bytes(), want.bytes());
          EXPECT_EQ(std::memcmp(got.data(), want.data(), got.bytes()), 0) << dtype_name(type) << " " << n << " " << shift;
        }
        const WeightView parts[] = {w.slice(0, n / 2), w.slice(n / 2, n)};
        if (n > 1) {
          const PackedWeight got = ops::pack_weight(ctx, parts, 2), want = ops::pack_weight(ctx, plain);
          EXPECT_EQ(std::memcmp(got.data(), want.data(), got.bytes()), 0) << dtype_name(type) << " " << n;
        }
      }
    }
}
TEST_P(Linear, PackedBytesAreTheSameForEveryIsaAndThreadCount) {
  const Problem p({1, 37, 150}, false, 8);
  const PackedWeight here = pack(ctx, p, false);
  Context other(Isa(isas().front()), 3);
  const PackedWeight there = ops::pack_weight(other, p.w.in());
  ASSERT_EQ(here.bytes(), there.bytes());
  EXPECT_EQ(std::memcmp(here.data(), there.data(), here.bytes()), 0);
}
TEST_P(Linear, AStoreIsBelievedWhereWhatItHasFits) {
  struct OneWeight : PackedStore {
    PackedWeight offered;
    int kept = 0;
    PackedWeight find(const WeightView*, int, bool) override { return offered; }
    void keep(const WeightView*, int, const PackedWeight&) override { ++kept; }
    bool checked(const AnyView&) override { return false; }
    void keep_checked(const AnyView&) override {}
  } store;
  const Problem p({1, 19, 40}, false, 8);
  WeightView w = p.w.in();
  const PackedWeight want = ops::pack_weight(ctx, w);
  w.store = &store;
  const auto offer = [&](index_t n, index_t k, std::size_t bytes, bool gated) {
    store.offered = PackedWeight(n, k, DType::f32, Buffer(bytes), gated);
    return ops::pack_weight(ctx, w);
  };
  const PackedWeight taken = offer(40, 19, want.bytes(), false);
  EXPECT_EQ(taken.data(), store.offered.data());
  EXPECT_EQ(store.kept, 0);
  int kept = 0;
  store.offered = PackedWeight(40, 19, DType::bf16, Buffer(want.bytes()), false);
  EXPECT_EQ(ops::pack_weight(ctx, w).dtype(), DType::f32);
  EXPECT_EQ(store.kept, ++kept);
  for (const auto& [n, k, bytes, gated] : {std::tuple<index_t, index_t, std::size_t, bool>{41, 19, want.bytes(), false},
                                           {40, 20, want.bytes(), false},
                                           {40, 19, want.bytes() - 64, false},
                                           {40, 19, want.bytes() + 64, false},
                                           {40, 19, want.bytes(), true},
                                           {0, 0, 0, false}}) {
    const PackedWeight got = offer(n, k, bytes, gated);
    EXPECT_EQ(store.kept, ++kept);
    ASSERT_EQ(got.bytes(), want.bytes());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.bytes()), 0);
  }
}
TEST_P(Linear, NoRowsIsFine) {
  const Problem p({0, 4, 5}, false, 1);
  Matrix out = poisoned(0, 5);
  EXPECT_NO_THROW(ops::linear(ctx, p.x.in(), pack(ctx, p, false), {}, out.out()));
}
TEST_P(Linear, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Problem p({4, 8, 6}, true, 2);
  const PackedWeight w = pack(ctx, p, false), gated = pack(ctx, p, true);
  Matrix out = filled(4, 6, {.seed = 9}), narrow = filled(4, 5), low = filled(3, 6), wide = filled(4, 9);
  const auto before = out.bits();
  const Code shape = Code::kShapeMismatch;
  TESSERA_EXPECT_ERROR(shape, "input channels is 9", ops::linear(ctx, wide.in(), w, {}, out.out()));
  TESSERA_EXPECT_ERROR(shape, "channels of out", ops::linear(ctx, p.x.in(), w, {}, narrow.out()));
  TESSERA_EXPECT_ERROR(shape, "rows of out", ops::linear(ctx, p.x.in(), w, {}, low.out()));
  TESSERA_EXPECT_ERROR(shape, "bias", ops::linear(ctx, p.x.in(), w, {.bias = wide.row()}, out.out()));
  TESSERA_EXPECT_ERROR(shape, "bias", ops::linear(ctx, p.x.in(), gated, {.bias = p.residual.row(), .glu = true}, out.out()));
  TESSERA_EXPECT_ERROR(shape, "channel_scale", ops::linear(ctx, p.x.in(), w, {.channel_scale = wide.row()}, out.out()));
  TESSERA_EXPECT_ERROR(shape, "rows", ops::linear(ctx, p.x.in(), w, {.residual = low.in()}, out.out()));
  TESSERA_EXPECT_ERROR(shape, "channels", ops::linear(ctx, p.x.in(), w, {.residual = narrow.in()}, out.out()));
  TESSERA_EXPECT_ERROR(shape, "linear", ops::linear(ctx, p.x.in(), PackedWeight(), {}, out.out()));
  // A plain weight is not a gated one, nor the other way round, even where the counts would fit.
  const Matrix plain = filled(12, 8);
  TESSERA_EXPECT_ERROR(shape, "glu",
                       ops::linear(ctx, p.x.in(), ops::pack_weight(ctx, plain.in()), {.glu = true}, out.out()));
  Matrix twice = filled(4, 12);
  TESSERA_EXPECT_ERROR(shape, "glu", ops::linear(ctx, p.x.in(), gated, {}, twice.out()));
  auto across = p.x.in();
  across.stride[1] = 2;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", ops::linear(ctx, across, w, {}, out.out()));
  auto bias = p.bias.row();
  bias.stride[0] = 2, bias.extent[0] = 6;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", ops::linear(ctx, p.x.in(), w, {.bias = bias}, out.out()));
  auto far = p.x.in();
  far.space = Space::cuda;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "cuda", ops::linear(ctx, far, w, {}, out.out()));
  const PackedWeight other(6, 8, DType::f16, Buffer(64));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "f32", ops::linear(ctx, p.x.in(), other, {}, out.out()));
  EXPECT_EQ(out.bits(), before);
}
TEST_P(Linear, PackRefusesEmptyAndUnequalMatrices) {
  const Matrix a = filled(4, 8), b = filled(4, 7), none = filled(0, 8);
  const WeightView unequal[] = {a.in(), b.in()};
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "input channels", (void)ops::pack_weight(ctx, unequal, 2));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "empty", (void)ops::pack_weight(ctx, none.in()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "empty", (void)ops::pack_weight_glu(ctx, none.in(), none.in()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels", (void)ops::pack_weight_glu(ctx, a.in(), b.in()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no matrix", (void)ops::pack_weight(ctx, unequal, 0));
  auto across = a.in();
  across.stride[1] = 2;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", (void)ops::pack_weight(ctx, across));
  WeightView whole_numbers = a.in();
  whole_numbers.dtype = DType::i32;
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "f16 or bf16", (void)ops::pack_weight(ctx, whole_numbers));
}

}  // namespace
