// What a reference computes: doubles, and beside each the magnitude that its rounding errors are relative to.
#pragma once
#include <vector>

#include <tessera/core/dtype.hpp>

namespace tessera::ref {

struct Result {
  index_t rows, columns;
  std::vector<double> value, magnitude;

  Result(index_t r, index_t c)
      : rows(r), columns(c), value(static_cast<std::size_t>(r * c)), magnitude(static_cast<std::size_t>(r * c)) {}
  std::size_t at(index_t r, index_t c) const { return static_cast<std::size_t>(r * columns + c); }
  double value_at(index_t r, index_t c) const { return value[at(r, c)]; }
  double magnitude_at(index_t r, index_t c) const { return magnitude[at(r, c)]; }
  void set(index_t r, index_t c, double v, double m) { value[at(r, c)] = v, magnitude[at(r, c)] = m; }
};

}  // namespace tessera::ref
