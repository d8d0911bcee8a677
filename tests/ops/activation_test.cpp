#include <tessera/ops/activation.hpp>

#include <cmath>
#include <limits>

#include "reference/linear.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Activations : OpsTest {};
TESSERA_ON_EVERY_ISA(Activations);

constexpr Activation kAll[] = {Activation::identity, Activation::gelu_erf, Activation::gelu_tanh, Activation::quick_gelu,
                               Activation::silu,     Activation::relu,     Activation::tanh};

Matrix run(Context& ctx, Activation act, const Matrix& x) {
  Matrix out = poisoned(x.rows, x.columns, 3);
  ops::activation(ctx, act, x.in(), out.out());
  return out;
}

// Numbers of every exponent and both signs, denormals and the largest among them; infinities and NaN are apart.
Matrix sweep() {
  Matrix x(256, 1021, 5);
  std::uint32_t bits = 0;
  for (index_t r = 0; r < x.rows; ++r)
    for (index_t c = 0; c < x.columns; ++c) {
      do bits += 16411U;  // a prime: all mantissas come
      while ((bits & 0x7f800000U) == 0x7f800000U);
      x(r, c) = __builtin_bit_cast(float, bits);
    }
  return x;
}

TEST_P(Activations, MatchReferenceOverAllExponents) {
  const Matrix x = sweep();
  for (const Activation act : kAll)
    EXPECT_TRUE(close("activation", run(ctx, act, x), ref::activation(act, x.in()))) << static_cast<int>(act);
}

// Down to 2^-126 an exponential keeps its precision: the last ones before 0 are seen relative to their own size.
TEST_P(Activations, SmallestSigmoidsKeepTheirPrecision) {
  Matrix x(1, 61, 0);
  for (index_t c = 0; c < x.columns; ++c) x(0, c) = -86.7f - 0.01f * static_cast<float>(c);
  const Matrix got = run(ctx, Activation::silu, x);
  for (index_t c = 0; c < x.columns; ++c) {
    const double v = static_cast<double>(x(0, c)), want = v * std::exp(v);
    EXPECT_NEAR(static_cast<double>(got(0, c)) / want, 1.0, 2e-5) << v;
  }
}
TEST_P(Activations, MatchReferenceDenselyWhereTheyBend) {
  Matrix x(200, 400, 0);
  for (index_t i = 0; i < 80000; ++i) x(i / 400, i % 400) = static_cast<float>(i - 40000) / 3200.f;  // -12.5 to 12.5
  for (const Activation act : kAll)
    EXPECT_TRUE(close("activation", run(ctx, act, x), ref::activation(act, x.in()))) << static_cast<int>(act);
}
TEST_P(Activations, AtZeroOneAndTheEnds) {
  const float inf = std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::max(), tiny = 1e-45f;
  Matrix x(1, 10, 0);
  const float at[] = {0.f, -0.f, tiny, -tiny, 60.f, -60.f, most, -most, inf, -inf};
  for (index_t c = 0; c < 10; ++c) x(0, c) = at[c];
  for (const Activation act : kAll) {
    const Matrix y = run(ctx, act, x);
    const int name = static_cast<int>(act);
    EXPECT_EQ(y(0, 0), 0.f) << name;
    EXPECT_EQ(y(0, 1), 0.f) << name;
    EXPECT_LE(std::fabs(y(0, 2)), tiny) << name;
    EXPECT_LE(std::fabs(y(0, 3)), tiny) << name;
    const bool is_tanh = act == Activation::tanh, is_identity = act == Activation::identity;
    EXPECT_EQ(y(0, 4), is_tanh ? 1.f : 60.f) << name;
    EXPECT_EQ(y(0, 6), is_tanh ? 1.f : most) << name;
    EXPECT_EQ(y(0, 8), is_tanh ? 1.f : inf) << name;
    if (is_identity || is_tanh) {
      EXPECT_EQ(y(0, 5), is_tanh ? -1.f : -60.f) << name;
      EXPECT_EQ(y(0, 9), is_tanh ? -1.f : -inf) << name;
    } else {  // x times a number that is 0 to the last bit, not nearly
      EXPECT_LE(std::fabs(y(0, 5)), 1e-20f) << name;
      EXPECT_EQ(y(0, 7), 0.f) << name;
      // -inf * 0, as torch has it; relu has a limit.
      if (act == Activation::relu) {
        EXPECT_EQ(y(0, 9), 0.f);
      } else {
        EXPECT_TRUE(std::isnan(y(0, 9))) << name;
      }
    }
  }
}
TEST_P(Activations, NaNStaysInItsElement) {
  for (const Activation act : kAll)
    for (const index_t at : {0, 15, 16, 36}) {
      Matrix x = filled(3, 37, {.seed = 4});
      const Matrix clean = run(ctx, act, x);
      x(1, at) = std::numeric_limits<float>::quiet_NaN();
      const Matrix out = run(ctx, act, x);
      for (index_t r = 0; r < 3; ++r)
        for (index_t c = 0; c < 37; ++c) {
          if (r == 1 && c == at) {
            EXPECT_TRUE(std::isnan(out(r, c))) << static_cast<int>(act);
          } else {
            EXPECT_EQ(out(r, c), clean(r, c));
          }
        }
    }
}
TEST_P(Activations, InPlaceAndByThreadsTheSameBits) {
  for (const Activation act : kAll)
    for (const index_t c : {1, 15, 16, 17, 45}) {
      Matrix x = filled(101, c, {.seed = 7, .scale = 4.f, .pad = 3});
      const Matrix one = run(ctx, act, x);
      with_threads([&](Context& many) { EXPECT_EQ(one.bits(), run(many, act, x).bits()); });
      ops::activation(ctx, act, x.in(), x.out());
      EXPECT_EQ(one.bits(), x.bits());
    }
}
TEST_P(Activations, RefuseWhatDoesNotFitAndLeaveTheOutput) {
  const Matrix x = filled(3, 8);
  Matrix out = filled(3, 8, {.seed = 2}), low = filled(2, 8), thin = filled(3, 7);
  const auto before = out.bits();
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", ops::activation(ctx, Activation::silu, x.in(), low.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels", ops::activation(ctx, Activation::silu, x.in(), thin.out()));
  auto across = x.in();
  across.stride[1] = 2;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", ops::activation(ctx, Activation::silu, across, out.out()));
  auto far = out.out();
  far.space = Space::cuda;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "cuda", ops::activation(ctx, Activation::silu, x.in(), far));
  EXPECT_EQ(out.bits(), before);
}

TEST(ActivationNames, AreTheOnesOfConfigFiles) {
  const std::pair<const char*, Activation> known[] = {{"gelu", Activation::gelu_erf},
                                                      {"gelu_new", Activation::gelu_tanh},
                                                      {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                      {"quick_gelu", Activation::quick_gelu},
                                                      {"silu", Activation::silu},
                                                      {"swish", Activation::silu},
                                                      {"relu", Activation::relu},
                                                      {"tanh", Activation::tanh},
                                                      {"linear", Activation::identity}};
  for (const auto& [name, expected] : known) {
    Activation act = expected == Activation::relu ? Activation::tanh : Activation::relu;
    EXPECT_TRUE(ops::activation_from_name(name, act)) << name;
    EXPECT_EQ(act, expected) << name;
  }
  Activation act = Activation::silu;
  for (const char* name : {"", "GELU", "gelu ", "mish"}) EXPECT_FALSE(ops::activation_from_name(name, act)) << name;
  EXPECT_EQ(act, Activation::silu);
}

}  // namespace
