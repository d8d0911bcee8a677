// Images in rows under headings, each with lines of text: a contact sheet.
#pragma once
#include <tessera/image.hpp>
#include <tessera/ops/resample.hpp>

#include "picture.hpp"

namespace tool::pictures {

/// RGB no larger than side x side, in proportion; smaller ones as they are.
inline Image thumbnail(tessera::Context& ctx, const Image& image, index_t side) {
  Image rgb = tessera::image::to_rgb(image, tessera::image::Alpha::white);
  const index_t longest = std::max(rgb.height, rgb.width);
  if (longest <= side) return rgb;
  Image small(tessera::image::PixelFormat::rgb, std::max<index_t>(1, rgb.height * side / longest),
              std::max<index_t>(1, rgb.width * side / longest));
  tessera::ops::resample(ctx, rgb.view(), tessera::Filter::bilinear, tessera::ops::ResampleArithmetic::pillow,
                         tessera::View<std::uint8_t, 3>(small.pixels.data(), small.height, small.width, index_t{3}));
  return small;
}

struct Cell {
  Image image;  ///< RGB, no larger than SheetStyle::side; without pixels an empty frame stands for it
  std::vector<std::string> lines;
  std::string missing{};  ///< what an empty frame says
};
struct Section {
  std::string heading;
  std::vector<Cell> cells;
};
struct SheetStyle {
  index_t side = 128;   ///< of the square that an image lies in
  index_t columns = 6;  ///< at most
  bool enlarge = true;  ///< small images by a whole factor
};

namespace detail {

/// A frame of one pixel, with a word in its middle.
inline void empty_frame(Picture& p, const Box& b, const std::string& word) {
  for (const Box& edge : {Box{b.x, b.y, b.width, 1},
                          {b.x, b.y + b.height - 1, b.width, 1},
                          {b.x, b.y, 1, b.height},
                          {b.x + b.width - 1, b.y, 1, b.height}})
    p.fill(edge, kFaint);
  const std::string shown = fitted(word, b.width - 8);
  p.text(b.x + (b.width - text_width(shown)) / 2, b.y + (b.height - kGlyphHeight) / 2, shown, kFaint);
}

}  // namespace detail

/// Sections from the top, their cells from the left.
inline Picture contact_sheet(const std::vector<Section>& sections, const SheetStyle& style = {}) {
  constexpr index_t kMargin = 12, kGap = 10, kLine = kGlyphHeight + 3, kHeading = 2 * kGlyphHeight + 14;
  index_t columns = 1, lines = 0, height = kMargin;
  for (const Section& s : sections) {
    columns = std::max(columns, std::min(style.columns, static_cast<index_t>(s.cells.size())));
    for (const Cell& c : s.cells) lines = std::max(lines, static_cast<index_t>(c.lines.size()));
  }
  const index_t cell = style.side + 4 + lines * kLine, step = style.side + kGap;
  for (const Section& s : sections)
    height += kHeading + (static_cast<index_t>(s.cells.size()) + columns - 1) / columns * (cell + kGap);
  // A heading has room for some words, however few the cells.
  const index_t width = std::max<index_t>(columns * step - kGap, 3 * 128) + 2 * kMargin;
  Picture p(width, height + kMargin - kGap);
  index_t top = kMargin;
  for (const Section& s : sections) {
    p.text(kMargin, top + 4, fitted(s.heading, width - 2 * kMargin, 2), kInk, 2);
    top += kHeading;
    for (std::size_t i = 0; i < s.cells.size(); ++i) {
      const Cell& c = s.cells[i];
      const index_t x = kMargin + static_cast<index_t>(i) % columns * step,
                    y = top + static_cast<index_t>(i) / columns * (cell + kGap);
      const index_t longest = std::max(c.image.width, c.image.height);
      const index_t times = style.enlarge && longest > 0 ? std::max<index_t>(1, style.side / longest) : 1;
      const index_t w = c.image.width * times, h = c.image.height * times;
      if (longest == 0) detail::empty_frame(p, {x, y, style.side, style.side}, c.missing);
      if (w > 0 && h > 0) p.image({x + (style.side - w) / 2, y + (style.side - h) / 2, w, h}, c.image);
      for (std::size_t l = 0; l < c.lines.size(); ++l)
        p.text(x, y + style.side + 4 + static_cast<index_t>(l) * kLine, fitted(c.lines[l], style.side, 1, l > 0),
               l == 0 ? kInk : kFaint);
    }
    top += (static_cast<index_t>(s.cells.size()) + columns - 1) / columns * (cell + kGap);
  }
  return p;
}

}  // namespace tool::pictures
