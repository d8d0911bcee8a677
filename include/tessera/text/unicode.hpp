// What a code point is, to the tokenizers package of Hugging Face, whose several Unicode versions no library has.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::text::unicode {

#include <tessera/text/unicode/tables.inc>

using CodePoint = std::uint32_t;

/// Flags of a code point (kPunctuation, ...), by two-stage lookup.
inline std::uint8_t flags(CodePoint c) noexcept { return kFlagsBlocks[kFlagsIndex[c / kBlock] * kBlock + c % kBlock]; }
inline bool is(CodePoint c, std::uint8_t flag) noexcept { return (flags(c) & flag) != 0; }
/// Canonical combining class; 0 for starters.
inline std::uint8_t combining_class(CodePoint c) noexcept {
  return kClassBlocks[kClassIndex[c / kBlock] * kBlock + c % kBlock];
}

/// Calls f(code point) for each of the lower-case form: one by one, without context (no final sigma).
template <class F>
void lower(CodePoint c, const F& f) {
  const unsigned at = kLowerBlocks[kLowerIndex[c / kBlock] * kBlock + c % kBlock];
  if (at == 0) return f(c);
  for (std::uint32_t i = 0; i < kMapped[at]; ++i) f(kMapped[at + 1 + i]);
}

/// Calls f(code point) for each of the full canonical decomposition, not yet reordered.
template <class F>
void decompose(CodePoint c, const F& f) {
  constexpr CodePoint kSyllables = 0xAC00, kLeading = 0x1100, kVowel = 0x1161, kTrailing = 0x11A7;
  if (c >= kSyllables && c < kSyllables + 11172) {
    const CodePoint s = c - kSyllables;
    f(kLeading + s / 588);
    f(kVowel + s % 588 / 28);
    if (s % 28 != 0) f(kTrailing + s % 28);
    return;
  }
  const unsigned at = kNfdBlocks[kNfdIndex[c / kBlock] * kBlock + c % kBlock];
  if (at == 0) return f(c);
  for (std::uint32_t i = 0; i < kMapped[at]; ++i) f(kMapped[at + 1 + i]);
}

/// Bytes of the character that begins with this one, in valid UTF-8.
inline std::size_t width(char first) noexcept {
  const auto c = static_cast<unsigned char>(first);
  return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/// The character at `at` of valid UTF-8, and its width.
inline CodePoint decode(std::string_view s, std::size_t at, std::size_t& bytes) noexcept {
  const auto c = [&](std::size_t i) { return static_cast<CodePoint>(static_cast<unsigned char>(s[at + i])); };
  bytes = width(s[at]);
  if (bytes == 1) return c(0);
  if (bytes == 2) return (c(0) & 0x1f) << 6 | (c(1) & 0x3f);
  if (bytes == 3) return (c(0) & 0x0f) << 12 | (c(1) & 0x3f) << 6 | (c(2) & 0x3f);
  return (c(0) & 0x07) << 18 | (c(1) & 0x3f) << 12 | (c(2) & 0x3f) << 6 | (c(3) & 0x3f);
}

/// The character that ends before `at` > 0.
inline CodePoint decode_before(std::string_view s, std::size_t at, std::size_t& bytes) noexcept {
  std::size_t begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(s[begin]) & 0xc0u) == 0x80) --begin;
  return decode(s, begin, bytes);
}

inline void append(std::string& s, CodePoint c) {
  if (c < 0x80) {
    s += static_cast<char>(c);
  } else if (c < 0x800) {
    s += static_cast<char>(0xc0 | c >> 6);
    s += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    s += static_cast<char>(0xe0 | c >> 12);
    s += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    s += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    s += static_cast<char>(0xf0 | c >> 18);
    s += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    s += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    s += static_cast<char>(0x80 | (c & 0x3f));
  }
}

/// Length of the valid UTF-8 that `s` begins with; s.size() when all of it is valid. `bad` is then the length of the maximal
/// subpart that is not (Unicode, section 3.9), which one U+FFFD would replace.
inline std::size_t valid_prefix(std::string_view s, std::size_t from, std::size_t& bad) noexcept {
  std::size_t i = from;
  bad = 0;
  while (i < s.size()) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    const std::size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    std::size_t good = n == 0 ? 0 : 1;
    for (; good > 0 && good < n && i + good < s.size(); ++good) {
      const auto d = static_cast<unsigned char>(s[i + good]);
      const unsigned low = good > 1 ? 0x80 : c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
      const unsigned high = good > 1 ? 0xbf : c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
      if (d < low || d > high) break;
    }
    if (n == 0 || good < n) {
      bad = good == 0 ? 1 : good;
      return i;
    }
    i += n;
  }
  return i;
}

}  // namespace tessera::text::unicode
