// How a batch is cut into groups of whole sequences, each of which goes through a stack on a thread of its own.
#pragma once
#include <algorithm>
#include <vector>

#include <tessera/core/ragged_batch.hpp>

namespace tessera::models {

namespace detail {

/// Sequences [begin, end) of a ragged batch.
struct SequenceGroup {
  index_t begin, end, tokens;
};

/// Whole sequences of about `target` tokens a group, the longest group first, so that the last one claimed is short.
inline std::vector<SequenceGroup> token_groups(const RaggedBatch& batch, index_t target) {
  std::vector<SequenceGroup> groups;
  const auto close = [&](index_t begin, index_t end) {
    groups.push_back({begin, end, batch.begin(end) - batch.begin(begin)});
    return end;
  };
  index_t first = 0;
  for (index_t b = 1; b < batch.sequences(); ++b)
    // Closed where that leaves the group nearer to its target than taking one more would.
    if (batch.begin(b) - batch.begin(first) + batch.length(b) / 2 >= target) first = close(first, b);
  close(first, batch.sequences());
  std::sort(groups.begin(), groups.end(), [](const SequenceGroup& a, const SequenceGroup& b) {
    return a.tokens != b.tokens ? a.tokens > b.tokens : a.begin < b.begin;
  });
  return groups;
}

/// Tokens on the busiest lane when lanes claim the groups in order.
inline index_t busiest_lane(const std::vector<SequenceGroup>& groups, int lanes) {
  std::vector<index_t> load(static_cast<std::size_t>(lanes), 0);
  for (const auto& g : groups) *std::min_element(load.begin(), load.end()) += g.tokens;
  return *std::max_element(load.begin(), load.end());
}

/// The groups that keep all lanes busy longest: of at most 256 tokens where the sequences allow it (their activations then
/// stay in a core's cache), and of at least 96 (below, weights are read too often for what is done with them).
inline std::vector<SequenceGroup> balanced_groups(const RaggedBatch& batch, int lanes, index_t& busiest) {
  constexpr index_t kMost = 256, kLeast = 96;
  const index_t tokens = batch.tokens();
  std::vector<SequenceGroup> best;
  busiest = 2 * tokens;
  for (index_t rounds = (tokens + kMost * lanes - 1) / (kMost * lanes); best.empty() || tokens >= rounds * lanes * kLeast;
       ++rounds) {
    auto groups = token_groups(batch, (tokens + rounds * lanes - 1) / (rounds * lanes));
    const index_t load = busiest_lane(groups, lanes);
    if (load < busiest - busiest / 100) best = std::move(groups), busiest = load;
    if (busiest * lanes <= tokens + tokens / 100) break;
  }
  return best;
}

}  // namespace detail

}  // namespace tessera::models
