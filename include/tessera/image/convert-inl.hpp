#pragma once
#include <algorithm>
#include <cstring>
#include <utility>

#include <tessera/image/convert.hpp>

namespace tessera::image {

namespace detail {

// a / 255 rounded, exact for a up to 255 * 255; Pillow's MULDIV255 and SHIFTFORDIV255.
inline unsigned divided_by_255(unsigned a) noexcept { return (a + (a >> 8)) >> 8; }

// Pillow's alpha_composite over an opaque white pixel, in 7 more bits.
inline std::uint8_t on_white(unsigned value, unsigned alpha) noexcept {
  if (alpha == 0) return 255;
  const unsigned a = alpha * 128, rest = 255 * 128 - a;
  return static_cast<std::uint8_t>(divided_by_255(value * a + 255 * rest + (0x80u << 7)) >> 7);
}

}  // namespace detail

inline Image to_rgb(const Image& image, Alpha alpha) {
  if (image.format == PixelFormat::rgb) return image;
  Image out(PixelFormat::rgb, image.height, image.width);
  const index_t step = bytes_per_pixel(image.format);
  const std::uint8_t* in = image.pixels.data();
  std::uint8_t* to = out.pixels.data();
  const bool white = alpha == Alpha::white;
  for (const std::uint8_t* end = in + image.pixels.size(); in < end; in += step, to += 3) {
    switch (image.format) {
      case PixelFormat::gray: to[0] = to[1] = to[2] = in[0]; break;
      case PixelFormat::gray16: to[0] = to[1] = to[2] = in[1] == 0 ? in[0] : 255; break;
      case PixelFormat::gray_alpha: to[0] = to[1] = to[2] = white ? detail::on_white(in[0], in[1]) : in[0]; break;
      case PixelFormat::rgb: break;
      case PixelFormat::rgba:
        for (int c = 0; c < 3; ++c) to[c] = white ? detail::on_white(in[c], in[3]) : in[c];
        break;
      case PixelFormat::cmyk:
        for (int c = 0; c < 3; ++c) {
          const int left = 255 - in[3];
          const int v = left - static_cast<int>(detail::divided_by_255(in[c] * static_cast<unsigned>(left) + 128));
          to[c] = static_cast<std::uint8_t>(std::max(v, 0));
        }
        break;
    }
  }
  return out;
}

inline Image upright(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool turned = orientation >= 5;  // rows become columns
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 6;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Image out(image.format, turned ? image.width : image.height, turned ? image.height : image.width);
  const auto bytes = static_cast<std::size_t>(bytes_per_pixel(image.format));
  std::uint8_t* to = out.pixels.data();
  for (index_t y = 0; y < out.height; ++y)
    for (index_t x = 0; x < out.width; ++x, to += bytes) {
      index_t from_y = turned ? x : y, from_x = turned ? y : x;
      if (from_bottom) from_y = image.height - 1 - from_y;
      if (from_right) from_x = image.width - 1 - from_x;
      std::memcpy(to, image.row(from_y) + from_x * static_cast<index_t>(bytes), bytes);
    }
  return out;
}

}  // namespace tessera::image
