// The one table of tolerances, and the comparison that uses it. No test states its own.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "reference/result.hpp"
#include "support/poison.hpp"

namespace tessera::test {

/// Bounds on |found - expected| / magnitude, where a reference states the magnitude of each element: the sum of the absolute
/// values that it is made of; for whole blocks and encoders the largest value of its row. Each is at most twice the worst
/// error that these tests measure, which is the same number on every instruction set, as the bits are. A run of all tests of
/// a program fails where that is no longer so; TESSERA_TEST_ERRORS=1 prints what it measures.
struct Tolerance {
  const char* op;
  double bound;
};
inline constexpr Tolerance kTolerances[] = {
    {"linear", 3.5e-7},       {"activation", 3.3e-7}, {"layer_norm", 2.8e-7},        {"rms_norm", 3.8e-7},
    {"l2_normalize", 2.8e-7}, {"attention", 1.7e-7},  {"probabilities", 3e-7},       {"embed", 1.1e-7},
    {"pool", 3.2e-7},         {"merge", 2.6e-7},      {"similarity", 2.0e-7},        {"block", 6.6e-7},
    {"encoder", 8.0e-7},      {"rotary", 1.5e-7},     {"attention of bf16", 1.6e-3},
};

inline double tolerance(const char* op) {
  for (const auto& t : kTolerances)
    if (std::strcmp(t.op, op) == 0) return t.bound;
  ADD_FAILURE() << "no tolerance for " << op;
  return -1;
}

/// The worst error of each operation, printed at the end on request.
class Errors : public testing::Environment {
 public:
  static std::map<std::string, double>& worst() {
    static std::map<std::string, double> errors;
    return errors;
  }
  void TearDown() override {
    const bool print = std::getenv("TESSERA_TEST_ERRORS") != nullptr;  // NOLINT(concurrency-mt-unsafe)
    const bool all = testing::GTEST_FLAG(filter) == "*";
    for (const auto& [op, error] : worst()) {
      if (print) std::printf("worst error: %-14s %.3g\n", op.c_str(), error);
      if (all) {
        EXPECT_LE(tolerance(op.c_str()), 2 * error) << op << ": the bound is loose";
      }
    }
  }
};
inline testing::Environment* const kErrors = testing::AddGlobalTestEnvironment(new Errors);

/// `found` is all written, its padding untouched, and every element within the tolerance of `op`; NaN where NaN is
/// expected, the same infinity where one is.
inline testing::AssertionResult close(const char* op, const Matrix& found, const ref::Result& expected) {
  if (found.rows != expected.rows || found.columns != expected.columns)
    return testing::AssertionFailure() << "the reference has another shape";
  if (const auto ok = written_exactly(found); !ok) return ok;
  const double bound = tolerance(op);
  for (index_t r = 0; r < found.rows; ++r)
    for (index_t c = 0; c < found.columns; ++c) {
      const double f = found(r, c), e = expected.value_at(r, c), m = expected.magnitude_at(r, c);
      if (std::isnan(e) ? std::isnan(f) : (std::isinf(e) && f == e)) continue;
      const double error = m > 0 ? std::fabs(f - e) / m : std::fabs(f - e);
      if (error > Errors::worst()[op]) Errors::worst()[op] = error;
      if (!(error <= bound))
        return testing::AssertionFailure() << op << " row " << r << " column " << c << ": found " << f << ", expected " << e
                                           << ", error " << error << " of the magnitude " << m << ", allowed " << bound;
    }
  return testing::AssertionSuccess();
}

}  // namespace tessera::test
