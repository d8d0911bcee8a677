// What the decoders share: a bounded reader, the limits, and the orientation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tessera/core/error.hpp>
#include <tessera/image/codec/options.hpp>
#include <tessera/image/image.hpp>

namespace tessera::image::detail {

/// What a decoder found beside the pixels.
struct Found {
  Image image;
  std::string exif;  ///< the block's bytes, a TIFF header first; empty: none
  std::string xmp;   ///< the packet's text
};

/// Refuses a size before memory is taken for it.
/// \param densest pixels that a byte of this format can stand for, 0 if that has no bound
inline void check_size(std::uint64_t width, std::uint64_t height, std::size_t bytes, std::uint64_t densest,
                       const DecodeOptions& options) {
  if (width == 0 || height == 0) throw Error(Code::kFormat, "an image without pixels");
  if (width > options.max_pixels || height > options.max_pixels / width)
    throw Error(Code::kLimit, {std::to_string(width), " x ", std::to_string(height), " pixels, the limit is ",
                               std::to_string(options.max_pixels), " in all"});
  if (densest != 0 && width * height / densest > bytes)
    throw Error(Code::kFormat, {"truncated: ", std::to_string(bytes), " bytes cannot hold ", std::to_string(width), " x ",
                                std::to_string(height), " pixels"});
}

/// Exif tag 0x0112 of the first directory.
inline std::optional<int> exif_orientation(std::string_view block) noexcept {
  if (block.starts_with(std::string_view("Exif\0\0", 6))) block.remove_prefix(6);
  if (block.size() < 8) return {};
  const bool little = block.starts_with("II");
  if (!little && !block.starts_with("MM")) return {};
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::uint32_t v = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      v = v << 8 | static_cast<unsigned char>(block[at + (little ? bytes - 1 - i : i)]);
    return v;
  };
  const std::size_t directory = number(4, 4);
  if (directory > block.size() - 2) return {};
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0, at = directory + 2; i < entries && at + 12 <= block.size(); ++i, at += 12)
    if (number(at, 2) == 0x0112 && number(at + 2, 2) == 3) return static_cast<int>(number(at + 8, 2));
  return {};
}

/// The first tiff:Orientation of a packet, an attribute or an element, as Pillow's regular expression finds it.
inline std::optional<int> xmp_orientation(std::string_view packet) noexcept {
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = packet.find(kName); at != packet.npos; at = packet.find(kName, at + 1)) {
    std::string_view value = packet.substr(at + kName.size());
    const std::size_t opening = value.starts_with("=\"") ? 2 : value.starts_with('>') ? 1 : 0;
    value.remove_prefix(opening);
    if (opening != 0 && !value.empty() && value[0] >= '0' && value[0] <= '9') return value[0] - '0';
  }
  return {};
}

/// Exif's, or where that says nothing XMP's, or 1.
inline int orientation_of(const Found& found) noexcept {
  if (const auto exif = exif_orientation(found.exif)) return *exif;
  return xmp_orientation(found.xmp).value_or(1);
}

}  // namespace tessera::image::detail
