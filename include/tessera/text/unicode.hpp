// What a code point is, to the tokenizers package of Hugging Face, whose several Unicode versions no library has.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
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

namespace detail {

template <class Pages, class Index, class Blocks>
constexpr auto three_stage(const Pages& pages, const Index& index, const Blocks& blocks, CodePoint c) noexcept {
  const unsigned block = index[pages[c / (kSmallBlock * kSmallBlock)] * kSmallBlock + c / kSmallBlock % kSmallBlock];
  return blocks[block * kSmallBlock + c % kSmallBlock];
}

template <class Starts, class Values>
auto in_ranges(const Starts& starts, const Values& values, CodePoint c) noexcept {
  return values[std::upper_bound(std::begin(starts), std::end(starts), c) - std::begin(starts) - 1];
}

template <class F>
void mapped(unsigned at, CodePoint c, const F& f) {
  if (at == 0) return f(c);
  for (std::uint32_t i = 0; i < kMapped[at]; ++i) f(kMapped[at + 1 + i]);
}

}  // namespace detail

/// A set of general categories: kLu | kLl ...
using CategoryMask = std::uint32_t;
inline constexpr CategoryMask kL = kLu | kLl | kLt | kLm | kLo, kM = kMn | kMc | kMe, kN = kNd | kNl | kNo;
inline constexpr CategoryMask kP = kPc | kPd | kPs | kPe | kPi | kPf | kPo, kS = kSm | kSc | kSk | kSo;
inline constexpr CategoryMask kZ = kZs | kZl | kZp, kC = kCc | kCf | kCo | kCn, kCased = kLu | kLl | kLt;

/// What the regex engine (Oniguruma, Unicode 16) says of a code point: general category, Alphabetic, Uppercase, Lowercase.
inline std::uint8_t property(CodePoint c) noexcept {
  return detail::three_stage(kPropertyPages, kPropertyIndex, kPropertyBlocks, c);
}
inline CategoryMask category(CodePoint c) noexcept { return CategoryMask{1} << (property(c) & 31); }
inline bool has_category(CodePoint c, CategoryMask mask) noexcept { return (category(c) & mask) != 0; }
inline bool is_alphabetic(CodePoint c) noexcept { return (property(c) & 32) != 0; }
inline bool is_uppercase(CodePoint c) noexcept { return (property(c) & 64) != 0; }
inline bool is_lowercase(CodePoint c) noexcept { return (property(c) & 128) != 0; }
/// [[:word:]]; \w has six superscripts and fractions of Latin-1 besides.
inline bool is_posix_word(CodePoint c) noexcept { return is_alphabetic(c) || has_category(c, kM | kNd | kPc); }
inline bool is_onig_word(CodePoint c) noexcept {
  return is_posix_word(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0xBC && c <= 0xBE);
}
/// \d and [[:digit:]] are kNd, [[:punct:]] is kP | kS, \s and [[:space:]] are kWhitespace of flags().
inline constexpr CategoryMask kOnigDigit = kNd, kOnigPunct = kP | kS;

/// The categories that a property name stands for, short or long, without case, spaces, '-' and '_'; none for other names.
std::optional<CategoryMask> category_by_name(std::string_view name);
/// The number of a script in the regex engine by its name or alias, folded likewise; -1 for an unknown one.
inline int script_by_name(std::string_view name) noexcept {
  const auto* at = std::lower_bound(std::begin(kScriptNames), std::end(kScriptNames), name,
                                    [](const ScriptName& s, std::string_view n) { return s.name < n; });
  return at != std::end(kScriptNames) && at->name == name ? at->script : -1;
}
/// The script of a code point in the regex engine; 0 for unassigned ones.
inline int script(CodePoint c) noexcept { return detail::in_ranges(kScriptStarts, kScriptValues, c); }
/// The script of a code point in the UnicodeScripts pre-tokenizer, another table with other numbers; 0 goes with all.
inline int script_class(CodePoint c) noexcept { return detail::in_ranges(kScriptClassStarts, kScriptClassValues, c); }

