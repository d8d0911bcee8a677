// Sets of code points.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include <tessera/text/unicode.hpp>

namespace tessera::text::unicode {

#include <tessera/text/unicode/many_folds.inc>

/// A set of code points as sorted, disjoint, inclusive ranges; surrogates may be in it and never matter.
class CodeSet {
 public:
  using Range = std::pair<CodePoint, CodePoint>;
  static constexpr CodePoint kLast = 0x10ffff;
  CodeSet() = default;
  CodeSet(CodePoint first, CodePoint last) : ranges_{{first, last}} {}
  /// All code points for which f(code point) is true.
  template <class F>
  static CodeSet where(const F& f) {
    CodeSet s;
    for (CodePoint c = 0; c <= kLast; ++c) {
      if (!f(c)) continue;
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
    std::vector<Range> merged;
    for (auto a = ranges_.cbegin(), b = o.ranges_.cbegin(); a != ranges_.cend() || b != o.ranges_.cend();) {
      const Range& r = b == o.ranges_.cend() || (a != ranges_.cend() && a->first < b->first) ? *a++ : *b++;
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
