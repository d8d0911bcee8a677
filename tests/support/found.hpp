// What a search found, for comparison.
#pragma once
#include <cstring>
#include <vector>

#include <tessera/ops/topk.hpp>
#include "support/random.hpp"

namespace tessera::test {

/// Results that start as poison, rows padded.
struct Found {
  index_t k, ld;
  std::vector<float> scores;
  std::vector<index_t> ids, counts;
  Found(index_t batch, index_t most)
      : k(most),
        ld(most + 3),
        scores(static_cast<std::size_t>(batch * ld), __builtin_bit_cast(float, kPoison)),
        ids(scores.size(), -77),
        counts(static_cast<std::size_t>(batch), -77) {}
  ops::TopK out() {
    ops::TopK o{View<float, 2>(scores.data(), batch(), k), View<index_t, 2>(ids.data(), batch(), k),
                View<index_t, 1>(counts.data(), batch())};
    o.scores.stride[0] = o.ids.stride[0] = ld;
    return o;
  }
  index_t batch() const { return static_cast<index_t>(counts.size()); }
  bool operator==(const Found& o) const {
    return ids == o.ids && counts == o.counts && scores.size() == o.scores.size() &&
           std::memcmp(scores.data(), o.scores.data(), scores.size() * sizeof(float)) == 0;
  }
};

}  // namespace tessera::test
