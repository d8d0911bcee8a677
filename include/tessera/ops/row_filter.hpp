// Which rows of a collection may be found: bits, from ranges and lists of ids.
#pragma once
#include <algorithm>

#include <tessera/core/view.hpp>

namespace tessera::ops {

/// Words of a filter of n rows, as TopKOptions::allowed has it: bit r % 64 of word r / 64 says whether row r may be found.
/// Searches take bits alone: a range or a list of ids is a word for 64 rows, words without any are passed over before a
/// number of their rows is read, and where a word has few, its rows are put together with others before they are multiplied.
constexpr index_t filter_words(index_t n) noexcept { return (n + 63) / 64; }

/// Lets rows [first, last) be found, as far as the filter reaches; other bits stay. Several calls make a union.
inline void allow_range(index_t first, index_t last, View<std::uint64_t, 1> allowed) noexcept {
  first = std::max<index_t>(first, 0), last = std::min(last, 64 * allowed.extent[0]);
  for (index_t r = first; r < last;) {
    const index_t end = std::min(last, (r / 64 + 1) * 64), bits = end - r;
    allowed(r / 64) |= (bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1) << (r % 64);
    r = end;
  }
}
/// Lets the rows of these ids be found, in any order, repeated or not. \returns how many of them the filter does not reach,
/// negative ones too: those are left out.
inline index_t allow_ids(View<const index_t, 1> ids, View<std::uint64_t, 1> allowed) noexcept {
  index_t beyond = 0;
  for (index_t i = 0; i < ids.extent[0]; ++i) {
    const index_t r = ids(i);
    if (r < 0 || r >= 64 * allowed.extent[0])
      ++beyond;
    else
      allowed(r / 64) |= std::uint64_t{1} << (r % 64);
  }
  return beyond;
}

}  // namespace tessera::ops
