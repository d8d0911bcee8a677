// Logits and probabilities against the formulas by the standard library.
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/ops/contrastive.hpp>
#include "support/errors.hpp"

namespace tessera::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> probabilities_of(std::vector<float> row, bool sigmoid) {
  std::vector<float> out(row.size(), NAN);
  const auto n = static_cast<index_t>(row.size());
  (sigmoid ? ops::sigmoid : ops::softmax)(View<const float, 2>(row.data(), index_t{1}, n),
                                          View<float, 2>(out.data(), index_t{1}, n));
  return out;
}

TEST(Contrastive, SoftmaxAndSigmoidAreTheFormulas) {
  for (const float spread : {0.01f, 1.f, 30.f, 200.f}) {
    std::vector<float> z;
    for (int i = 0; i < 97; ++i) z.push_back(spread * std::sin(static_cast<float>(7 * i * i)));
    double top = -1e30, sum = 0;
    for (const float v : z) top = std::max(top, static_cast<double>(v));
    for (const float v : z) sum += std::exp(static_cast<double>(v) - top);
    const auto soft = probabilities_of(z, false), each = probabilities_of(z, true);
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double v = static_cast<double>(z[i]);
      EXPECT_FLOAT_EQ(soft[i], static_cast<float>(std::exp(v - top) / sum)) << v;
      EXPECT_FLOAT_EQ(each[i], static_cast<float>(1 / (1 + std::exp(-v)))) << v;
    }
  }
}

TEST(Contrastive, FarOutAndNotFinite) {
  EXPECT_EQ(probabilities_of({1e30f, -1e30f, 1e30f}, false), (std::vector<float>{0.5f, 0.f, 0.5f}));
  EXPECT_EQ(probabilities_of({1e30f, -1e30f, 0.f}, true), (std::vector<float>{1.f, 0.f, 0.5f}));
  EXPECT_EQ(probabilities_of({-3.f}, false), std::vector<float>{1.f});
  for (const bool sigmoid : {false, true}) EXPECT_TRUE(std::isnan(probabilities_of({0.f, NAN}, sigmoid)[1]));
  EXPECT_TRUE(std::isnan(probabilities_of({kInfinity, 0.f}, false)[0]));
}

TEST(Contrastive, LogitsScaleCosinesAndShift) {
  Context ctx(2);
  const std::vector<float> images{1.f, 0.f, 0.f, 1.f, -1.f, 0.f}, texts{1.f, 0.f, 0.6f, 0.8f};
  std::vector<float> out(6, NAN);
  const View<float, 2> o(out.data(), index_t{3}, index_t{2});
  contrastive_logits(ctx, View<const float, 2>(images.data(), index_t{3}, index_t{2}),
                     View<const float, 2>(texts.data(), index_t{2}, index_t{2}), 1.5f, -2.f, o);
  const double want[] = {1., 0.6, 0., 0.8, -1., -0.6};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(out[i], static_cast<float>(std::exp(1.5) * want[i] - 2)) << i;
}

TEST(Contrastive, RefusesAnotherShape) {
  float x[6] = {}, out[6] = {1, 1, 1, 1, 1, 1};
  const View<const float, 2> wide(x, index_t{2}, index_t{3});
  const View<float, 2> tall(out, index_t{3}, index_t{2});
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "softmax", softmax(wide, tall));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "sigmoid", sigmoid(wide, tall));
  EXPECT_EQ(out[0], 1.f);
}

}  // namespace
}  // namespace tessera::ops
