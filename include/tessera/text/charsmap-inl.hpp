#pragma once
#include <array>

#include <tessera/text/charsmap.hpp>
#include <tessera/text/unicode.hpp>

namespace tessera::text {

namespace detail {

/// \throws Error kFormat for other characters, wrong padding, and bits beyond the last byte.
inline std::string decode_base64(std::string_view text) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, 256> value;
  value.fill(64);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    value[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  const auto bad = [](std::size_t at) {
    return Error(Code::kFormat, {"tokenizer: precompiled_charsmap is not base64 at character ", std::to_string(at)});
  };
  if (text.size() % 4 != 0) throw bad(text.size());
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::string_view digits = text.substr(0, text.size() - padding);
  std::string out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const std::uint8_t v = value[static_cast<unsigned char>(digits[i])];
    if (v > 63) throw bad(i);
    bits = (bits << 6 | v) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xff);
  }
  if (bits & ((1u << held) - 1)) throw bad(digits.size());
  return out;
}

}  // namespace detail

inline Charsmap Charsmap::parse(std::string_view blob) {
  const auto word = [&](std::size_t at) {
    std::uint32_t v = 0;
    for (std::size_t i = 0; i < 4; ++i) v |= static_cast<std::uint32_t>(static_cast<unsigned char>(blob[at + i])) << (8 * i);
    return v;
  };
  const std::size_t size = blob.size() < 4 ? 0 : word(0);
  if (size == 0 || size % 4 != 0 || size > blob.size() - 4)
    throw Error(Code::kFormat, {"tokenizer: precompiled_charsmap has ", std::to_string(blob.size()),
                                " bytes and announces a table of ", std::to_string(size)});
  Charsmap map;
  map.units_.reserve(size / 4);
  for (std::size_t i = 0; i < size; i += 4) map.units_.push_back(word(4 + i));
  map.texts_ = std::string(blob.substr(4 + size));
  std::size_t wrong = 0;
  if (const std::size_t at = unicode::valid_prefix(map.texts_, 0, wrong); at != map.texts_.size())
    throw Error(Code::kFormat, {"tokenizer: the texts of precompiled_charsmap are not UTF-8 at byte ", std::to_string(at)});
  return map;
}

inline Charsmap::Match Charsmap::find(std::string_view text, bool longest) const noexcept {
  Match best;
  std::uint32_t at = offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == 0) break;
    at ^= c;
    if (at >= units_.size()) break;
    const std::uint32_t unit = units_[at];
    if ((unit & kLabel) != c) break;
    at ^= offset(unit);
    if (at >= units_.size()) break;
    if (!(unit & kEndsHere)) continue;
    const std::size_t value = units_[at] & kValue;
    if (value >= texts_.size() || (static_cast<unsigned char>(texts_[value]) & 0xc0u) == 0x80) break;
    const std::string_view rest = std::string_view(texts_).substr(value);
    best = {i + 1, rest.substr(0, rest.find('\0'))};
    if (!longest) break;
  }
  return best;
}

}  // namespace tessera::text
