// From the 16-bit formats of checkpoints to f32: exact, by integer operations, whatever the floating-point mode.
#pragma once
#include <cstdint>
#include <cstring>

#include <tessera/core/view.hpp>

namespace tessera {

/// The bits of an IEEE binary16 number as binary32.
inline std::uint32_t widen_f16(std::uint16_t h) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 31u;
  std::uint32_t mantissa = h & 0x3ffu;
  if (exponent == 31) return sign | 0x7f800000u | mantissa << 13;
  if (exponent != 0) return sign | (exponent + 112) << 23 | mantissa << 13;
  if (mantissa == 0) return sign;
  std::uint32_t e = 113;  // subnormal: shift the leading one into place
  while (!(mantissa & 0x400u)) mantissa <<= 1, --e;
  return sign | e << 23 | (mantissa & 0x3ffu) << 13;
}

/// Whether widen() takes it: f32, f16, bf16.
constexpr bool widens(DType t) noexcept { return t == DType::f32 || t == DType::f16 || t == DType::bf16; }

/// n numbers of type `from`, aligned or not, as f32. `from` must be one that widens().
inline void widen(DType from, const std::byte* p, index_t n, float* out) noexcept {
  if (from == DType::f32) {
    std::memcpy(out, p, static_cast<std::size_t>(n) * sizeof(float));
    return;
  }
  const auto each = [&](auto bits) {
    for (index_t i = 0; i < n; ++i) {
      std::uint16_t h = 0;
      std::memcpy(&h, p + 2 * i, sizeof h);
      const std::uint32_t wide = bits(h);
      std::memcpy(out + i, &wide, sizeof wide);
    }
  };
  if (from == DType::bf16)
    each([](std::uint16_t h) { return static_cast<std::uint32_t>(h) << 16; });
  else
    each(widen_f16);
}

}  // namespace tessera
