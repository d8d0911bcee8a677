// Extended grapheme clusters, what a reader takes for one character.
#pragma once
#include <cstddef>
#include <string_view>

#include <tessera/text/unicode.hpp>

namespace tessera::text::unicode {

/// Decides, character by character, where clusters end. Source: Unicode Standard Annex 29, table 1c, of Unicode 17.
class ClusterBreaker {
 public:
  explicit ClusterBreaker(CodePoint first) noexcept { start(first); }
  /// Whether c begins a new cluster, after which c is the last character seen.
  bool breaks_before(CodePoint c) noexcept {
    const std::uint8_t bits = cluster_bits(c), now = bits & 15;
    if (!joins(c, now, bits)) {
      start(c);
      return true;
    }
    advance(c, now, bits);
    return false;
  }

 private:
  enum Conjunct : std::uint8_t { kNone = 0, kConsonant = 16, kLinker = 32, kConjunctExtend = 48 };
  void start(CodePoint c) noexcept {
    const std::uint8_t bits = cluster_bits(c), now = bits & 15;
    pictograph_ = regional_ = linked_ = consonant_ = false;
    advance(c, now, bits);
  }
  bool joins(CodePoint c, std::uint8_t now, std::uint8_t bits) const noexcept {
    if (last_ == kControl) return last_point_ == '\r' && c == '\n';
    if (now == kControl) return false;
    if (now == kExtend || now == kJoiner || now == kSpacing || last_ == kPrepend) return true;
    if ((bits & 48) == kConsonant && linked_) return true;
    if (last_ == kLeading) return now == kLeading || now == kVowel || now == kLv || now == kLvt;
    if (last_ == kLv || last_ == kVowel) return now == kVowel || now == kTrailing;
    if (last_ == kLvt || last_ == kTrailing) return now == kTrailing;
    if (last_ == kJoiner) return pictograph_ && now == kPictograph;
    return last_ == kRegional && now == kRegional && regional_;
  }
  void advance(CodePoint c, std::uint8_t now, std::uint8_t bits) noexcept {
    // A pictograph and marks, then one joiner directly before the next pictograph.
    pictograph_ = now == kPictograph || (pictograph_ && last_ != kJoiner && (now == kExtend || now == kJoiner));
    regional_ = now == kRegional && !regional_;  // the first of a pair
    const std::uint8_t conjunct = bits & 48;
    consonant_ = conjunct == kConsonant || (consonant_ && conjunct != kNone);
    linked_ = consonant_ && conjunct != kConsonant && (linked_ || conjunct == kLinker);
    last_ = now;
    last_point_ = c;
  }
  std::uint8_t last_ = kOther;
  CodePoint last_point_ = 0;
  bool pictograph_ = false, regional_ = false, consonant_ = false, linked_ = false;
};

/// The end of the cluster that begins at `at`.
inline std::size_t cluster_end(std::string_view text, std::size_t at) noexcept {
  std::size_t n = 0;
  ClusterBreaker breaker(decode(text, at, n));
  for (at += n; at < text.size(); at += n)
    if (breaker.breaks_before(decode(text, at, n))) break;
  return at;
}

}  // namespace tessera::text::unicode
