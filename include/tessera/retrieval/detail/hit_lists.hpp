// What a search finds part by part, put together.
#pragma once
#include <algorithm>
#include <vector>

#include <tessera/ops/topk.hpp>
#include <tessera/retrieval/ranking.hpp>

namespace tessera::retrieval::detail {

/// What a search has found so far, and room for what the next segment has.
struct HitLists {
  std::vector<float> scores;
  std::vector<index_t> ids, counts;
  ops::TopK lists;

  HitLists(index_t batch, index_t k)
      : scores(static_cast<std::size_t>(batch * k)),
        ids(scores.size()),
        counts(static_cast<std::size_t>(batch)),
        lists{View<float, 2>(scores.data(), batch, k), View<index_t, 2>(ids.data(), batch, k),
              View<index_t, 1>(counts.data(), batch)} {}
};

/// Puts the hits of a segment, whose rows begin with `first`, among those of `out`.
inline void merge_hits(const ops::TopK& part, index_t first, const ops::TopK& out, Ranking& together) {
  for (index_t b = 0; b < out.counts.extent[0]; ++b) {
    together.clear();
    for (index_t i = 0; i < out.counts(b); ++i) together.push_back({out.ids(b, i), static_cast<double>(out.scores(b, i))});
    const auto middle = static_cast<std::ptrdiff_t>(together.size());
    for (index_t i = 0; i < part.counts(b); ++i)
      together.push_back({part.ids(b, i) + first, static_cast<double>(part.scores(b, i))});
    std::inplace_merge(together.begin(), together.begin() + middle, together.end(), before);
    out.counts(b) = std::min(out.ids.extent[1], static_cast<index_t>(together.size()));
    for (index_t i = 0; i < out.counts(b); ++i) {
      const Hit& h = together[static_cast<std::size_t>(i)];
      out.ids(b, i) = h.id, out.scores(b, i) = static_cast<float>(h.score);
    }
  }
}

}  // namespace tessera::retrieval::detail
