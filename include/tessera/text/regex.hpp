// Regular expressions of tokenizer.json: a bounded subset of Oniguruma's Ruby syntax, exact or refused.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/error.hpp>
#include <tessera/text/regex_tree.hpp>

namespace tessera::text {

/// A compiled expression, const and safe to share.
///
/// Known: literals, escapes (\n \t \r \f \v \a \e \xHH \x{H} \uHHHH), . \d \w \s \h and their complements, \p{..} with
/// general categories, POSIX names and common scripts, classes with ranges, nesting, && and [:name:], groups, alternatives,
/// greedy, lazy and possessive quantifiers, (?>..), lookahead, ^ $ \A \z \Z \b \B, the options i, m, x. Everything else is
/// refused by name: nothing is approximated. Matching backtracks on a heap-allocated stack, in bounded steps.
class Regex {
 public:
  /// \throws Error kUnsupported naming the construct, kFormat for what is no expression, kLimit for a too large one.
  static Regex compile(std::string_view pattern);
  /// The leftmost match in text that begins at or after `from`. \param text valid UTF-8; what stands before `from` is seen
  /// by anchors. \throws Error kLimit when backtracking takes more than 10 million steps and 64 a byte.
  bool find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const;

  struct Set {
    std::vector<std::uint64_t> low;             // the first 65,536 code points, a bit each
    std::vector<unicode::CodeSet::Range> high;  // ranges beyond
    bool contains(unicode::CodePoint c) const noexcept;
  };
  using Op = detail::RegexOp;
  using Mode = detail::RegexMode;
  struct Instruction {
    Op op = Op::match;
    Mode mode = Mode::greedy;
    std::uint32_t a = 0, b = 0;         // set, targets, slot
    std::uint32_t least = 0, most = 0;  // of a repeat
  };

 private:
  struct Run;
  friend class RegexCompiler;
  void find_first_bytes();
  std::string pattern_;
  std::vector<Set> sets_;
  std::vector<Instruction> program_;
  std::uint32_t slots_ = 0;
  std::uint32_t word_ = 0;  // the set of \w
  bool first_[256] = {};    // bytes that a match may begin with
  bool any_first_ = false;  // a match may be empty
};

/// Calls f(begin, end) for the matches of `text` in order, as the tokenizers package walks them: no overlap, and no empty
/// match right after another match.
template <class Finder, class F>
void each_match(const Finder& finder, std::string_view text, const F& f) {
  std::size_t from = 0, last = text.npos, begin = 0, end = 0;
  while (from <= text.size() && finder.find(text, from, begin, end)) {
    if (begin == end && end == last) {
      from += from < text.size() ? unicode::width(text[from]) : 1;
      continue;
    }
    from = last = end;
    f(begin, end);
  }
}

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/regex-inl.hpp>
#endif
