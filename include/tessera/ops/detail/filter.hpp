// The weights of a filter along one axis, in double.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <tessera/core/dtype.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/filter.hpp>

namespace tessera::ops::detail {

TESSERA_PUSH_BITS  // a contracted a*b+c would change weights
inline double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= 3.14159265358979323846;
  return std::sin(x) / x;
}

inline double filter_support(Filter f) {
  switch (f) {
    case Filter::box: return 0.5;
    case Filter::bilinear:
    case Filter::hamming: return 1.0;
    case Filter::bicubic: return 2.0;
    case Filter::lanczos: return 3.0;
  }
  return 0.0;
}

// In Pillow's order of operations: the weights are rounded, and one unit in the last place of a sum can show.
inline double filter_value(Filter f, double x) {
  constexpr double a = -0.5;  // Keys' cubic convolution
  switch (f) {
    case Filter::box: return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    case Filter::bilinear: x = std::fabs(x); return x < 1.0 ? 1.0 - x : 0.0;
    case Filter::hamming:
      x = std::fabs(x);
      if (x == 0.0) return 1.0;
      if (x >= 1.0) return 0.0;
      x = x * 3.14159265358979323846;
      return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
    case Filter::bicubic:
      x = std::fabs(x);
      if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
      return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
    case Filter::lanczos: return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
  }
  return 0.0;
}

/// Output i is the sum of weights[i * taps + j] * in[first[i] + j] over j < count[i]; what lies beyond the ends has no
/// weight. Source: Pillow, Resample.c, in its order of operations.
struct FilterAxis {
  index_t taps = 0;
  std::vector<std::int32_t> first, count;
  std::vector<double> weights;

  FilterAxis(Filter filter, index_t in, index_t out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out), filter_scale = std::max(scale, 1.0);
    const double support = filter_support(filter) * filter_scale, inverse = 1.0 / filter_scale;
    taps = static_cast<index_t>(std::ceil(support)) * 2 + 1;
    weights.assign(static_cast<std::size_t>(taps * out), 0.0);
    for (index_t i = 0; i < out; ++i) {
      const double center = (static_cast<double>(i) + 0.5) * scale;
      const auto low = std::max<index_t>(static_cast<index_t>(std::floor(center - support + 0.5)), 0);
      const index_t high = std::min(static_cast<index_t>(std::floor(center + support + 0.5)), in);
      double* w = weights.data() + i * taps;
      double sum = 0.0;
      for (index_t j = 0; j < high - low; ++j) {
        w[j] = filter_value(filter, (static_cast<double>(j + low) - center + 0.5) * inverse);
        sum += w[j];
      }
      for (index_t j = 0; j < high - low && sum != 0.0; ++j) w[j] /= sum;
      first.push_back(static_cast<std::int32_t>(low));
      count.push_back(static_cast<std::int32_t>(high - low));
    }
  }
};
TESSERA_POP_BITS

}  // namespace tessera::ops::detail
