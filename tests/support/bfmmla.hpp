// What Arm's BFMMLA adds, in plain C++: Arm Architecture Reference Manual for A-profile (DDI 0487), the pseudocode of
// BFMMLA, BFMatMulAdd, BFDotAdd, FPAdd_BF16 and BFRound, where FEAT_EBF16 is not implemented or FPCR.EBF is 0 ("standard
// BFloat16 behaviors"). The instruction has no fused steps: both products of a pair are rounded, then their sum, then what
// that adds to the sum so far. All round to odd, whatever FPCR says; subnormal numbers count as zero wherever they come or
// go; an overflow is an infinity, a NaN the default one.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

namespace tessera::test {

inline float default_nan() { return __builtin_bit_cast(float, 0x7fc00000U); }
inline float without_subnormal(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

/// sum + error, of which error is less than half of what sum's last bit stands for, cut to 24 bits; the last one is set
/// where that is not exact.
inline float rounded_to_odd(double sum, double error) {
  if (std::isnan(sum)) return default_nan();
  auto bits = __builtin_bit_cast(std::uint64_t, sum);
  if (error != 0 && (error < 0) != (sum < 0)) --bits;  // the exact value lies nearer to 0
  const double cut = __builtin_bit_cast(double, bits), sign = std::copysign(1.0, sum);
  if (std::fabs(cut) < 0x1p-126) return static_cast<float>(0 * sign);
  if (std::fabs(cut) >= 0x1p128) return static_cast<float>(sign) * std::numeric_limits<float>::infinity();
  constexpr std::uint64_t kLost = (std::uint64_t{1} << 29) - 1;
  const auto whole = static_cast<float>(__builtin_bit_cast(double, bits & ~kLost));  // exact
  const bool exact = error == 0 && (bits & kLost) == 0;
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, whole) | static_cast<std::uint32_t>(!exact));
}
inline float add_to_odd(float a, float b) {
  const double x = without_subnormal(a), y = without_subnormal(b), sum = x + y;
  if (!std::isfinite(sum)) return rounded_to_odd(sum, 0);
  const double of_y = sum - x, error = (x - (sum - of_y)) + (y - of_y);
  return rounded_to_odd(sum, error);
}
/// Of two bf16: 16 bits, so that nothing is lost but what is too small or too large.
inline float product_to_odd(float a, float b) {
  return rounded_to_odd(double{without_subnormal(a)} * double{without_subnormal(b)}, 0);
}
/// One of the four sums: of four k.
inline float bfmmla(float sum, const float (&row)[4], const float (&column)[4]) {
  for (int k = 0; k < 4; k += 2)
    sum = add_to_odd(sum, add_to_odd(product_to_odd(row[k], column[k]), product_to_odd(row[k + 1], column[k + 1])));
  return sum;
}

}  // namespace tessera::test
