// What the fuzz programs of the image formats share: arbitrary bytes to one decoder.
#pragma once
#include <cstdint>
#include <string_view>

#include <tessera/image.hpp>
#include <tessera/image/codec/source.hpp>

namespace tessera::image {

/// Refused, or an image of its stated size that converts and turns.
template <class Read>
int decode_one(const Read& read, const std::uint8_t* data, std::size_t size) {
  DecodeOptions options;
  options.max_pixels = 1 << 18;
  try {
    const detail::Found found = read(std::string_view(reinterpret_cast<const char*>(data), size), options);
    const Image& image = found.image;
    if (image.pixels.size() != static_cast<std::size_t>(image.height * image.width * bytes_per_pixel(image.format)))
      __builtin_trap();
    (void)to_rgb(upright(image, detail::orientation_of(found)), Alpha::white);
  } catch (const Error&) {}
  return 0;
}

}  // namespace tessera::image
