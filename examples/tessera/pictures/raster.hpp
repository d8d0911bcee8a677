// Pictures as pixels.
#pragma once
#include "picture.hpp"

namespace tool::pictures {

/// Paints what lies inside; the rest is cut off.
class Canvas {
 public:
  Canvas(index_t width, index_t height) : image_(tessera::image::PixelFormat::rgb, height, width) {
    std::fill(image_.pixels.begin(), image_.pixels.end(), std::uint8_t{255});
  }
  const Image& image() const { return image_; }

  void operator()(const Fill& f) {
    for (index_t y = std::max<index_t>(0, f.box.y); y < std::min(image_.height, f.box.y + f.box.height); ++y)
      for (index_t x = std::max<index_t>(0, f.box.x); x < std::min(image_.width, f.box.x + f.box.width); ++x)
        put(x, y, f.colour);
  }
  void operator()(const Pixels& p) {
    for (index_t y = 0; y < p.box.height; ++y)
      for (index_t x = 0; x < p.box.width; ++x) {
        const std::uint8_t* from = p.image.row(y * p.image.height / p.box.height) + 3 * (x * p.image.width / p.box.width);
        if (inside(p.box.x + x, p.box.y + y)) put(p.box.x + x, p.box.y + y, {from[0], from[1], from[2]});
      }
  }
  void operator()(const Text& t) {
    index_t x = t.x;
    for (const char32_t c : characters(t.text)) {
      for (int row = 0; row < kGlyphHeight; ++row)
        for (int column = 0; column < kGlyphWidth; ++column)
          if (glyph_ink(c, row, column)) (*this)(Fill{{x + column * t.size, t.y + row * t.size, t.size, t.size}, t.colour});
      x += kGlyphAdvance * t.size;
    }
  }

 private:
  bool inside(index_t x, index_t y) const { return x >= 0 && y >= 0 && x < image_.width && y < image_.height; }
  void put(index_t x, index_t y, Colour c) {
    std::uint8_t* to = image_.row(y) + 3 * x;
    to[0] = c.r, to[1] = c.g, to[2] = c.b;
  }
  Image image_;
};

inline Image rasterise(const Picture& picture) {
  Canvas canvas(picture.width(), picture.height());
  picture.paint(canvas);
  return canvas.image();
}

}  // namespace tool::pictures
