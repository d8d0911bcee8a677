// PBM, PGM and PPM, plain and raw. Source: netpbm's pnm(5).
#pragma once
#include <tessera/image/codec/source.hpp>

namespace tessera::image::detail {

/// The header's words and, in plain files, the samples.
class PnmText {
 public:
  explicit PnmText(std::string_view text) : text_(text) {}
  std::uint32_t number() {
    skip_blanks();
    if (at_ == text_.size()) throw Error(Code::kFormat, "PNM: truncated");
    std::uint32_t v = 0;
    bool any = false;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, any = true) {
      v = v * 10 + static_cast<std::uint32_t>(text_[at_] - '0');
      if (v > 0xffffffu) throw Error(Code::kLimit, "PNM: a number of more than seven digits");
    }
    if (!any) throw Error(Code::kFormat, {"PNM: no number at byte ", std::to_string(at_)});
    return v;
  }
  /// A digit of a plain PBM, which need not stand apart.
  std::uint32_t bit() {
    skip_blanks();
    if (at_ == text_.size()) throw Error(Code::kFormat, "PNM: truncated");
    const char c = text_[at_++];
    if (c != '0' && c != '1') throw Error(Code::kFormat, {"PNM: neither 0 nor 1 at byte ", std::to_string(at_ - 1)});
    return c == '1';
  }
  /// What follows the single blank behind the header.
  std::string_view raw() const { return text_.substr(at_ < text_.size() ? at_ + 1 : at_); }

 private:
  void skip_blanks() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#')
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n' && text_[at_ + 1] != '\r') ++at_;
      else if (c != ' ' && (c < '\t' || c > '\r'))
        return;
    }
  }
  std::string_view text_;
  std::size_t at_ = 2;
};

inline Found read_pnm(std::string_view file, const DecodeOptions& options) {
  const int kind = file[1] - '0';
  const bool plain = kind <= 3, bits = kind == 1 || kind == 4, color = kind == 3 || kind == 6;
  PnmText text(file);
  const std::uint32_t width = text.number(), height = text.number(), most = bits ? 1 : text.number();
  if (most < 1 || most > 65535) throw Error(Code::kFormat, {"PNM: a largest value of ", std::to_string(most)});
  check_size(width, height, file.size(), bits ? 8 : 1, options);
  const bool wide = most > 255, keeps_16 = wide && !color;
  Found found;
  found.image = Image(color      ? PixelFormat::rgb
                      : keeps_16 ? PixelFormat::gray16
                                 : PixelFormat::gray,
                      static_cast<index_t>(height), static_cast<index_t>(width));
  const std::size_t samples = std::size_t{width} * (color ? 3 : 1);
  const std::string_view raw = plain ? std::string_view() : text.raw();
  const std::size_t row = bits ? (samples + 7) / 8 : samples * (wide ? 2 : 1);
  if (!plain && raw.size() / row < height) throw Error(Code::kFormat, "PNM: truncated");
  const std::uint32_t target = keeps_16 ? 65535 : 255;
  std::uint8_t* to = found.image.pixels.data();
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < samples; ++x) {
      const auto byte = [&](std::size_t at) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(raw[y * row + at]));
      };
      std::uint32_t v = 0;
      if (plain)
        v = bits ? text.bit() : text.number();
      else
        v = bits ? byte(x / 8) >> (7 - x % 8) & 1 : wide ? byte(2 * x) << 8 | byte(2 * x + 1) : byte(x);
      if (v > most) {
        if (plain) throw Error(Code::kFormat, {"PNM: a sample of ", std::to_string(v), " above ", std::to_string(most)});
        v = most;
      }
      if (bits) v = 1 - v;  // 1 is black
      // To the nearest, ties to even, as Python's round().
      const std::uint64_t twice = std::uint64_t{v} * target * 2, q = twice / (2 * most), r = twice % (2 * most);
      v = static_cast<std::uint32_t>(q + (r > most || (r == most && q % 2 == 1)));
      *to++ = static_cast<std::uint8_t>(v & 255);
      if (keeps_16) *to++ = static_cast<std::uint8_t>(v >> 8);
    }
  return found;
}

}  // namespace tessera::image::detail
