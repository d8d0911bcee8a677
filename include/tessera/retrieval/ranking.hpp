// What a search of any kind answers: documents, the best first.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include <tessera/core/view.hpp>

namespace tessera::retrieval {

struct Hit {
  index_t id = -1;  ///< row of the corpus
  double score = 0;

  friend bool operator==(const Hit&, const Hit&) = default;
};

/// The one order of all searches: by score, higher first, then by id, lower first.
inline bool before(const Hit& a, const Hit& b) noexcept { return a.score != b.score ? a.score > b.score : a.id < b.id; }

/// Hits in that order, each id once.
using Ranking = std::vector<Hit>;

/// The k best of them, in order. NaN is not among them.
inline Ranking best(Ranking hits, std::size_t k) {
  std::erase_if(hits, [](const Hit& h) { return h.score != h.score; });
  k = std::min(k, hits.size());
  std::partial_sort(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(k), hits.end(), before);
  hits.resize(k);
  return hits;
}

}  // namespace tessera::retrieval
