// The 256 characters that stand for bytes in byte-level vocabularies.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <tessera/text/unicode.hpp>

namespace tessera::text::detail {

/// Printable bytes are themselves in Latin-1; the others follow from U+0100.
/// Source: openai/gpt-2, encoder.py, bytes_to_unicode.
class ByteAlphabet {
 public:
  static const ByteAlphabet& get() {
    static const ByteAlphabet a;
    return a;
  }
  std::string_view of(unsigned char byte) const noexcept { return {text_[byte].data(), size_[byte]}; }
  /// The byte of a character, or -1.
  int byte(unicode::CodePoint c) const noexcept { return c < bytes_.size() ? bytes_[c] : -1; }
  void append(std::string& to, std::string_view raw) const {
    for (const char c : raw) to.append(of(static_cast<unsigned char>(c)));
  }

 private:
  ByteAlphabet() {
    bytes_.fill(-1);
    unicode::CodePoint next = 256;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
      const unicode::CodePoint c = printable ? b : next++;
      std::string s;
      unicode::append(s, c);
      size_[b] = static_cast<std::uint8_t>(s.size());
      text_[b] = {s[0], s.size() > 1 ? s[1] : '\0'};
      bytes_[c] = static_cast<std::int16_t>(b);
    }
  }
  std::array<std::array<char, 2>, 256> text_{};
  std::array<std::uint8_t, 256> size_{};
  std::array<std::int16_t, 324> bytes_{};
};

}  // namespace tessera::text::detail
