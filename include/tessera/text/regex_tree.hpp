// What a regular expression is made of, between its parser and its compiler.
#pragma once
#include <algorithm>
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

/// Whether a node may match nothing.
inline bool may_be_empty(const std::vector<RegexNode>& nodes, int at) {
  const RegexNode& n = nodes[static_cast<std::size_t>(at)];
  const auto empty = [&](int child) { return may_be_empty(nodes, child); };
  switch (n.kind) {
    case RegexNode::kSet: return false;
    case RegexNode::kRepeat: return n.least == 0 || empty(n.children[0]);
    case RegexNode::kConcat: return std::all_of(n.children.begin(), n.children.end(), empty);
    case RegexNode::kAlternatives: return std::any_of(n.children.begin(), n.children.end(), empty);
    case RegexNode::kAtomic: return empty(n.children[0]);
    default: return true;
  }
}

}  // namespace tessera::text::detail
