// Pictures that need no file.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <tessera/core/dtype.hpp>

namespace tessera::test {

/// [height, width, channels] by a formula, as goldens/common.py draws it.
inline std::vector<std::uint8_t> draw(const std::string& kind, index_t width, index_t height, index_t channels) {
  std::vector<std::uint8_t> image;
  for (index_t y = 0; y < height; ++y)
    for (index_t x = 0; x < width; ++x)
      for (index_t c = 0; c < channels; ++c) {
        const auto ux = static_cast<std::uint32_t>(x), uy = static_cast<std::uint32_t>(y),
                   uc = static_cast<std::uint32_t>(c);
        if (kind == "noise") {
          std::uint32_t h = ux * 0x9E3779B1u + uy * 0x85EBCA77u + uc * 0xC2B2AE3Du;
          h ^= h >> 15;
          h *= 0x2C1B3C6Du;
          image.push_back(static_cast<std::uint8_t>(h >> 24));
        } else if (kind == "ramp") {
          image.push_back(static_cast<std::uint8_t>(ux * 3 + uy * 2 + uc * 50));
        } else {
          image.push_back((ux / 3 + uy / 2 + uc) % 2 ? 255 : 0);
        }
      }
  return image;
}

}  // namespace tessera::test
