#include <tessera/ops/norm.hpp>

#include <limits>

#include "reference/norm.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Norm : OpsTest {};
TESSERA_ON_EVERY_ISA(Norm);

enum class Kind { layer, rms, l2 };
constexpr Kind kKinds[] = {Kind::layer, Kind::rms, Kind::l2};

void run(Context& ctx, Kind kind, View<const float, 2> x, const Matrix& w, const Matrix& b, float eps, View<float, 2> out) {
  if (kind == Kind::layer) ops::layer_norm(ctx, x, w.row(), b.row(), eps, out);
  if (kind == Kind::rms) ops::rms_norm(ctx, x, w.row(), eps, out);
  if (kind == Kind::l2) ops::l2_normalize(ctx, x, out, eps);
}

constexpr index_t kColumns[] = {1, 2, 7, 15, 16, 17, 31, 63, 64, 65, 129, 384};

TEST_P(Norm, MatchReferenceOnRaggedPaddedShapes) {
  std::uint64_t seed = 1;
  for (const index_t c : kColumns)
    for (const float eps : {1e-12f, 1e-5f, 0.5f})
      for (const float shift : {0.f, 3.f}) {
        const index_t t = 1 + static_cast<index_t>(seed % 5);
        const Matrix x = filled(t, c, {.seed = seed++, .scale = 3.f, .shift = shift, .pad = 3});
        const Matrix w = filled(1, c, {.seed = seed++, .pad = 4}), b = filled(1, c, {.seed = seed++, .pad = 4});
        Matrix layer = poisoned(t, c, 5), rms = poisoned(t, c, 5), l2 = poisoned(t, c, 5);
        run(ctx, Kind::layer, x.in(), w, b, eps, layer.out());
        if (c > 1) {  // one channel: its deviation is exactly 0
          EXPECT_TRUE(close("layer_norm", layer, ref::layer_norm(x.in(), w.row(), b.row(), eps))) << t << "x" << c;
        }
        run(ctx, Kind::rms, x.in(), w, b, eps, rms.out());
        EXPECT_TRUE(close("rms_norm", rms, ref::rms_norm(x.in(), w.row(), eps))) << t << "x" << c;
        run(ctx, Kind::l2, x.in(), w, b, eps, l2.out());
        EXPECT_TRUE(close("l2_normalize", l2, ref::l2_normalize(x.in(), eps))) << t << "x" << c;
      }
}
TEST_P(Norm, LayerNormSurvivesALargeMean) {  // one pass over squares would lose every digit
  const Matrix x = filled(4, 70, {.seed = 3, .shift = 1000.f}), w = filled(1, 70, {.seed = 4}),
               b = filled(1, 70, {.seed = 5});
  Matrix out = poisoned(4, 70);
  ops::layer_norm(ctx, x.in(), w.row(), b.row(), 1e-5f, out.out());
  EXPECT_TRUE(close("layer_norm", out, ref::layer_norm(x.in(), w.row(), b.row(), 1e-5)));
}
TEST_P(Norm, ConstantRowGivesBetaAndOneChannelToo) {
  for (const index_t c : {1, 16, 40, 64}) {
    const Matrix x = filled(3, c, {.scale = 0.f, .shift = 8.f}), w = filled(1, c, {.seed = 2}),
                 b = filled(1, c, {.seed = 3});
    Matrix out = poisoned(3, c, 1);
    ops::layer_norm(ctx, x.in(), w.row(), b.row(), 1e-12f, out.out());
    for (index_t r = 0; r < 3; ++r)
      for (index_t i = 0; i < c; ++i) EXPECT_EQ(out(r, i), b(0, i));
    EXPECT_TRUE(written_exactly(out));
  }
}
TEST_P(Norm, ZeroRowsStayZero) {
  const Matrix x = filled(2, 33, {.scale = 0.f}), w = filled(1, 33, {.seed = 2});
  Matrix rms = poisoned(2, 33), l2 = poisoned(2, 33);
  ops::rms_norm(ctx, x.in(), w.row(), 1e-6f, rms.out());
  ops::l2_normalize(ctx, x.in(), l2.out());
  for (index_t c = 0; c < 33; ++c) {
    EXPECT_EQ(rms(1, c), 0.f);
    EXPECT_EQ(l2(1, c), 0.f);
  }
}
TEST_P(Norm, ShortRowsAreDividedByEpsOnly) {  // |x| < eps
  const Matrix x = filled(1, 20, {.seed = 6, .scale = 1e-6f});
  Matrix out = poisoned(1, 20);
  ops::l2_normalize(ctx, x.in(), out.out(), 0.25f);
  EXPECT_TRUE(close("l2_normalize", out, ref::l2_normalize(x.in(), 0.25)));
}
TEST_P(Norm, NonFiniteStaysInItsRow) {
  for (const Kind kind : kKinds)
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Matrix x = filled(5, 50, {.seed = 7, .pad = 2});
      const Matrix w = filled(1, 50, {.seed = 8}), b = filled(1, 50, {.seed = 9});
      Matrix clean = poisoned(5, 50), out = poisoned(5, 50);
      run(ctx, kind, x.in(), w, b, 1e-6f, clean.out());
      x(2, 49) = bad;
      run(ctx, kind, x.in(), w, b, 1e-6f, out.out());
      for (index_t r = 0; r < 5; ++r)
        if (r != 2) {
          EXPECT_EQ(out.row_bits(r), clean.row_bits(r));
        }
      EXPECT_TRUE(std::isnan(out(2, 49)));
    }
}
TEST_P(Norm, ThreadsChangeNoBit) {
  for (const Kind kind : kKinds) {
    const Matrix x = filled(101, 77, {.seed = 7, .pad = 1}), w = filled(1, 77, {.seed = 8}), b = filled(1, 77, {.seed = 9});
    Matrix one = poisoned(101, 77, 2);
    run(ctx, kind, x.in(), w, b, 1e-6f, one.out());
    EXPECT_TRUE(written_exactly(one));
    with_threads([&](Context& many) {
      Matrix out = poisoned(101, 77, 2);
      run(many, kind, x.in(), w, b, 1e-6f, out.out());
      EXPECT_EQ(one.bits(), out.bits());
    });
  }
}
TEST_P(Norm, InPlaceHasTheSameBits) {
  for (const Kind kind : kKinds) {
    Matrix x = filled(9, 45, {.seed = 7, .pad = 3});
    const Matrix w = filled(1, 45, {.seed = 8}), b = filled(1, 45, {.seed = 9});
    Matrix apart = poisoned(9, 45, 3);
    run(ctx, kind, x.in(), w, b, 1e-6f, apart.out());
    run(ctx, kind, x.in(), w, b, 1e-6f, x.out());
    EXPECT_EQ(apart.bits(), x.bits());
  }
}
TEST_P(Norm, EmptyInputsAreFine) {
  const Matrix none = filled(0, 8), w = filled(1, 8), b = filled(1, 8);
  Matrix out = poisoned(0, 8);
  for (const Kind kind : kKinds) EXPECT_NO_THROW(run(ctx, kind, none.in(), w, b, 1e-6f, out.out()));
}
TEST_P(Norm, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Matrix x = filled(3, 8), w = filled(1, 8), b = filled(1, 8), narrow = filled(1, 7);
  Matrix out = filled(3, 8, {.seed = 5}), low = filled(2, 8), thin = filled(3, 7);
  const auto before = out.bits();
  for (const Kind kind : kKinds) {
    TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", run(ctx, kind, x.in(), w, b, 1e-6f, low.out()));
    TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels", run(ctx, kind, x.in(), w, b, 1e-6f, thin.out()));
    for (const float eps : {-1e-6f, std::numeric_limits<float>::quiet_NaN()})
      TESSERA_EXPECT_ERROR(Code::kBadArgument, "eps", run(ctx, kind, x.in(), w, b, eps, out.out()));
    auto across = x.in();
    across.stride[1] = 2;
    TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", run(ctx, kind, across, w, b, 1e-6f, out.out()));
    auto far = x.in();
    far.space = Space::cuda;
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "cuda", run(ctx, kind, far, w, b, 1e-6f, out.out()));
  }
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "parameter", run(ctx, Kind::layer, x.in(), narrow, b, 1e-6f, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "parameter", run(ctx, Kind::layer, x.in(), w, narrow, 1e-6f, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "parameter", run(ctx, Kind::rms, x.in(), narrow, b, 1e-6f, out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "gamma", ops::layer_norm(ctx, x.in(), {}, b.row(), 1e-6f, out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "beta", ops::layer_norm(ctx, x.in(), w.row(), {}, 1e-6f, out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "gamma", ops::rms_norm(ctx, x.in(), {}, 1e-6f, out.out()));
  EXPECT_EQ(out.bits(), before);
}
TEST_P(Norm, AddedAndByHeadsTheyAreTheRmsNorm) {
  for (const index_t c : kColumns) {
    const Matrix x = filled(5, c, {.seed = 31, .scale = 3.f, .pad = 3}), w = filled(1, c, {.seed = 32, .pad = 4});
    Matrix out = filled(5, c, {.seed = 33, .pad = 2}), unit = poisoned(5, c);
    const Matrix before = out;
    ops::rms_norm(ctx, x.in(), w.row(), 1e-3f, unit.out());
    ops::add_rms_norm(ctx, x.in(), w.row(), 1e-3f, out.out());
    for (index_t r = 0; r < 5; ++r)
      for (index_t i = 0; i < c; ++i) EXPECT_EQ(out(r, i), before(r, i) + unit(r, i)) << c;

    constexpr index_t kTokens = 37, kHeads = 3;  // of a buffer that holds more
    Matrix heads = filled(kTokens, (kHeads + 1) * c, {.seed = 34, .scale = 2.f, .pad = 5});
    const Matrix all = heads;
    const auto first = [&](Matrix& m) {
      View<float, 3> v = m.heads_out(kHeads + 1);
      v.extent[1] = kHeads;
      return v;
    };
    ops::rms_norm_heads(ctx, first(heads), w.row(), 1e-3f);
    for (index_t h = 0; h <= kHeads; ++h) {
      View<const float, 2> head = all.in();
      head.data += h * c, head.extent[1] = c;
      Matrix expected = poisoned(kTokens, c);
      ops::rms_norm(ctx, head, w.row(), 1e-3f, expected.out());
      for (index_t t = 0; t < kTokens; ++t)
        for (index_t i = 0; i < c; ++i) EXPECT_EQ(heads(t, h * c + i), h < kHeads ? expected(t, i) : head(t, i));
    }
    with_threads([&](Context& many) {
      Matrix own = all;
      ops::rms_norm_heads(many, first(own), w.row(), 1e-3f);
      EXPECT_EQ(own.bits(), heads.bits());
    });
  }
  const Matrix w = filled(1, 8), narrow = filled(1, 7), x = filled(2, 8);
  Matrix out = filled(2, 8, {.seed = 5});
  const auto before = out.bits();
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "gamma", ops::rms_norm_heads(ctx, out.heads_out(1), narrow.row(), 1e-6f));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "gamma", ops::rms_norm_heads(ctx, out.heads_out(1), {}, 1e-6f));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "eps", ops::rms_norm_heads(ctx, out.heads_out(1), w.row(), -1.f));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "parameter", ops::add_rms_norm(ctx, x.in(), narrow.row(), 1e-6f, out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "gamma", ops::add_rms_norm(ctx, x.in(), {}, 1e-6f, out.out()));
  EXPECT_EQ(out.bits(), before);
}
TEST_P(Norm, AddedItIsTheLayerNorm) {
  for (const index_t c : kColumns) {
    const Matrix x = filled(37, c, {.seed = 31, .scale = 3.f, .pad = 3}), w = filled(1, c, {.seed = 32, .pad = 4}),
                 b = filled(1, c, {.seed = 35});
    Matrix out = filled(37, c, {.seed = 33, .pad = 2}), unit = poisoned(37, c);
    const Matrix before = out;
    ops::layer_norm(ctx, x.in(), w.row(), b.row(), 1e-3f, unit.out());
    ops::add_layer_norm(ctx, x.in(), w.row(), b.row(), 1e-3f, out.out());
    for (index_t r = 0; r < 37; ++r)
      for (index_t i = 0; i < c; ++i) EXPECT_EQ(out(r, i), before(r, i) + unit(r, i)) << c;
    with_threads([&](Context& many) {
      Matrix own = before;
      ops::add_layer_norm(many, x.in(), w.row(), b.row(), 1e-3f, own.out());
      EXPECT_EQ(own.bits(), out.bits());
    });
  }
  const Matrix w = filled(1, 8), narrow = filled(1, 7), x = filled(2, 8);
  Matrix out = filled(2, 8, {.seed = 5});
  const auto before = out.bits();
  const auto add = [&](View<const float, 1> gamma, View<const float, 1> beta, float eps) {
    ops::add_layer_norm(ctx, x.in(), gamma, beta, eps, out.out());
  };
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "parameter", add(narrow.row(), w.row(), 1e-6f));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "parameter", add(w.row(), narrow.row(), 1e-6f));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "gamma", add({}, w.row(), 1e-6f));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "beta", add(w.row(), {}, 1e-6f));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "eps", add(w.row(), w.row(), -1.f));
  EXPECT_EQ(out.bits(), before);
}
TEST_P(Norm, AllFiniteFindsAnyOne) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const index_t n : {0, 1, 15, 16, 17, 31, 33, 4095, 4097, 70000, 140001}) {
    Matrix x = filled(1, n, {.seed = 3, .scale = 3e38f, .pad = 2});
    const auto check = [&] { return ops::all_finite(ctx, x.row()); };
    EXPECT_TRUE(check()) << n;
    for (const index_t at : {index_t{0}, n / 2, n - 1})
      for (const float bad : {inf, -inf, nan}) {
        if (at < 0 || at >= n) continue;
        const float was = x(0, at);
        x(0, at) = bad;
        EXPECT_FALSE(check()) << n << " at " << at;
        with_threads([&](Context& many) { EXPECT_FALSE(ops::all_finite(many, x.row())); });
        x(0, at) = was;
      }
  }
}

}  // namespace
