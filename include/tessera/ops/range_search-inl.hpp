#pragma once
#include <tessera/ops/certified_topk-inl.hpp>
#include <tessera/ops/hamming-inl.hpp>
#include <tessera/ops/range_search.hpp>

namespace tessera::ops {

namespace detail {

inline constexpr index_t kRangeList = 64;  ///< hits of a lane and query that wait to be taken over

/// Where hits of all lanes come together: in the caller's memory, keys in place of ids and queries in place of scores, as
/// they come; then each query's in its part, in order.
class RangeHits {
 public:
  RangeHits(const InRange& out, std::atomic<index_t>* counts) : out_(out), counts_(counts) {
    for (index_t b = 0; b < batch(); ++b) new (counts + b) std::atomic<index_t>(0);
  }
  index_t batch() const noexcept { return out_.offsets.extent[0] - 1; }
  void take(const std::uint64_t* keys, index_t count, index_t query) noexcept {
    counts_[query].fetch_add(count, std::memory_order_relaxed);
    const index_t at = taken_.fetch_add(count, std::memory_order_relaxed), capacity = out_.ids.extent[0];
    for (index_t i = 0; i < count && at + i < capacity; ++i) put(at + i, keys[i], static_cast<std::uint32_t>(query));
  }
  index_t finish(Context& ctx) {
    const index_t all = taken_.load();
    out_.offsets(0) = 0;
    for (index_t b = 0; b < batch(); ++b) out_.offsets(b + 1) = out_.offsets(b) + counts_[b].load();
    if (all > out_.ids.extent[0]) {
      std::fill_n(out_.ids.data, out_.ids.extent[0], index_t{-1});
      std::fill_n(out_.scores.data, out_.scores.extent[0], -__builtin_inff());
      return all;
    }
    for (index_t b = 0; b < batch(); ++b) counts_[b].store(out_.offsets(b));  // where the next one of its part belongs
    for (index_t b = 0; b < batch(); ++b)
      for (index_t at; (at = counts_[b].load(std::memory_order_relaxed)) < out_.offsets(b + 1);) {
        const std::uint32_t query = query_at(at);
        const index_t to = counts_[query].fetch_add(1, std::memory_order_relaxed);
        if (to == at) continue;
        const std::uint64_t key = key_at(at), other = key_at(to);
        const std::uint32_t other_query = query_at(to);
        put(to, key, query), put(at, other, other_query);
      }
    ctx.parallel_for(batch(), [&](index_t b, int) {
      const index_t begin = out_.offsets(b), end = out_.offsets(b + 1);
      // Turned, keys are in the order of signed numbers too.
      std::sort(out_.ids.data + begin, out_.ids.data + end,
                [](index_t x, index_t y) { return static_cast<std::uint64_t>(x) > static_cast<std::uint64_t>(y); });
      for (index_t i = begin; i < end; ++i) {
        const std::uint64_t key = key_at(i);
        out_.ids(i) = column_of(key), out_.scores(i) = score_of(key);
      }
    });
    return all;
  }

 private:
  void put(index_t at, std::uint64_t key, std::uint32_t query) noexcept {
    out_.ids(at) = static_cast<index_t>(key);
    __builtin_memcpy(&out_.scores(at), &query, sizeof query);
  }
  std::uint64_t key_at(index_t at) const noexcept { return static_cast<std::uint64_t>(out_.ids(at)); }
  std::uint32_t query_at(index_t at) const noexcept {
    std::uint32_t query;
    __builtin_memcpy(&query, &out_.scores(at), sizeof query);
    return query;
  }

  const InRange& out_;
  std::atomic<index_t>* counts_;
  std::atomic<index_t> taken_{0};
};

inline void expect_range(const char* op, index_t batch, index_t n, const InRange& out) {
  expect(op, "offsets", out.offsets.extent[0], batch + 1);
  expect(op, "scores", out.scores.extent[0], out.ids.extent[0]);
  expect_rows(op, out.scores), expect_rows(op, out.ids), expect_rows(op, out.offsets);
  if (n >= index_t{1} << 32 || batch >= index_t{1} << 32) fail(Code::kLimit, op, "ids and queries have 32 bits");
}

/// What a range search carves beside the lists.
inline std::atomic<index_t>* carve_counts(Arena& arena, index_t batch) { return arena.carve<std::atomic<index_t>>(batch); }

/// Lists that go to take(keys, count, query), which may change the keys, whenever one is full, and at the end.
template <class Take>
struct RangeLists {
  const TopKLists& lists;
  index_t batch;
  const Take& take;

