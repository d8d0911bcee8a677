// Pictures as SVG.
#pragma once
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "picture.hpp"
#include "png.hpp"

namespace tool::pictures {

namespace detail {

inline std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t v = 0;
    for (std::size_t j = 0; j < 3; ++j) v = v << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? kDigits[v >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

inline std::string xml_text(std::string_view s) {
  std::string out;
  for (const char32_t c : characters(s)) {
    if (c == '<' || c == '&' || c == '>' || c > 0x7e)
      out += "&#" + std::to_string(static_cast<std::uint32_t>(c)) + ";";
    else
      out += static_cast<char>(c);
  }
  return out;
}

}  // namespace detail

/// Images inside are PNG data; texts are texts, set in a monospaced font and as wide as in the PNG.
class SvgWriter {
 public:
  explicit SvgWriter(const Picture& p) {
    const std::string size = "width=\"" + std::to_string(p.width()) + "\" height=\"" + std::to_string(p.height()) + "\"";
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" " + size + " viewBox=\"0 0 " + std::to_string(p.width()) + " " +
           std::to_string(p.height()) + "\">\n<rect " + size + " fill=\"#ffffff\"/>\n";
    p.paint(*this);
    out_ += "</svg>\n";
  }
  std::string text() && { return std::move(out_); }

  void operator()(const Fill& f) { out_ += "<rect " + box(f.box) + " fill=\"" + hex(f.colour) + "\"/>\n"; }
  void operator()(const Pixels& p) {
    out_ += "<image " + box(p.box) +
            " preserveAspectRatio=\"none\" image-rendering=\"pixelated\" href=\"data:image/png;base64," +
            detail::base64(png_of(p.image)) + "\"/>\n";
  }
  void operator()(const Text& t) {
    if (t.text.empty()) return;
    out_ += "<text x=\"" + std::to_string(t.x) + "\" y=\"" + std::to_string(t.y + 7 * t.size) +
            "\" font-family=\"monospace\" font-size=\"" + std::to_string(9 * t.size) + "\" textLength=\"" +
            std::to_string(text_width(t.text, t.size)) +
            "\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"" + hex(t.colour) + "\">" +
            detail::xml_text(t.text) + "</text>\n";
  }

 private:
  static std::string box(const Box& b) {
    return "x=\"" + std::to_string(b.x) + "\" y=\"" + std::to_string(b.y) + "\" width=\"" + std::to_string(b.width) +
           "\" height=\"" + std::to_string(b.height) + "\"";
  }
  static std::string hex(Colour c) {
    char text[8];
    std::snprintf(text, sizeof text, "#%02x%02x%02x", c.r, c.g, c.b);
    return text;
  }
  std::string out_;
};

}  // namespace tool::pictures
