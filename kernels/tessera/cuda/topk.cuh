// The best rows of a corpus for each query: products by mma.sync that are never stored, and the largest of them.
//
// A block takes 64 queries through one chunk of the corpus, tile by tile. Scores of a tile go through shared memory to the
// warps, each with queries of its own and for each a list of keys in descending order: lanes compare 32 scores at a time
// with the last key, and what is above it is put in, one at a time. A second kernel merges the lists of the chunks in the
// same way. Keys are all different, so the result does not depend on the order in which they come.
#pragma once
#include <tessera/cuda/gemm.cuh>
#include <tessera/cuda/topk.hpp>

namespace tessera::kernels::cuda {

/// kList keys in descending order: lane i has those at i, 32 + i, ... What is not wanted of kList stands at the front as
/// all ones, what is not yet found at the end as 0.
template <int kList>
struct KeyList {
  static constexpr int kOfLane = kList / 32;
  std::uint64_t of[kOfLane], last;

  TESSERA_DEVICE void clear(int k) {
    TESSERA_UNROLLED
    for (int j = 0; j < kOfLane; ++j) of[j] = j * 32 + thread_index() % 32 < kList - k ? ~std::uint64_t{0} : 0;
    last = 0;
  }
  TESSERA_DEVICE void load(shared_t from) {
    TESSERA_UNROLLED
    for (int j = 0; j < kOfLane; ++j) of[j] = load_shared<std::uint64_t>(from + at(j));
  }
  TESSERA_DEVICE void store(shared_t to) const {
    TESSERA_UNROLLED
    for (int j = 0; j < kOfLane; ++j) store_shared(to + at(j), of[j]);
  }
  /// Puts a key above the last one into its place; the last one falls out. All lanes, with the same key.
  TESSERA_DEVICE void insert(std::uint64_t key) {
    const int lane = thread_index() % 32;
    TESSERA_UNROLLED
    for (int j = kOfLane - 1; j >= 0; --j) {
      std::uint64_t before = shuffle(of[j], lane + 31);
      const std::uint64_t carried = j > 0 ? shuffle(of[j > 0 ? j - 1 : 0], 31) : ~std::uint64_t{0};
      if (lane == 0) before = carried;
      of[j] = of[j] > key ? of[j] : before > key ? key : before;
    }
    last = shuffle(of[kOfLane - 1], 31);
  }
  /// The same of the keys of all lanes, those that are above the last one.
  TESSERA_DEVICE void take(std::uint64_t key) {
    TESSERA_NOT_UNROLLED
    for (std::uint32_t above = ballot(key > last); above != 0; above &= above - 1) {
      const std::uint64_t next = shuffle(key, lowest_bit(above));
      if (next > last) insert(next);
    }
  }

