// Sine, cosine, exponential, logarithm and powers in double from exactly rounded operations alone, so that they have the
// same bits on every machine, which no library's functions have. Good to about one unit in the last place: more than tables
// in f32 show.
#pragma once
#include <cmath>
#include <initializer_list>

#include <tessera/core/dtype.hpp>
#include <tessera/cpu/region.hpp>

namespace tessera::ops::detail {

struct SinCos {
  double sin, cos;
};

TESSERA_PUSH_BITS
/// Of |x| <= 2^20.
inline SinCos sin_cos(double x) {
  // The nearest multiple of pi / 2 is taken off in parts of 33 bits, whose products with it are exact (Cody and Waite; the
  // constants are fdlibm's).
  const double turns = std::floor(x * 0.63661977236758134308 + 0.5);
  const double r = x - turns * 1.57079632673412561417e+00 - turns * 6.07710050630396597660e-11 -
                   turns * 2.02226624871116645580e-21 - turns * 8.47842766036889956997e-32;
  const double z = r * r;
  double s = 1.0 / 355687428096000, c = 1.0 / 20922789888000;  // 1 / 17!, 1 / 16!: Taylor's series, on |r| <= pi / 4
  for (const double n : {1307674368000.0, 6227020800.0, 39916800.0, 362880.0, 5040.0, 120.0, 6.0, 1.0}) s = 1.0 / n - s * z;
  for (const double n : {87178291200.0, 479001600.0, 3628800.0, 40320.0, 720.0, 24.0, 2.0, 1.0}) c = 1.0 / n - c * z;
  s = s * r;
  switch (static_cast<std::int64_t>(turns) & 3) {
    case 0: return {s, c};
    case 1: return {c, -s};
    case 2: return {-s, -c};
    default: return {-c, s};
  }
}

inline constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;  // fdlibm's

/// e^x where the result is normal.
inline double exponential(double x) {
  const double k = std::floor(x * 1.44269504088896338700 + 0.5);
  const double r = x - k * kLn2High - k * kLn2Low;
  double e = 1;
  for (int n = 15; n > 0; --n) e = 1 + e * r / n;
  return std::ldexp(e, static_cast<int>(k));
}

/// atanh q / q for |q| < 0.172.
inline double atanh_ratio(double q) {
  const double z = q * q;
  double sum = 0;
  for (int n = 23; n > 0; n -= 2) sum = 1.0 / n + sum * z;
  return sum;
}

/// log x of a normal x > 0.
inline double logarithm(double x) {
  int binary = 0;
  double m = std::frexp(x, &binary);
  if (m < 0.70710678118654752440) m = m * 2, --binary;
  const double q = (m - 1) / (m + 1);  // log m = 2 atanh q
  return (atanh_ratio(q) * q * 2 + binary * kLn2Low) + binary * kLn2High;
}

/// log(1 + x) of a finite x >= 0, small ones to their last digits.
inline double log_one_plus(double x) {
  if (x > 0.25) return logarithm(1 + x);
  const double q = x / (2 + x);
  return atanh_ratio(q) * q * 2;
}

/// base^exponent for a normal base > 0 and a result that is normal.
inline double power(double base, double exponent) { return exponential(logarithm(base) * exponent); }
TESSERA_POP_BITS

}  // namespace tessera::ops::detail
