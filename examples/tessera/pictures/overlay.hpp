// A map over the patches of an image, laid over it in colours.
#pragma once
#include <span>

#include <tessera/ops/resample.hpp>

#include "colour_map.hpp"

namespace tool::pictures {

/// \param image RGB.  \param map [rows, columns]; its least becomes dark violet and its largest yellow, with smooth steps
/// between patches. Two fifths of the image shine through, in grey: the colours are the map's.
inline Image overlay(tessera::Context& ctx, const Image& image, std::span<const float> map, index_t rows, index_t columns) {
  const auto [low, high] = std::minmax_element(map.begin(), map.end());
  std::vector<std::uint8_t> coarse, fine(static_cast<std::size_t>(image.height * image.width));
  for (const float v : map) coarse.push_back(byte_of(v, *low, *high));
  tessera::ops::resample(ctx, tessera::View<const std::uint8_t, 3>(coarse.data(), rows, columns, index_t{1}),
                         tessera::Filter::bilinear, tessera::ops::ResampleArithmetic::pillow,
                         tessera::View<std::uint8_t, 3>(fine.data(), image.height, image.width, index_t{1}));
  Image out = image;
  for (std::size_t i = 0; i < fine.size(); ++i) {
    const Colour c = colour_of(fine[i]);
    std::uint8_t* p = out.pixels.data() + 3 * i;
    const int grey = (77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8, of[3] = {c.r, c.g, c.b};
    for (int k = 0; k < 3; ++k) p[k] = static_cast<std::uint8_t>((2 * grey + 3 * of[k] + 2) / 5);
  }
  return out;
}

}  // namespace tool::pictures
