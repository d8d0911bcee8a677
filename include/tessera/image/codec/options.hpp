// What a caller may ask of the decoders.
#pragma once
#include <cstdint>

namespace tessera::image {

struct DecodeOptions {
  /// Larger images are refused before memory is taken; Pillow's limit.
  std::uint64_t max_pixels = 89'478'485;
  /// Turns the image as its Exif or XMP orientation says: so does transformers' load_image, given a path. Pillow alone does
  /// not.
  bool apply_orientation = true;
};

}  // namespace tessera::image
