// A picture as a list of things to draw, in whole pixels: one layout for PNG and for SVG.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/image/image.hpp>
#include <tessera/text/unicode.hpp>

#include "font.hpp"

namespace tool::pictures {

using tessera::index_t;
using tessera::image::Image;

struct Colour {
  std::uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Colour&) const = default;
};
inline constexpr Colour kWhite{255, 255, 255}, kInk{34, 34, 34}, kFaint{150, 150, 150};

struct Box {
  index_t x, y, width, height;
};
struct Fill {
  Box box;
  Colour colour;
};
/// An RGB image stretched over a box: each pixel becomes a rectangle.
struct Pixels {
  Box box;
  Image image;
};
/// One line whose top left corner is (x, y); `size` pixels to a dot of the font.
struct Text {
  index_t x, y;
  std::string text;
  Colour colour = kInk;
  index_t size = 1;
};

/// The characters of a text; what is not valid UTF-8, and controls, as U+FFFD.
inline std::u32string characters(std::string_view s) {
  std::u32string out;
  for (std::size_t at = 0; at < s.size();) {
    std::size_t length = 1;
    while (at + length < s.size() && (static_cast<unsigned char>(s[at + length]) & 0xc0) == 0x80) ++length;
    const std::string_view one = s.substr(at, length);
    std::size_t bad = 0;
    const auto lead = static_cast<unsigned char>(one[0]);
    char32_t c = 0xfffd;
    if (tessera::text::unicode::valid_prefix(one, 0, bad) == one.size()) {
      c = lead < 0x80 ? lead : lead & (length == 2 ? 0x1fu : length == 3 ? 0xfu : 0x7u);
      for (std::size_t i = 1; i < length; ++i) c = c << 6 | (static_cast<unsigned char>(one[i]) & 0x3f);
    }
    // XML has no controls and no non-characters.
    out.push_back(c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfffe || c == 0xffff ? 0xfffd : c);
    at += length;
  }
  return out;
}

inline index_t text_width(std::string_view s, index_t size = 1) {
  return static_cast<index_t>(characters(s).size()) * kGlyphAdvance * size;
}

/// The text, or its first characters and two dots, so that it is no wider than `width`. \param keep_end its last ones.
inline std::string fitted(const std::string& s, index_t width, index_t size = 1, bool keep_end = false) {
  const index_t most = std::max<index_t>(0, width / (kGlyphAdvance * size));
  if (static_cast<index_t>(characters(s).size()) <= most) return s;
  if (most <= 2) return {};
  std::vector<std::string> parts;  // the characters' bytes
  for (const char c : s)
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80 || parts.empty())
      parts.emplace_back(1, c);
    else
      parts.back().push_back(c);
  const auto kept = std::min(parts.size(), static_cast<std::size_t>(most - 2));
  std::string out;
  for (std::size_t i = 0; i < kept; ++i) out += parts[keep_end ? parts.size() - kept + i : i];
  return keep_end ? ".." + out : out + "..";
}

class Picture {
 public:
  Picture(index_t width, index_t height) : width_(width), height_(height) {}

  index_t width() const { return width_; }
  index_t height() const { return height_; }
  /// Calls the painter with each Fill, Pixels and Text, in the order in which they were added.
  template <class Painter>
  void paint(Painter& painter) const {
    for (const auto& [kind, at] : order_) {
      if (kind == Kind::fill) painter(fills_[at]);
      if (kind == Kind::pixels) painter(pixels_[at]);
      if (kind == Kind::text) painter(texts_[at]);
    }
  }

  void fill(const Box& box, Colour colour) {
    order_.emplace_back(Kind::fill, fills_.size());
    fills_.push_back({box, colour});
  }
  /// An image stretched over the box.
  void image(const Box& box, Image image) {
    order_.emplace_back(Kind::pixels, pixels_.size());
    pixels_.push_back({box, std::move(image)});
  }
  void text(index_t x, index_t y, std::string text, Colour colour = kInk, index_t size = 1) {
    order_.emplace_back(Kind::text, texts_.size());
    texts_.push_back({x, y, std::move(text), colour, size});
  }

 private:
  enum class Kind : unsigned char { fill, pixels, text };
  index_t width_, height_;
  std::vector<std::pair<Kind, std::size_t>> order_;
  std::vector<Fill> fills_;
  std::vector<Pixels> pixels_;
  std::vector<Text> texts_;
};

}  // namespace tool::pictures
