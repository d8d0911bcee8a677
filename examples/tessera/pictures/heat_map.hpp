// A matrix of numbers between images and texts, in colours.
#pragma once
#include <cstdio>
#include <limits>

#include "colour_map.hpp"
#include "picture.hpp"
#include "sheet.hpp"

namespace tool::pictures {

inline std::string shown_number(float v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(v));
  return text;
}

/// \param thumbnails one a row, without pixels where there is none.  \param names of the rows.  \param texts one a column.
/// \param values [rows, columns]; the colours go from the least to the largest of them.
inline Picture heat_map(const std::string& title, const std::vector<Image>& thumbnails,
                        const std::vector<std::string>& names, const std::vector<std::string>& texts,
                        const std::vector<float>& values) {
  constexpr index_t kMargin = 12, kSide = 48, kWide = 56, kGap = 2, kNames = 180, kLine = kGlyphHeight + 3;
  const auto rows = static_cast<index_t>(names.size()), columns = static_cast<index_t>(texts.size());
  // Texts stand above their columns, each on a line of its own with a stem down to it.
  const index_t top = kMargin + 28 + columns * kLine + 6, left = kMargin + kNames + kSide + 8;
  index_t right = left + columns * (kWide + kGap);
  for (index_t c = 0; c < columns; ++c)
    right = std::max(right,
                     left + c * (kWide + kGap) + std::min<index_t>(text_width(texts[static_cast<std::size_t>(c)]), 400) + 8);
  Picture p(right + kMargin, top + rows * (kSide + kGap) + 2 * kLine + kMargin);
  float low = std::numeric_limits<float>::infinity(), high = -low;
  for (const float v : values) low = std::min(low, v), high = std::max(high, v);
  p.text(kMargin, kMargin, fitted(title, p.width() - 2 * kMargin, 2), kInk, 2);
  for (index_t c = 0; c < columns; ++c) {
    const index_t x = left + c * (kWide + kGap), y = kMargin + 28 + c * kLine;
    p.fill({x + 2, y + kGlyphHeight + 1, 1, top - y - kGlyphHeight - 3}, kFaint);
    p.text(x + 2, y, fitted(texts[static_cast<std::size_t>(c)], 400));
  }
  for (index_t r = 0; r < rows; ++r) {
    const auto at = static_cast<std::size_t>(r);
    const index_t y = top + r * (kSide + kGap);
    p.text(kMargin, y + kSide / 2 - 4, fitted(names[at], kNames - 8, 1, true), kFaint);
    const Image& t = thumbnails[at];
    if (t.width > 0) p.image({left - 8 - kSide + (kSide - t.width) / 2, y + (kSide - t.height) / 2, t.width, t.height}, t);
    for (index_t c = 0; c < columns; ++c) {
      const float v = values[static_cast<std::size_t>(r * columns + c)];
      const std::uint8_t shade = byte_of(v, low, high);
      const index_t x = left + c * (kWide + kGap);
      p.fill({x, y, kWide, kSide}, colour_of(shade));
      const std::string number = shown_number(v);
      p.text(x + (kWide - text_width(number)) / 2, y + kSide / 2 - 4, number, shade < 140 ? kWhite : kInk);
    }
  }
  // The scale of the colours.
  const index_t y = top + rows * (kSide + kGap) + 8;
  if (!values.empty()) {
    p.text(kMargin, y, shown_number(low));
    for (index_t i = 0; i < 64; ++i)
      p.fill({kMargin + 48 + 2 * i, y, 2, kGlyphHeight}, colour_of(static_cast<std::uint8_t>(i * 255 / 63)));
    p.text(kMargin + 48 + 128 + 8, y, shown_number(high));
  }
  return p;
}

}  // namespace tool::pictures
