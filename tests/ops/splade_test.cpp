#include <tessera/ops/splade.hpp>

#include <cmath>
#include <limits>

#include "support/backends.hpp"
#include "support/errors.hpp"
#include "support/jobs.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Splade : OpsTest {};
TESSERA_ON_EVERY_ISA(Splade);

Matrix run(Context& ctx, View<const float, 2> x, const std::vector<index_t>& cu, const Matrix& decoder, const Matrix& bias,
           const ops::SpladeOptions& options) {
  Matrix out = poisoned(static_cast<index_t>(cu.size()) - 1, decoder.rows, 3);
  ops::splade(ctx, x, offsets(cu), decoder.in(), bias.row(), options, out.out());
  return out;
}

/// By its definition, the logits as an f32 chain, the rest in double by the standard library.
double expected(const Matrix& x, index_t begin, index_t end, const Matrix& decoder, index_t v, float bias,
                const ops::SpladeOptions& o) {
  double sum = 0, most = 0;
  for (index_t t = begin; t < end; ++t) {
    float logit = 0;
    for (index_t c = 0; c < x.columns; ++c) logit = std::fma(x(t, c), decoder(v, c), logit);
    logit += bias;
    double w = std::log1p(std::fmax(0.0, static_cast<double>(logit)));
    if (o.twice) w = std::log1p(w);
    sum += w, most = std::fmax(most, w);
  }
  return o.sum ? sum : most;
}

TEST_P(Splade, IsItsDefinitionForAnyThreadsAndCompany) {
  const std::vector<index_t> cu{0, 1, 1, 38, 103};
  const index_t words = 1030;  // three panels, the last one ragged
  const Matrix x = filled(cu.back(), 19, {.seed = 1, .pad = 2}), decoder = filled(words, 19, {.seed = 2, .pad = 5}),
               bias = filled(1, words, {.seed = 3});
  for (const ops::SpladeOptions o : {ops::SpladeOptions{}, {true, false}, {false, true}, {true, true}}) {
    poison_arena(ctx);
    const Matrix got = run(ctx, x.in(), cu, decoder, bias, o);
    int positive = 0;
    for (index_t b = 0; b < got.rows; ++b)
      for (index_t v = 0; v < words; ++v) {
        const auto at = static_cast<std::size_t>(b);
        const double want = expected(x, cu[at], cu[at + 1], decoder, v, bias(0, v), o);
        ASSERT_NEAR(static_cast<double>(got(b, v)), want, 1e-6 * (1 + want)) << b << " " << v;
        ASSERT_EQ(got(b, v) > 0, want > 0);
        positive += want > 0;
      }
    EXPECT_GT(positive, 100);
    EXPECT_EQ(got(1, 7), 0.f) << "a text without tokens";
    with_threads([&](Context& many) { EXPECT_EQ(run(many, x.in(), cu, decoder, bias, o).bits(), got.bits()); });
    const Matrix alone = run(ctx, x.in().slice(38, 103), {0, 65}, decoder, bias, o);
    for (index_t v = 0; v < words; ++v) ASSERT_EQ(alone(0, v), got(3, v));
  }
}

TEST_P(Splade, SmallLogitsKeepTheirDigitsAndBrokenTextsAreNaN) {
  Matrix x(3, 1, 0), decoder(2, 1, 0), bias(1, 2, 0);
  x(0, 0) = 1e-12f, x(1, 0) = std::numeric_limits<float>::quiet_NaN(), x(2, 0) = 3e38f;
  decoder(0, 0) = 1, decoder(1, 0) = -1, bias(0, 0) = bias(0, 1) = 0;
  const Matrix got = run(ctx, x.in(), {0, 1, 2, 3}, decoder, bias, {});
  EXPECT_FLOAT_EQ(got(0, 0), 1e-12f);
  EXPECT_EQ(got(0, 1), 0.f);
  EXPECT_TRUE(std::isnan(got(1, 0)) && std::isnan(got(1, 1)));
  EXPECT_FLOAT_EQ(got(2, 0), std::log(3e38f));
}

TEST_P(Splade, RefusesShapes) {
  const Matrix x = filled(3, 4, {}), decoder = filled(5, 4, {}), narrow = filled(5, 3, {}), bias = filled(1, 5, {}),
               short_bias = filled(1, 4, {});
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "decoder", (void)run(ctx, x.in(), {0, 3}, narrow, bias, {}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bias", (void)run(ctx, x.in(), {0, 3}, decoder, short_bias, {}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "tokens", (void)run(ctx, x.in(), {0, 2}, decoder, bias, {}));
}

}  // namespace
