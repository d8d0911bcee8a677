// What a regular expression is made of, between its parser and its compiler.
#pragma once
#include <cstdint>
#include <vector>

#include <tessera/core/error.hpp>
#include <tessera/text/code_set.hpp>

namespace tessera::text::detail {

enum class RegexOp : std::uint8_t {
  match,
  set,
  repeat,
  split,
  jump,
  line_begin,
  line_end,
  text_begin,
  text_end,
  text_end_or_newline,
  word_edge,
  no_word_edge,
  look,
  not_look,
  atomic,
  mark,
  loop
};
enum class RegexMode : std::uint8_t { greedy, lazy, possessive };

inline constexpr std::uint32_t kForever = 0xffffffffu;

struct RegexNode {
  enum Kind { kSet, kConcat, kAlternatives, kRepeat, kAtomic, kAssert, kLook, kNotLook } kind = kConcat;
  std::uint32_t value = 0;  // set, or the assertion's RegexOp
  std::uint32_t least = 0, most = 0;
  RegexMode mode = RegexMode::greedy;
  std::vector<int> children{};
};

}  // namespace tessera::text::detail
