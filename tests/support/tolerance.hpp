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

/// Bounds on |found - expected| / magnitude, where a reference states the magnitude of each element (the sum of the
/// absolute values that it is made of). Each is at most twice the worst error that these tests measured on any instruction
/// set; TESSERA_TEST_ERRORS=1 prints what they measure.
struct Tolerance {
  const char* op;
  double bound;
};
inline constexpr Tolerance kTolerances[] = {
    {"linear", 1e-5},    {"activation", 1e-5}, {"layer_norm", 1e-5}, {"rms_norm", 1e-5},   {"l2_normalize", 1e-5},
    {"attention", 1e-5}, {"embed", 1e-5},      {"pool", 1e-5},       {"similarity", 1e-5}, {"block", 1e-5},
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
    if (!std::getenv("TESSERA_TEST_ERRORS")) return;  // NOLINT(concurrency-mt-unsafe)
    for (const auto& [op, error] : worst()) std::printf("worst error: %-14s %.3g\n", op.c_str(), error);
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
