// Uncompressed Windows bitmaps: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits, with masks or without.
#pragma once
#include <bit>

#include <tessera/image/codec/source.hpp>

namespace tessera::image::detail {

inline Found read_bmp(std::string_view file, const DecodeOptions& options) {
  const auto number = [&](std::size_t at, std::size_t bytes) {
    if (file.size() < bytes || at > file.size() - bytes) throw Error(Code::kFormat, "BMP: truncated");
    std::uint32_t v = 0;
    for (std::size_t i = 0; i < bytes; ++i) v |= std::uint32_t{static_cast<unsigned char>(file[at + i])} << (8 * i);
    return v;
  };
  const std::size_t pixels = number(10, 4), header = number(14, 4);
  if (header != 12 && header < 40) throw Error(Code::kUnsupported, {"BMP: a header of ", std::to_string(header), " bytes"});
  const bool old = header == 12;
  const std::uint32_t width = number(18, old ? 2 : 4);
  const std::uint32_t tall = old ? number(20, 2) : number(22, 4), bits = number(old ? 24 : 28, 2);
  const bool from_top = !old && tall >> 31 != 0;
  const std::uint32_t height = from_top ? ~tall + 1 : tall;
  const std::uint32_t compression = old ? 0 : number(30, 4);
  if (compression != 0 && compression != 3)
    throw Error(Code::kUnsupported, {"BMP: compression ", std::to_string(compression)});
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
    throw Error(Code::kFormat, {"BMP: ", std::to_string(bits), " bits a pixel"});
  check_size(width, height, file.size(), 8, options);

  // Channels as masks; red, green, blue, alpha.
  std::uint32_t mask[4] = {0x00ff0000u, 0x0000ff00u, 0x000000ffu, 0};
  if (bits == 16) mask[0] = 0x7c00, mask[1] = 0x03e0, mask[2] = 0x001f;
  if (compression == 3) {
    if (bits <= 8) throw Error(Code::kUnsupported, "BMP: masks beside a palette");
    for (std::size_t c = 0; c < 3; ++c) mask[c] = number(54 + 4 * c, 4);
    mask[3] = header >= 56 ? number(66, 4) : 0;
    for (const std::uint32_t m : mask)
      if (const int n = std::popcount(m); n > 8 || (n > 0 && m >> std::countr_zero(m) != (1u << n) - 1))
        throw Error(Code::kUnsupported, "BMP: a channel of more than 8 bits, or in pieces");
  }
  std::uint8_t palette[256][3] = {};
  bool gray = true;  // a palette of greys in order is no palette
  if (bits <= 8) {
    const std::uint32_t used = old ? 0 : number(46, 4), colors = used == 0 ? 1u << bits : used;
    if (colors > 1u << bits) throw Error(Code::kFormat, {"BMP: a palette of ", std::to_string(colors), " colours"});
    const std::size_t step = old ? 3 : 4;
    for (std::size_t i = 0; i < colors; ++i)
      for (std::size_t c = 0; c < 3; ++c) {
        palette[i][c] = static_cast<std::uint8_t>(number(14 + header + i * step + 2 - c, 1));
        const std::size_t want = colors == 2 ? i * 255 : i;
        gray = gray && palette[i][c] == want;
      }
  }
  const bool has_palette = bits <= 8;
  const PixelFormat format = has_palette && gray ? PixelFormat::gray : mask[3] != 0 ? PixelFormat::rgba : PixelFormat::rgb;
  const std::size_t row = (std::size_t{width} * bits + 31) / 32 * 4;
  if (pixels > file.size() || (file.size() - pixels) / row < height) throw Error(Code::kFormat, "BMP: truncated");
  Found found;
  found.image = Image(format, static_cast<index_t>(height), static_cast<index_t>(width));
  for (index_t y = 0; y < found.image.height; ++y) {
    std::uint8_t* to = found.image.row(y);
    const std::size_t at = pixels + static_cast<std::size_t>(from_top ? y : found.image.height - 1 - y) * row;
    for (std::size_t x = 0; x < width; ++x) {
      if (has_palette) {
        const std::size_t bit = x * bits;
        const std::size_t index = number(at + bit / 8, 1) >> (8 - bits - bit % 8) & ((1u << bits) - 1);
        for (index_t c = 0; c < bytes_per_pixel(format); ++c) *to++ = palette[index][c];
        continue;
      }
      const std::uint32_t v = number(at + x * bits / 8, bits / 8);
      for (index_t c = 0; c < bytes_per_pixel(format); ++c) {
        const std::uint32_t m = mask[c], top = m == 0 ? 1 : m >> std::countr_zero(m);
        *to++ = static_cast<std::uint8_t>(m == 0 ? 0 : std::uint64_t{(v & m) >> std::countr_zero(m)} * 255 / top);
      }
    }
  }
  return found;
}

}  // namespace tessera::image::detail
