#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/contrastive.hpp>
#include <tessera/ops/detail/exact_math.hpp>
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/similarity.hpp>

namespace tessera::ops {

TESSERA_PUSH_BITS  // rounded alike by every compiler
namespace detail {

/// e^x; 0 below -700, infinity above 700.
inline double exp_of(double x) {
  if (std::isnan(x)) return x;
  if (x < -700.0) return 0.0;
  if (x > 700.0) return static_cast<double>(__builtin_inf());
  return exponential(x);
}

inline double sigmoid_of(double x) {
  const double e = exp_of(-std::fabs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

inline void expect_shape(const char* op, View<const float, 2> x, View<const float, 2> out) {
  expect(op, "rows of out", out.extent[0], x.extent[0]);
  expect(op, "columns of out", out.extent[1], x.extent[1]);
}

}  // namespace detail

inline void contrastive_logits(Context& ctx, View<const float, 2> images, View<const float, 2> texts, float log_scale,
                               float bias, View<float, 2> out) {
  similarity(ctx, images, texts, out);
  const FpModeScope mode;
  const double scale = detail::exp_of(static_cast<double>(log_scale)), shift = static_cast<double>(bias);
  for (index_t i = 0; i < out.extent[0]; ++i)
    for (index_t t = 0; t < out.extent[1]; ++t)
      out(i, t) = static_cast<float>(static_cast<double>(out(i, t)) * scale + shift);
}

inline void softmax(View<const float, 2> x, View<float, 2> out) {
  detail::expect_shape("softmax", x, out);
  const FpModeScope mode;
  std::vector<double> row(static_cast<std::size_t>(x.extent[1]));
  for (index_t i = 0; i < x.extent[0]; ++i) {
    double top = -static_cast<double>(__builtin_inf()), sum = 0;
    for (index_t t = 0; t < x.extent[1]; ++t) top = std::max(top, static_cast<double>(x(i, t)));
    for (std::size_t t = 0; t < row.size(); ++t)
      sum += row[t] = detail::exp_of(static_cast<double>(x(i, static_cast<index_t>(t))) - top);
    for (std::size_t t = 0; t < row.size(); ++t) out(i, static_cast<index_t>(t)) = static_cast<float>(row[t] / sum);
  }
}

inline void sigmoid(View<const float, 2> x, View<float, 2> out) {
  detail::expect_shape("sigmoid", x, out);
  const FpModeScope mode;
  for (index_t i = 0; i < x.extent[0]; ++i)
    for (index_t t = 0; t < x.extent[1]; ++t)
      out(i, t) = static_cast<float>(detail::sigmoid_of(static_cast<double>(x(i, t))));
}
TESSERA_POP_BITS

}  // namespace tessera::ops
