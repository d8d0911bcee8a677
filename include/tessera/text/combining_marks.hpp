// Combining marks in canonical order.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

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
  const auto before = [](const Decomposed& a, const Decomposed& b) { return a.order < b.order; };
  if (std::is_sorted(first, last, before)) return;  // as nearly always
  std::array<std::size_t, 257> at{};  // a counting sort: classes are bytes, and a text may hold a million marks
  for (const Decomposed* d = first; d != last; ++d) ++at[d->order + 1u];
  for (std::size_t i = 1; i < at.size(); ++i) at[i] += at[i - 1];
  const std::vector<Decomposed> marks(first, last);
  for (const Decomposed& d : marks) first[at[d.order]++] = d;
}

}  // namespace tessera::text::detail
