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

/// In float, torch's cubic convolution with the fused operations that its compiler makes of it; there is no other filter
/// than this and bilinear.
inline float filter_value(Filter f, float x) {
  constexpr float a = -0.5f;
  x = std::fabs(x);
  if (f == Filter::bilinear) return x < 1.f ? 1.f - x : 0.f;
  if (x < 1.f) return std::fma(std::fma(a + 2.f, x, -(a + 3.f)) * x, x, 1.f);
  return x < 2.f ? std::fma(std::fma(std::fma(a, x, -5.f * a), x, 8.f * a), x, -4.f * a) : 0.f;
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
/// weight. In double, Pillow's and torch's of bytes; in float, torch's of floats, which rounds where it does.
/// Source: Pillow, Resample.c; PyTorch, UpSampleKernel.cpp; in their order of operations.
template <class T>
struct FilterAxis {
  index_t taps = 0;
  std::vector<std::int32_t> first, count;
  std::vector<T> weights;

  // Not inlined, or its first quotient may be computed before the caller has set the mode that it is to round in.
  [[gnu::noinline]] FilterAxis(Filter filter, index_t in, index_t out) {
    const T scale = static_cast<T>(in) / static_cast<T>(out), filter_scale = std::max(scale, T{1});
    const T support = static_cast<T>(filter_support(filter)) * filter_scale;
    const auto inverse = static_cast<double>(static_cast<T>(1.0 / static_cast<double>(filter_scale)));
    taps = static_cast<index_t>(std::ceil(support)) * 2 + 1;
    weights.assign(static_cast<std::size_t>(taps * out), T{0});
    for (index_t i = 0; i < out; ++i) {
      const T center = static_cast<T>((static_cast<double>(i) + 0.5) * static_cast<double>(scale));
      const auto bound = [](T side) { return static_cast<index_t>(std::floor(static_cast<double>(side) + 0.5)); };
      const index_t low = std::max<index_t>(bound(center - support), 0), high = std::min(bound(center + support), in);
      T* w = weights.data() + i * taps;
      T sum = 0;
      for (index_t j = 0; j < high - low; ++j) {
        const T at = static_cast<T>(j + low) - center;
        w[j] = filter_value(filter, static_cast<T>((static_cast<double>(at) + 0.5) * inverse));
        sum += w[j];
      }
      for (index_t j = 0; j < high - low && sum != T{0}; ++j) w[j] /= sum;
      first.push_back(static_cast<std::int32_t>(low));
      count.push_back(static_cast<std::int32_t>(high - low));
    }
  }
};
TESSERA_POP_BITS

}  // namespace tessera::ops::detail
