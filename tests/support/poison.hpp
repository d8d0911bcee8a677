// Outputs that start as poison: what an operation forgot to write, or wrote beside its rows, shows.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "support/random.hpp"

namespace tessera::test {

inline Matrix poisoned(index_t rows, index_t columns, index_t pad = 0) { return Matrix(rows, columns, pad); }

inline bool is_poison(float x) { return __builtin_bit_cast(std::uint32_t, x) == kPoison; }

/// Every element written, no padding touched.
inline testing::AssertionResult written_exactly(const Matrix& m) {
  for (std::size_t i = 0; i < m.memory.size(); ++i) {
    const index_t at = static_cast<index_t>(i) - m.front;
    const bool element = at >= 0 && at % m.ld < m.columns;
    if (element == is_poison(m.memory[i]))
      return testing::AssertionFailure() << (element ? "not written: row " : "padding was written: row ")
                                         << (at < 0 ? -1 : at / m.ld) << " column " << (at < 0 ? at : at % m.ld);
  }
  return testing::AssertionSuccess();
}

}  // namespace tessera::test