/// Calls f(code point) for each that matches c without regard to case in the regex engine, c among them, one to one.
template <class F>
void each_case(CodePoint c, const F& f) {
  detail::mapped(detail::three_stage(kFoldPages, kFoldIndex, kFoldBlocks, c), c, f);
}
/// The same code point for all that match each other without regard to case.
inline CodePoint fold(CodePoint c) noexcept {
  const unsigned at = detail::three_stage(kFoldPages, kFoldIndex, kFoldBlocks, c);
  return at == 0 ? c : kMapped[at + 1];
}

inline std::uint8_t cluster_bits(CodePoint c) noexcept {
  return detail::three_stage(kClusterPages, kClusterIndex, kClusterBlocks, c);
}
/// A mark that the StripAccents normalizer drops (Unicode 9).
inline bool is_accent(CodePoint c) noexcept { return (cluster_bits(c) & 64) != 0; }
/// Whether NFC keeps c as it is whatever stands before it.
inline bool is_composed(CodePoint c) noexcept { return (cluster_bits(c) & 128) == 0; }
/// The primary composite of two code points, 0 when there is none. Hangul included.
CodePoint compose(CodePoint first, CodePoint second) noexcept;

/// Calls f(code point) for each of the lower-case form: one by one, without context (no final sigma).
template <class F>
void lower(CodePoint c, const F& f) {
  detail::mapped(kLowerBlocks[kLowerIndex[c / kBlock] * kBlock + c % kBlock], c, f);
}

inline constexpr CodePoint kSyllables = 0xAC00, kSyllableCount = 11172, kLeadingJamo = 0x1100, kVowelJamo = 0x1161,
                           kTrailingJamo = 0x11A7;
inline constexpr CodePoint kVowels = 21, kTrailings = 28;  // 27 trailing jamo, or none

namespace detail {

template <class F>
bool split_syllable(CodePoint c, const F& f) {
  if (c - kSyllables >= kSyllableCount) return false;
  const CodePoint s = c - kSyllables;
  f(kLeadingJamo + s / (kVowels * kTrailings));
  f(kVowelJamo + s / kTrailings % kVowels);
  if (s % kTrailings != 0) f(kTrailingJamo + s % kTrailings);
  return true;
}

}  // namespace detail

/// Calls f(code point) for each of the full canonical decomposition, not yet reordered.
template <class F>
void decompose(CodePoint c, const F& f) {
  if (!detail::split_syllable(c, f)) detail::mapped(kNfdBlocks[kNfdIndex[c / kBlock] * kBlock + c % kBlock], c, f);
}
/// The same for the compatibility decomposition.
template <class F>
void decompose_compatibly(CodePoint c, const F& f) {
  if (!detail::split_syllable(c, f)) detail::mapped(detail::three_stage(kNfkdPages, kNfkdIndex, kNfkdBlocks, c), c, f);
}

inline bool is_decomposable(CodePoint c) noexcept {
  return c - kSyllables < kSyllableCount || kNfdBlocks[kNfdIndex[c / kBlock] * kBlock + c % kBlock] != 0;
}
/// Whether the compatibility decomposition differs from the canonical one.
inline bool is_compatible(CodePoint c) noexcept {
  return detail::three_stage(kNfkdPages, kNfkdIndex, kNfkdBlocks, c) !=
         kNfdBlocks[kNfdIndex[c / kBlock] * kBlock + c % kBlock];
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

/// The UTF-8 of a code point behind a string.
inline void append(std::string& s, CodePoint c) {
  if (c < 0x80) return s.push_back(static_cast<char>(c));
  const auto tail = [c](unsigned shift) { return static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x800) {
    const char text[] = {static_cast<char>(0xc0 | c >> 6), tail(0)};
    s.append(text, sizeof text);
  } else if (c < 0x10000) {
    const char text[] = {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
    s.append(text, sizeof text);
  } else {
    const char text[] = {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
    s.append(text, sizeof text);
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

#ifndef TESSERA_COMPILED
#include <tessera/text/unicode-inl.hpp>
#endif
