// Naive row normalisations in double precision.
#pragma once
#include <algorithm>
#include <cmath>

#include <tessera/core/view.hpp>
#include "reference/result.hpp"

namespace tessera::ref {

inline Result layer_norm(View<const float, 2> x, View<const float, 1> gamma, View<const float, 1> beta, double eps) {
  Result out(x.extent[0], x.extent[1]);
  for (index_t r = 0; r < out.rows; ++r) {
    double mean = 0, variance = 0, largest = 0;
    for (index_t c = 0; c < out.columns; ++c) mean += x(r, c), largest = std::max(largest, std::fabs(double{x(r, c)}));
    mean /= static_cast<double>(out.columns);
    for (index_t c = 0; c < out.columns; ++c) variance += (x(r, c) - mean) * (x(r, c) - mean);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(out.columns) + eps);
    for (index_t c = 0; c < out.columns; ++c)
      out.set(r, c, gamma(c) * (x(r, c) - mean) * scale + beta(c),
              std::fabs(gamma(c)) * scale * largest + std::fabs(double{beta(c)}));
  }
  return out;
}

inline Result rms_norm(View<const float, 2> x, View<const float, 1> gamma, double eps) {
  Result out(x.extent[0], x.extent[1]);
  for (index_t r = 0; r < out.rows; ++r) {
    double squares = 0;
    for (index_t c = 0; c < out.columns; ++c) squares += double{x(r, c)} * double{x(r, c)};
    const double scale = 1 / std::sqrt(squares / static_cast<double>(out.columns) + eps);
    for (index_t c = 0; c < out.columns; ++c) {
      const double v = gamma(c) * (x(r, c) * scale);
      out.set(r, c, v, std::fabs(v));
    }
  }
  return out;
}

inline Result l2_normalize(View<const float, 2> x, double eps) {
  Result out(x.extent[0], x.extent[1]);
  for (index_t r = 0; r < out.rows; ++r) {
    double squares = 0;
    for (index_t c = 0; c < out.columns; ++c) squares += double{x(r, c)} * double{x(r, c)};
    const double norm = std::max(std::sqrt(squares), eps);
    for (index_t c = 0; c < out.columns; ++c) out.set(r, c, x(r, c) / norm, std::fabs(x(r, c) / norm));
  }
  return out;
}

}  // namespace tessera::ref
