// A 64-bit digest that tells whether inputs, model or options changed between two runs, and rows of one file from those of
// another. Not for adversaries.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace tessera::io {

class Digest {
 public:
  void add(std::string_view s) {
    mix(s.size());
    const char* p = s.data();
    std::size_t n = s.size();
    for (; n >= 8; p += 8, n -= 8) {
      std::uint64_t v = 0;
      std::memcpy(&v, p, 8);
      mix(v);
    }
    std::uint64_t tail = 0;
    if (n > 0) std::memcpy(&tail, p, n);
    mix(tail);
  }
  std::string hex() const {
    char text[17];
    (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h_));
    return text;
  }

 private:
  void mix(std::uint64_t v) {
    h_ = (h_ ^ v) * 0xd6e8feb86659fd93u;
    h_ ^= h_ >> 32;
  }
  std::uint64_t h_ = 0x9e3779b97f4a7c15u;
};

}  // namespace tessera::io
