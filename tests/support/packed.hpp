// Linear layers with weights that are not f32, for the tests of them on each instruction set.
#pragma once
#include <gtest/gtest.h>

#include <limits>

#include <tessera/ops/gemm.hpp>
#include "reference/linear.hpp"
#include "support/poison.hpp"
#include "support/random.hpp"
#include "support/tolerance.hpp"

namespace tessera::test {

struct LinearShape {
  index_t t, k, n;
};

inline PackedWeight packed_as(Context& ctx, const Matrix& w, DType type) {
  WeightView v = w.in();
  v.packed = type;
  return ops::pack_weight(ctx, v);
}
inline PackedWeight packed_bf16(Context& ctx, const Matrix& w) { return packed_as(ctx, w, DType::bf16); }

/// Every epilogue, gated or not, of rows and weights that the type holds exactly.
inline void expect_epilogues_of_f32(Context& ctx, DType type, const Matrix& x, const Matrix& w, const Matrix& up) {
  const index_t t = x.rows, n = w.rows;
  for (const bool glu : {false, true})
    for (int parts = 0; parts < 8; ++parts)
      for (const Activation act : {Activation::identity, Activation::gelu_erf, Activation::silu}) {
        const Matrix bias = filled(1, glu ? 2 * n : n, {.seed = 4}), scale = filled(1, n, {.seed = 5}),
                     residual = filled(t, n, {.seed = 6, .pad = 3});
        ops::Epilogue e;
        e.act = act, e.glu = glu;
        if (parts & 1) e.bias = bias.row();
        if (parts & 2) e.channel_scale = scale.row();
        if (parts & 4) e.residual = residual.in();
        WeightView gate = w.in(), other = up.in();
        gate.packed = other.packed = type;
        const PackedWeight weight = glu ? ops::pack_weight_glu(ctx, gate, other) : ops::pack_weight(ctx, gate);
        ASSERT_EQ(weight.dtype(), type);
        Matrix out = poisoned(t, n, 2);
        ops::linear(ctx, x.in(), weight, e, out.out());
        ref::LinearArgs a{.x = x.in(), .w = w.in(), .bias = e.bias, .act = act};
        a.channel_scale = e.channel_scale, a.residual = e.residual;
        if (glu) a.up = up.in();
        EXPECT_TRUE(close("linear", out, ref::linear(a))) << "gated " << glu << ", parts " << parts;
      }
}

/// What lies in the scratch of the calls to come is NaN.
inline void poison_arena(Context& ctx) {
  constexpr index_t kFloats = index_t{1} << 22;
  ctx.arena().reserve(static_cast<std::size_t>(kFloats) * sizeof(float));
  const ArenaScope scope(ctx.arena());
  float* const all = ctx.arena().carve<float>(kFloats);
  for (index_t i = 0; i < kFloats; ++i) all[i] = std::numeric_limits<float>::quiet_NaN();
}

/// All rows on one thread have the bits that they have on others, and that each has alone.
inline void expect_no_other_bits(Isa isa, const LinearShape& s, DType type, bool fast = false) {
  Context ctx(ContextOptions{.threads = 1, .isa = &isa, .fast = fast});
  const Matrix x = filled(s.t, s.k, {.seed = 8}), w = filled(s.n, s.k, {.seed = 9});
  const PackedWeight weight = packed_as(ctx, w, type);
  Matrix one = poisoned(s.t, s.n, 2);
  ops::linear(ctx, x.in(), weight, {}, one.out());
  EXPECT_TRUE(written_exactly(one));
  for (int threads = 2; threads <= 5; ++threads) {
    Context many(ContextOptions{.threads = threads, .isa = &isa, .fast = fast});
    Matrix out = poisoned(s.t, s.n, 2);
    ops::linear(many, x.in(), weight, {}, out.out());
    EXPECT_EQ(one.bits(), out.bits()) << s.t << "x" << s.k << "x" << s.n << ", " << threads << " threads";
  }
  for (const index_t r : {index_t{0}, s.t / 2, s.t - 1}) {
    Matrix out = poisoned(1, s.n);
    ops::linear(ctx, x.in().slice(r, r + 1), weight, {}, out.out());
    EXPECT_EQ(out.row_bits(0), one.row_bits(r));
  }
}

}  // namespace tessera::test
