// Decoded pixels.
#pragma once
#include <cstdint>
#include <vector>

#include <tessera/core/view.hpp>

namespace tessera::image {

/// What the bytes of a pixel mean. gray16 is one sample of two bytes, the low one first; cmyk counts ink, as in Pillow.
enum class PixelFormat : unsigned char { gray, gray16, gray_alpha, rgb, rgba, cmyk };

constexpr index_t bytes_per_pixel(PixelFormat f) noexcept {
  return f == PixelFormat::gray                                     ? 1
         : f == PixelFormat::gray16 || f == PixelFormat::gray_alpha ? 2
         : f == PixelFormat::rgb                                    ? 3
                                                                    : 4;
}

/// Rows from the top, pixels from the left, nothing between them.
struct Image {
  PixelFormat format = PixelFormat::rgb;
  index_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels{};

  Image() = default;
  Image(PixelFormat f, index_t h, index_t w)
      : format(f), height(h), width(w), pixels(static_cast<std::size_t>(h * w * bytes_per_pixel(f))) {}
  std::uint8_t* row(index_t y) noexcept { return pixels.data() + y * width * bytes_per_pixel(format); }
  const std::uint8_t* row(index_t y) const noexcept { return pixels.data() + y * width * bytes_per_pixel(format); }
  /// [height, width, bytes of a pixel]
  View<const std::uint8_t, 3> view() const {
    return View<const std::uint8_t, 3>(pixels.data(), height, width, bytes_per_pixel(format));
  }
};

}  // namespace tessera::image