  void feed(kernels::Selection& list) const noexcept {
    list.state = this;
    list.shrink = [](const kernels::Selection& full, index_t row) noexcept {
      static_cast<const RangeLists*>(full.state)->take(full.keys + row * full.capacity, full.counts[row], row);
      full.counts[row] = 0;
    };
  }
  void take_rest(Context& ctx) const {
    ctx.parallel_for(ctx.threads() * batch, [&](index_t i, int) {
      if (lists.counts[i] > 0) take(lists.keys + i * kRangeList, lists.counts[i], i % batch);
    });
  }
};
template <class Take>
RangeLists(const TopKLists&, index_t, const Take&) -> RangeLists<Take>;

}  // namespace detail

inline std::size_t range_scratch(Context& ctx, index_t batch, const PackedWeight& corpus) {
  Arena need = Arena::counting();
  (void)detail::TopKScratch(ctx, need, batch, detail::kRangeList, corpus);
  (void)detail::carve_counts(need, batch);
  return need.peak();
}

inline index_t range_search(Context& ctx, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& o,
                            const InRange& out) {
  using namespace detail;
  constexpr const char* kOp = "range_search";
  expect_products(kOp, queries, corpus, o);
  const index_t batch = queries.extent[0];
  expect_range(kOp, batch, corpus.n(), out);
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(range_scratch(ctx, batch, corpus));
  const ArenaScope scope(arena);
  const TopKScratch s(ctx, arena, batch, kRangeList, corpus);
  RangeHits hits(out, carve_counts(arena, batch));
  s.begin(batch, ctx.threads(), kRangeList, o.least);
  const auto take = [&](const std::uint64_t* keys, index_t count, index_t query) { hits.take(keys, count, query); };
  const RangeLists lists{s, batch, take};
  search_panels(ctx, queries, corpus, o, s, {0, s.shared}, kRangeList, [&](kernels::Selection& list, int, const auto& run) {
    lists.feed(list);
    run();
  });
  lists.take_rest(ctx);
  return hits.finish(ctx);
}

inline std::size_t certified_range_scratch(Context& ctx, index_t batch, const CoarseRows& coarse) {
  Arena need = Arena::counting();
  (void)detail::CertifiedScratch(ctx, need, batch, detail::kRangeList, coarse.rows);
  (void)detail::carve_counts(need, batch);
  return need.peak();
}

inline index_t certified_range_search(Context& ctx, View<const float, 2> queries, View<const float, 2> rows,
                                      const CoarseRows& coarse, const TopKOptions& o, const InRange& out,
                                      CertifiedStats* stats) {
  using namespace detail;
  expect_products(kCertified, queries, coarse.rows, o);
  expect_certified(rows, coarse, o);
  const index_t batch = queries.extent[0], n = coarse.rows.n();
  expect_range(kCertified, batch, n, out);
  const FpModeScope mode;
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(certified_range_scratch(ctx, batch, coarse));
  const ArenaScope scope(arena);
  const CertifiedScratch s(ctx, arena, batch, kRangeList, coarse.rows);
  RangeHits hits(out, carve_counts(arena, batch));
  s.lists.begin(batch, ctx.threads(), kRangeList, o.least);
  // A query that no bound holds for is looked for in f32 afterwards; what comes here for it is passed over.
  bound_products(ctx, queries, coarse, o.allowed, s.slack, s.slack_of,
                 [&](index_t b) { s.lists.shared[b].store(__builtin_inff()); });
  const auto unbounded = [&](index_t b) { return s.slack[b] == 0; };
  const ExactScores exact{rows, o, table<kernels::NormTable>(ctx).chains};
  std::atomic<index_t> rescored{0};
  const auto rescore = [&](std::uint64_t* keys, index_t count, index_t query) {
    index_t found = 0;
    for (index_t i = 0; i < count; i += 16)
      found +=
          exact.rescore(queries.data + query * queries.stride[0], keys + i, std::min<index_t>(16, count - i), keys + found);
    rescored.fetch_add(count, std::memory_order_relaxed);
    hits.take(keys, found, query);
  };
  const auto take = [&](std::uint64_t* keys, index_t count, index_t query) {
    if (!unbounded(query)) rescore(keys, count, query);
  };
  const RangeLists lists{s.lists, batch, take};
  search_panels(ctx, queries, coarse.rows, o, s.lists, {0, s.lists.shared}, kRangeList,
                [&](kernels::Selection& list, int, const auto& run) {
                  list.slack = s.slack, list.slack_of = s.slack_of;
                  lists.feed(list);
                  run();
                });
  lists.take_rest(ctx);
  index_t exhausted = 0;
  for (index_t b = 0; b < batch; ++b) {
    if (!unbounded(b)) continue;
    ++exhausted;
    scan_rows(ctx, n, o.allowed, [&](int, std::uint64_t* keys, index_t held) { rescore(keys, held, b); });
  }
  if (stats) *stats = {rescored.load(), exhausted};
  return hits.finish(ctx);
}

inline std::size_t hamming_range_scratch(Context& ctx, index_t batch, const BitRows& rows) {
  Arena need = Arena::counting();
  (void)detail::HammingScratch(ctx, need, batch, detail::kRangeList, rows.panels.k());
  (void)detail::carve_counts(need, batch);
  return need.peak();
}

inline index_t hamming_range_search(Context& ctx, View<const std::uint8_t, 2> queries, const BitRows& rows,
                                    const HammingOptions& o, const InRange& out) {
  using namespace detail;
  expect_hamming(queries, rows, o);
  const index_t batch = queries.extent[0];
  expect_range(kHamming, batch, rows.panels.n(), out);
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(hamming_range_scratch(ctx, batch, rows));
  const ArenaScope scope(arena);
  const HammingScratch s(ctx, arena, batch, kRangeList, rows.panels.k());
  RangeHits hits(out, carve_counts(arena, batch));
  s.lists.begin(batch, ctx.threads(), kRangeList, o.least);
  const auto take = [&](const std::uint64_t* keys, index_t count, index_t query) { hits.take(keys, count, query); };
  const RangeLists lists{s.lists, batch, take};
  search_bit_panels(ctx, queries, rows, o, s, {0, s.lists.shared}, kRangeList,
                    [&](kernels::Selection& list, int, const auto& run) {
                      lists.feed(list);
                      run();
                    });
  lists.take_rest(ctx);
  return hits.finish(ctx);
}

}  // namespace tessera::ops
