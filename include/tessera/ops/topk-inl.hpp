#pragma once
#include <algorithm>
#include <atomic>
#include <functional>
#include <new>

#include <tessera/ops/detail/gathered_rows.hpp>
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/topk.hpp>

namespace tessera::ops {

namespace detail {

inline float score_of(std::uint64_t key) noexcept {
  const auto turned = static_cast<std::uint32_t>(key >> 32);
  return __builtin_bit_cast(float, turned >> 31 ? turned & 0x7fffffffU : ~turned);
}
inline index_t column_of(std::uint64_t key) noexcept {
  return static_cast<index_t>(0xffffffffU - static_cast<std::uint32_t>(key));
}

/// Room for a list of which k are wanted: what comes in beyond them waits until it is worth a pass.
inline index_t list_capacity(index_t k) noexcept { return k + std::max<index_t>(k, 64); }

/// The k best keys come first. Returns the score of the last of them.
inline float keep_best(std::uint64_t* keys, index_t count, index_t k) noexcept {
  std::nth_element(keys, keys + (k - 1), keys + count, std::greater<>());
  return score_of(keys[k - 1]);
}

/// What the lists of all lanes have in common.
struct SharedFloors {
  index_t k;
  std::atomic<float>* of;  ///< [B]: no score below it is among the k best of that query

  void raise(index_t row, float& floor) const noexcept {
    float common = of[row].load(std::memory_order_relaxed);
    while (common < floor && !of[row].compare_exchange_weak(common, floor, std::memory_order_relaxed)) {}
    floor = std::max(floor, common);
  }
  static void shrink(const kernels::Selection& list, index_t row) noexcept {
    const auto& shared = *static_cast<const SharedFloors*>(list.state);
    list.floors[row] = keep_best(list.keys + row * list.capacity, list.counts[row], shared.k);
    list.counts[row] = shared.k;
    shared.raise(row, list.floors[row]);
  }
};

/// The lists of each lane and query, and a place for each lane where it puts those of a query together.
struct TopKLists {
  std::uint64_t *keys, *together;
  index_t *counts, *limits;
  float* floors;
  std::atomic<float>* shared;

  TopKLists(Context& ctx, Arena& arena, index_t batch, index_t capacity) {
    const index_t lanes = ctx.threads();
    keys = arena.carve<std::uint64_t>(lanes * batch * capacity);
    together = arena.carve<std::uint64_t>(lanes * lanes * capacity);
    counts = arena.carve<index_t>(lanes * batch);
    limits = arena.carve<index_t>(lanes * batch);
    floors = arena.carve<float>(lanes * batch);
    shared = arena.carve<std::atomic<float>>(batch);
  }
  void begin(index_t batch, index_t lanes, index_t limit, float least) const {
    std::fill_n(counts, lanes * batch, index_t{0});
    std::fill_n(limits, lanes * batch, limit);
    std::fill_n(floors, lanes * batch, least);
    for (index_t b = 0; b < batch; ++b) new (shared + b) std::atomic<float>(least);
  }
  /// What may still be among the best of query b in the lists of all lanes; returns how many keys.
  index_t gather(std::uint64_t* to, index_t b, index_t batch, index_t lanes, index_t capacity) const {
    const float floor = shared[b].load(std::memory_order_relaxed);
    std::uint64_t* end = to;
    for (index_t i = b; i < lanes * batch; i += batch)
      end = std::copy_if(keys + i * capacity, keys + i * capacity + counts[i], end,
                         [&](std::uint64_t key) { return score_of(key) >= floor; });
    return end - to;
  }
};

/// What top_k() carves.
struct TopKScratch : TopKLists {
  kernels::RoundedRows* rounded;
  GatheredRows::Room gathered;

