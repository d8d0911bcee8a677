// bf16 as the library documents it, by other means.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tessera::ref {

/// Rounded to nearest even, by way of the two neighbours and not by the library's addition.
inline float rounded(float x) {
  if (std::isnan(x)) return std::numeric_limits<float>::quiet_NaN();
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t down = bits & 0xffff0000U, rest = bits & 0xffffU;
  const bool up = rest > 0x8000U || (rest == 0x8000U && (down & 0x10000U) != 0);
  return std::bit_cast<float>(up ? down + 0x10000U : down);
}
inline float flushed(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.f, x) : x; }

/// sum + a b as vdpbf16ps has it for one element of a pair: the second one comes first. a as vcvtneps2bf16 rounds it.
inline float bf16_step(float sum, float a, float b) {
  return flushed(std::fma(rounded(flushed(a)), flushed(rounded(b)), sum));
}

}  // namespace tessera::ref
