// Classes of code points as the tokenizers package's regular expressions and pre-tokenizers have them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include <tessera/text/unicode.hpp>

namespace tessera::text::unicode {

namespace classes {
#include <tessera/text/unicode/classes.inc>
}  // namespace classes

/// General category, one of classes::Category.
inline classes::Category category(CodePoint c) noexcept {
  return static_cast<classes::Category>(classes::kCategoryBlocks[classes::kCategoryIndex[c / kBlock] * kBlock + c % kBlock]);
}
/// The group of scripts by which UnicodeScripts splits; 0 joins any neighbour.
inline std::uint8_t script_group(CodePoint c) noexcept {
  return classes::kScriptGroupBlocks[classes::kScriptGroupIndex[c / kBlock] * kBlock + c % kBlock];
}

/// Masks of general categories.
constexpr std::uint32_t mask(classes::Category c) { return 1u << c; }
inline constexpr std::uint32_t kLetterMask = mask(classes::kLl) | mask(classes::kLm) | mask(classes::kLo) |
                                             mask(classes::kLt) | mask(classes::kLu);
inline constexpr std::uint32_t kMarkMask = mask(classes::kMc) | mask(classes::kMe) | mask(classes::kMn);
inline constexpr std::uint32_t kNumberMask = mask(classes::kNd) | mask(classes::kNl) | mask(classes::kNo);
inline bool in_categories(CodePoint c, std::uint32_t categories) noexcept { return (categories >> category(c) & 1u) != 0; }

/// A set of code points as sorted, disjoint, inclusive ranges; surrogates may be in it and never matter.
class CodeSet {
 public:
  using Range = std::pair<CodePoint, CodePoint>;
  static constexpr CodePoint kLast = 0x10ffff;
  CodeSet() = default;
  CodeSet(CodePoint first, CodePoint last) : ranges_{{first, last}} {}
  static CodeSet of(const std::uint32_t* flat, std::size_t n) {
    CodeSet s;
    for (std::size_t i = 0; i + 1 < n; i += 2) s.ranges_.push_back({flat[i], flat[i + 1]});
    return s;
  }
  /// All code points of these general categories.
  static CodeSet of_categories(std::uint32_t categories) {
    CodeSet s;
    for (CodePoint c = 0; c <= kLast; ++c) {
      if (!in_categories(c, categories)) continue;
      if (!s.ranges_.empty() && s.ranges_.back().second + 1 == c)
        ++s.ranges_.back().second;
      else
        s.ranges_.push_back({c, c});
    }
    return s;
  }
  const std::vector<Range>& ranges() const noexcept { return ranges_; }
  bool contains(CodePoint c) const noexcept {
    const auto at =
        std::upper_bound(ranges_.begin(), ranges_.end(), c, [](CodePoint x, const Range& r) { return x < r.first; });
    return at != ranges_.begin() && std::prev(at)->second >= c;
  }
  CodeSet& add(const CodeSet& o) {
    ranges_.insert(ranges_.end(), o.ranges_.begin(), o.ranges_.end());
    std::sort(ranges_.begin(), ranges_.end());
    std::vector<Range> merged;
    for (const Range& r : ranges_) {
      if (!merged.empty() && r.first <= merged.back().second + 1)
        merged.back().second = std::max(merged.back().second, r.second);
      else
        merged.push_back(r);
    }
    ranges_ = std::move(merged);
    return *this;
  }
  CodeSet& add(CodePoint c) { return add(CodeSet(c, c)); }
  CodeSet complement() const {
    CodeSet s;
    CodePoint next = 0;
    for (const Range& r : ranges_) {
      if (r.first > next) s.ranges_.push_back({next, r.first - 1});
      next = r.second + 1;
    }
    if (next <= kLast) s.ranges_.push_back({next, kLast});
    return s;
  }
  CodeSet intersect(const CodeSet& o) const { return complement().add(o.complement()).complement(); }

 private:
  std::vector<Range> ranges_;
};

}  // namespace tessera::text::unicode
