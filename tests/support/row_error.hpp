// The project's promise as a number.
#pragma once
#include <algorithm>
#include <cmath>

#include <tessera/core/view.hpp>

namespace tessera::test {

inline constexpr double kRowBound = 2e-5;  ///< of a row's largest value: the project's promise

/// Largest error of any row, relative to the row's largest value; rows that must be 0 count absolutely.
inline double worst_row_error(View<const float, 2> got, const float* want) {
  double worst = 0;
  for (index_t r = 0; r < got.extent[0]; ++r) {
    double top = 0, error = 0;
    for (index_t c = 0; c < got.extent[1]; ++c) {
      const double w = static_cast<double>(want[r * got.extent[1] + c]), g = static_cast<double>(got(r, c));
      if (!(std::abs(g) < 1e30) || !(std::abs(w) < 1e30)) return INFINITY;
      top = std::max(top, std::abs(w));
      error = std::max(error, std::abs(g - w));
    }
    worst = std::max(worst, top > 0 ? error / top : error);
  }
  return worst;
}

}  // namespace tessera::test
