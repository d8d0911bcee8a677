// Combining marks in canonical order.
#pragma once
#include <algorithm>
#include <cstdint>

#include <tessera/text/unicode.hpp>

namespace tessera::text::detail {

/// A character of a decomposed text.
struct Decomposed {
  unicode::CodePoint c;
  int change;          ///< characters that it adds to the text: 0 where it stands for an input character, 1 where it is new
  std::uint8_t order;  ///< combining class
};

/// The marks of one starter, by class; of equal classes the first stays first. Source: UAX #15, canonical ordering.
inline void sort_marks(Decomposed* first, Decomposed* last) {
  if (last - first > 1)
    std::stable_sort(first, last, [](const Decomposed& a, const Decomposed& b) { return a.order < b.order; });
}

}  // namespace tessera::text::detail
