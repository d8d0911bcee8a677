// How a normalizer that replaces characters ties its output to its input.
#pragma once
#include <algorithm>
#include <cstddef>

#include <tessera/text/normalized_text.hpp>

namespace tessera::text::detail {

/// Writes text whose characters take the place of the input's one after another, and deals out origins by that place, as the
/// tokenizers package does. Each character comes with a change: 0 takes the place of the next one, -n of the next n + 1, and
/// 1 is new and shares the origin of the place before.
class Replacing {
 public:
  Replacing(const NormalizedText& in, NormalizedText& out) : in_(in), out_(out) { out.begin_like(in); }
  void put(unicode::CodePoint c, int change) {
    if (!in_.tracked) return out_.append(c, {});
    if (change > 0) return out_.append(c, in_.origin[at_ == 0 ? 0 : at_ - 1]);
    out_.append(c, in_.origin[std::min(at_, in_.origin.size() - 1)]);
    skip(1 - change);
  }
  /// Input characters without successor.
  void skip(int characters) {
    for (; characters > 0 && at_ < in_.bytes.size(); --characters) at_ += unicode::width(in_.bytes[at_]);
  }
  /// Input bytes that stay as they are; they must be the next ones.
  void keep(std::size_t begin, std::size_t end) {
    if (in_.tracked && at_ != begin) {  // places and characters went apart
      for (std::size_t i = begin, n = 0; i < end; i += n) put(unicode::decode(in_.bytes, i, n), 0);
      return;
    }
    out_.append(in_, begin, end);
    at_ = end;
  }

 private:
  const NormalizedText& in_;
  NormalizedText& out_;
  std::size_t at_ = 0;
};

}  // namespace tessera::text::detail