  TopKScratch(Context& ctx, Arena& arena, index_t batch, index_t capacity, const PackedWeight& corpus)
      : TopKLists(ctx, arena, batch, capacity),
        rounded(carve_rounded(ctx, arena, corpus.dtype(), batch, corpus.k())),
        gathered(ctx, arena, corpus) {}
};

/// Keys in order to row `row` of the result, and what is missing.
inline void write_best(std::uint64_t* keys, index_t count, const TopK& out, index_t row) {
  const index_t k = out.ids.extent[1], found = std::min(count, k);
  std::partial_sort(keys, keys + found, keys + count, std::greater<>());
  for (index_t i = 0; i < k; ++i) {
    out.scores(row, i) = i < found ? score_of(keys[i]) : -__builtin_inff();
    out.ids(row, i) = i < found ? column_of(keys[i]) : -1;
  }
  out.counts(row) = found;
}

/// The best of all lanes' lists.
inline void write_lists(Context& ctx, index_t batch, const TopKLists& s, index_t capacity, const TopK& out) {
  const index_t lanes = ctx.threads();
  ctx.parallel_for(batch, [&](index_t b, int lane) {
    std::uint64_t* const keys = s.together + lane * lanes * capacity;
    write_best(keys, s.gather(keys, b, batch, lanes, capacity), out, b);
  });
}

inline void expect_topk(const char* op, index_t batch, index_t n, const TopK& out) {
  expect(op, "rows of ids", out.ids.extent[0], batch);
  expect(op, "rows of scores", out.scores.extent[0], batch);
  expect(op, "columns of scores", out.scores.extent[1], out.ids.extent[1]);
  expect(op, "counts", out.counts.extent[0], batch);
  expect_rows(op, out.ids), expect_rows(op, out.scores), expect_rows(op, out.counts);
  if (out.ids.extent[1] < 1) fail(Code::kBadArgument, op, "k must be positive");
  if (n >= index_t{1} << 32) fail(Code::kLimit, op, "ids have 32 bits");
}

inline void expect_allowed(const char* op, View<const std::uint64_t, 1> allowed, index_t n) {
  if (allowed.data) expect(op, "words of allowed", allowed.extent[0], (n + 63) / 64), expect_rows(op, allowed);
}

inline void expect_products(const char* op, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& o) {
  const index_t n = corpus.n();
  if (!packs(corpus.dtype())) fail(Code::kUnsupported, op, "rows are f32, bf16 or int8");
  if (corpus.space() != Space::host) fail(Code::kBadArgument, op, "rows of another device");
  if (corpus.gated()) fail(Code::kShapeMismatch, op, "a weight of pack_weight_glu");
  expect(op, "channels of the queries", queries.extent[1], corpus.k());
  expect_rows(op, queries);
  if (o.scale.data) expect(op, "scales", o.scale.extent[0], n), expect_rows(op, o.scale);
  if (o.bias.data) expect(op, "biases", o.bias.extent[0], n), expect_rows(op, o.bias);
  expect_allowed(op, o.allowed, n);
}
inline void expect_search(const char* op, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& o,
                          const TopK& out) {
  expect_products(op, queries, corpus, o);
  expect_topk(op, queries.extent[0], corpus.n(), out);
}

/// Calls f(list, lane, p0, p1) for all panels of a corpus of n rows: the lists of the lane that takes panels [p0, p1).
template <class F>
void for_panels(Context& ctx, index_t batch, index_t n, View<const std::uint64_t, 1> allowed, const TopKLists& s,
                const SharedFloors& shared, index_t capacity, const F& f) {
  // Each task takes all queries through some panels, so that rows are read from memory once; a lane goes on with its lists.
  constexpr index_t kMostPanels = 32;
  index_t first = 0, past = (n + kernels::kPanel - 1) / kernels::kPanel;
  while (allowed.data && first < past && allowed(first) == 0) ++first;
  while (allowed.data && first < past && allowed(past - 1) == 0) --past;
  const index_t lanes = ctx.threads(), panels = past - first;
  const index_t shortest = lanes == 1 ? 1 : std::min(panels, 8 * lanes);
  const index_t tasks = std::max((panels + kMostPanels - 1) / kMostPanels, shortest);
  ctx.parallel_for(tasks, [&](index_t i, int lane) {
    kernels::Selection list{};
    list.keys = s.keys + lane * batch * capacity, list.capacity = capacity;
    list.counts = s.counts + lane * batch, list.limits = s.limits + lane * batch;
    list.floors = s.floors + lane * batch;
    list.allowed = allowed.data;
    for (index_t b = 0; b < batch; ++b) shared.raise(b, list.floors[b]);
    f(list, lane, first + panels * i / tasks, first + panels * (i + 1) / tasks);
  });
}

/// All queries by all rows into the lists. f(list, lane, run) says how a lane's lists shrink, then calls run().
template <class F>
void search_panels(Context& ctx, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& o,
                   const TopKScratch& s, const SharedFloors& shared, index_t capacity, const F& f) {
  const index_t batch = queries.extent[0], n = corpus.n();
  kernels::GemmArgs g{
      queries.data, queries.stride[0], corpus.k(), reinterpret_cast<const float*>(corpus.data()), n, nullptr, 0};
  g.bias = o.bias.data;
  g.channel_scale = o.scale.data;
  g.row_words = row_words_of(corpus);
  const auto gemm = gemm_for(ctx, corpus.dtype());
  for_panels(ctx, batch, n, o.allowed, s, shared, capacity, [&](kernels::Selection& list, int lane, index_t p0, index_t p1) {
    kernels::GemmArgs mine = g;
    mine.selection = &list;
    if (s.rounded) mine.rows = s.rounded + lane;
    f(list, lane, [&] {
      if (!o.allowed.data) return gemm(mine, 0, batch, p0, p1);
      GatheredRows rows(corpus, s.gathered, lane);
      const auto flush = [&] {
        if (rows.count() == 0) return;
        kernels::Selection into = list;
        kernels::GemmArgs some = rows.product(mine, into);
        gemm(some, 0, batch, 0, 1);
      };
      for (index_t p = p0; p < p1; ++p) {
        const std::uint64_t open = GatheredRows::open(o.allowed(p), p, n);
        if (open == 0) continue;
        if (!GatheredRows::pays(open, batch)) {
          gemm(mine, 0, batch, p, p + 1);
          continue;
        }
        if (!rows.fits(open)) flush(), rows.clear();
        rows.take(open, p, mine);
      }
      flush();
    });
  });
}

}  // namespace detail

inline std::size_t topk_scratch(Context& ctx, index_t batch, index_t k, const PackedWeight& corpus) {
  Arena need = Arena::counting();
  (void)detail::TopKScratch(ctx, need, batch, detail::list_capacity(std::min(k, corpus.n())), corpus);
  return need.peak();
}

inline void top_k(Context& ctx, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& o,
                  const TopK& out) {
  using namespace detail;
  expect_search("top_k", queries, corpus, o, out);
  const index_t batch = queries.extent[0];
  if (batch == 0) return;
  const index_t k = std::min(out.ids.extent[1], corpus.n()), capacity = list_capacity(k);
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(topk_scratch(ctx, batch, k, corpus));
  const ArenaScope scope(arena);
  const TopKScratch s(ctx, arena, batch, capacity, corpus);
  s.begin(batch, ctx.threads(), capacity, o.least);
  SharedFloors shared{k, s.shared};
  search_panels(ctx, queries, corpus, o, s, shared, capacity, [&](kernels::Selection& list, int, const auto& run) {
    list.shrink = SharedFloors::shrink, list.state = &shared;
    run();
  });
  write_lists(ctx, batch, s, capacity, out);
}

inline std::size_t select_scratch(Context& ctx, index_t k) {
  Arena need = Arena::counting();
  need.carve<std::uint64_t>(ctx.threads() * detail::list_capacity(k));
  return need.peak();
}

inline void select_k(Context& ctx, View<const float, 2> scores, const TopK& out) {
  using namespace detail;
  constexpr const char* kOp = "select_k";
  const index_t batch = scores.extent[0], n = scores.extent[1];
  expect_rows(kOp, scores);
  expect_topk(kOp, batch, n, out);
  const index_t k = std::min(out.ids.extent[1], n), capacity = list_capacity(k), lanes = ctx.threads();
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(select_scratch(ctx, k));
  const ArenaScope scope(arena);
  std::uint64_t* const lists = arena.carve<std::uint64_t>(lanes * capacity);
  ctx.parallel_for(batch, [&](index_t b, int lane) {
    std::uint64_t* const keys = lists + lane * capacity;
    const float* const row = scores.data + b * scores.stride[0];
    float floor = -__builtin_inff();
    index_t count = 0;
    for (index_t j = 0; j < n; ++j) {
      if (!(row[j] >= floor)) continue;
      if (count == capacity) {
        floor = keep_best(keys, count, k), count = k;
        if (row[j] < floor) continue;
      }
      keys[count++] = kernels::selection_key(row[j], j);
    }
    write_best(keys, count, out, b);
  });
}

}  // namespace tessera::ops
