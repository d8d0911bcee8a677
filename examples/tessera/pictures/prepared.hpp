// What a model sees, as an image again.
#pragma once
#include <algorithm>
#include <cmath>

#include <tessera/image/processor.hpp>

#include "picture.hpp"

namespace tool::pictures {

/// RGB of the part of a prepared image that patches of that size cover. Pixel values are turned back into grey levels.
inline Image covered_part(const tessera::image::PreparedImage& prepared, const tessera::image::ProcessorConfig& config,
                          index_t patch_height, index_t patch_width) {
  Image part(tessera::image::PixelFormat::rgb, prepared.height / patch_height * patch_height,
             prepared.width / patch_width * patch_width);
  const auto grey = [&](index_t c, index_t y, index_t x) {
    if (prepared.planes.empty()) return prepared.bytes[static_cast<std::size_t>((y * prepared.width + x) * 3 + c)];
    const auto at = static_cast<std::size_t>(c);
    double v =
        static_cast<double>(prepared.planes[static_cast<std::size_t>((c * prepared.height + y) * prepared.width + x)]);
    if (config.normalize) v = v * config.std[at] + config.mean[at];
    if (config.rescale) v /= config.rescale_factor;
    return static_cast<std::uint8_t>(std::clamp(std::round(v), 0.0, 255.0));
  };
  for (index_t y = 0; y < part.height; ++y)
    for (index_t x = 0; x < part.width; ++x)
      for (index_t c = 0; c < 3; ++c) part.row(y)[3 * x + c] = grey(c, y, x);
  return part;
}

}  // namespace tool::pictures
