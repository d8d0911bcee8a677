// A short name for many bytes, as the scripts in goldens/ write it.
#pragma once
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace tessera::test {

/// 64-bit FNV-1a, in hexadecimal.
inline std::string fnv(std::span<const std::uint8_t> data) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const std::uint8_t b : data) h = (h ^ b) * 0x100000001b3u;
  char text[17];
  (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
  return text;
}

}  // namespace tessera::test
