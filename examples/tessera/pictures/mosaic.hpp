// Merged tokens as a mosaic: each group of patches in its mean colour, with borders between groups.
#pragma once
#include <map>
#include <span>

#include "picture.hpp"

namespace tool::pictures {

/// As in Bolya et al., Token Merging: Your ViT But Faster, arXiv:2210.09461, figure 1 and appendix.
/// \param image RGB, cut into rows x columns patches; what is left over at the right and at the bottom goes with the last.
/// \param group_of_patch [rows * columns], any numbers; equal ones belong together, wherever they lie.
/// \param border width in pixels of the lines between groups; 0: none.
inline Image merge_mosaic(const Image& image, index_t rows, index_t columns, std::span<const std::int32_t> group_of_patch,
                          index_t border = 1) {
  struct Sum {
    std::uint64_t channel[3] = {}, pixels = 0;
  };
  const auto group_at = [&](index_t y, index_t x) {
    const index_t r = std::min(rows - 1, y / std::max<index_t>(1, image.height / rows)),
                  c = std::min(columns - 1, x / std::max<index_t>(1, image.width / columns));
    return group_of_patch[static_cast<std::size_t>(r * columns + c)];
  };
  std::map<std::int32_t, Sum> sums;
  for (index_t y = 0; y < image.height; ++y)
    for (index_t x = 0; x < image.width; ++x) {
      Sum& sum = sums[group_at(y, x)];
      for (int c = 0; c < 3; ++c) sum.channel[c] += image.row(y)[3 * x + c];
      ++sum.pixels;
    }
  Image out(tessera::image::PixelFormat::rgb, image.height, image.width);
  for (index_t y = 0; y < image.height; ++y)
    for (index_t x = 0; x < image.width; ++x) {
      const std::int32_t group = group_at(y, x);
      const Sum& sum = sums[group];
      bool edge = false;  // another group within `border` to the left or above
      for (index_t d = 1; d <= border; ++d)
        edge = edge || (x >= d && group_at(y, x - d) != group) || (y >= d && group_at(y - d, x) != group);
      for (int c = 0; c < 3; ++c)
        out.row(y)[3 * x + c] =
            edge ? std::uint8_t{0} : static_cast<std::uint8_t>((sum.channel[c] + sum.pixels / 2) / sum.pixels);
    }
  return out;
}

}  // namespace tool::pictures