 private:
  TESSERA_DEVICE static shared_t at(int j) { return static_cast<shared_t>((j * 32 + thread_index() % 32) * 8); }
};

/// The key of a product, 0 if it is not to be found.
TESSERA_DEVICE std::uint64_t key_of_product(const TopKArgs& g, int row, float product) {
  EpilogueColumn at;
  if (g.bias) at.bias = load_global(g.bias + row);
  if (g.scale) at.scale = load_global(g.scale + row);
  const float score = finish({g.bias, g.scale}, at, product, false, 0);
  const bool open = !g.allowed || (load_global(g.allowed + row / 64) >> (row % 64) & 1) != 0;
  return open && score >= g.least ? topk_key(score, row) : 0;
}

/// Grid: chunks x groups of 64 queries. Shared memory: kTopKSharedBytes<kList>.
template <int kList>
TESSERA_KERNEL(TopKTile<kList>::kThreads, 1)
topk_kernel(const TESSERA_GRID_CONSTANT TopKArgs g) {
  using Tile = TopKTile<kList>;
  constexpr int kWarps = Tile::kThreads / 32, kGroups = Tile::kColumns / 32;
  const int first_query = block_index_y() * Tile::kRows, begin = block_index() * g.chunk;
  const int end = g.n - begin < g.chunk ? g.n : begin + g.chunk;
  const int lane = thread_index() % 32, warp = thread_index() / 32;
  const int queries = g.batch - first_query < Tile::kRows ? g.batch - first_query : Tile::kRows;
  const shared_t memory = dynamic_shared(), lists = memory + Tile::kSharedBytes;
  const auto list_of = [&](int query) { return lists + static_cast<shared_t>(query * kList * 8); };
  const GemmArgs<float> product = {g.queries, g.ldq, g.corpus, g.ldc, nullptr, 0, g.batch, end, g.e};

  KeyList<kList> list;
  list.clear(g.k);
  for (int query = warp; query < queries; query += kWarps) list.store(list_of(query));
  TESSERA_NOT_UNROLLED
  for (int column = begin; column < end; column += Tile::kColumns) {
    GemmSums<Tile> sums = {};
    multiply_tile<Tile, false>(product, {first_query, column}, memory, sums);
    spread_sums<Tile>(memory, part_of_warp<Tile>(), sums);
    sync_threads();  // the scores are there for all, and the lists for their warp
    TESSERA_NOT_UNROLLED
    for (int query = warp; query < queries; query += kWarps) {
      const shared_t scores = memory + static_cast<shared_t>(query * Tile::kSumsPitch);
      std::uint64_t keys[kGroups];
      list.last = load_shared<std::uint64_t>(list_of(query) + (kList - 1) * 8);
      bool any = false;
      TESSERA_UNROLLED
      for (int i = 0; i < kGroups; ++i) {
        const int in_tile = lane + 32 * i, row = column + in_tile;
        keys[i] = row < end ? key_of_product(g, row, load_shared<float>(scores + static_cast<shared_t>(in_tile * 4))) : 0;
        any = any || keys[i] > list.last;
      }
      if (ballot(any) == 0) continue;
      list.load(list_of(query));
      TESSERA_UNROLLED
      for (int i = 0; i < kGroups; ++i) list.take(keys[i]);
      sync_warp();  // all lanes have read the last key
      list.store(list_of(query));
    }
    sync_threads();  // the scores have been read
  }
  for (int query = warp; query < queries; query += kWarps) {
    list.load(list_of(query));
    TESSERA_UNROLLED
    for (int j = 0; j < KeyList<kList>::kOfLane; ++j) {
      const int at = j * 32 + lane - (kList - g.k);
      const index_t row = static_cast<index_t>(block_index()) * g.batch + first_query + query;
      if (at >= 0) store_global(g.lists + row * g.k + at, list.of[j]);
    }
  }
}

/// A warp a query. Grid: queries by kTopKMergeQueries. No shared memory.
template <int kList>
TESSERA_KERNEL(kTopKMergeQueries * 32, 1)
topk_merge_kernel(const TESSERA_GRID_CONSTANT TopKMergeArgs g) {
  const int query = block_index() * kTopKMergeQueries + thread_index() / 32, lane = thread_index() % 32;
  if (query >= g.batch) return;  // whole warps
  KeyList<kList> list;
  list.clear(g.k);
  TESSERA_NOT_UNROLLED
  for (int chunk = 0; chunk < g.chunks; ++chunk) {
    const std::uint64_t* const keys = g.lists + (static_cast<index_t>(chunk) * g.batch + query) * g.k;
    TESSERA_NOT_UNROLLED
    for (int i = 0; i < g.k; i += 32) list.take(i + lane < g.k ? load_global(keys + i + lane) : 0);
  }
  int found = 0;
  TESSERA_UNROLLED
  for (int j = 0; j < KeyList<kList>::kOfLane; ++j) {
    const int at = j * 32 + lane - (kList - g.k);
    const std::uint64_t key = list.of[j];
    found += count_bits(ballot(at >= 0 && key != 0));
    if (at < 0) continue;
    store_global(g.scores + query * g.lds + at, key != 0 ? score_of_key(key) : -INFINITY);
    store_global(g.ids + query * g.ldi + at, key != 0 ? index_t{row_of_key(key)} : index_t{-1});
  }
  if (lane == 0) store_global(g.counts + query, index_t{found});
}

}  // namespace tessera::kernels::cuda
