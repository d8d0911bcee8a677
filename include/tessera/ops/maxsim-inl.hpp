#pragma once
#include <algorithm>

#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/maxsim.hpp>
#include <tessera/ops/topk-inl.hpp>  // its lists, which compiled builds do not declare elsewhere

namespace tessera::ops {

namespace detail {

/// Documents, and tokens of several, that are scored at once.
inline constexpr index_t kMaxSimDocuments = 256, kMaxSimTokens = 32 * kernels::kPanel;

struct MaxSimScratch {
  float* most;  ///< [lanes, sum Tq, kMaxSimDocuments]
  kernels::RoundedRows* rounded;
  MaxSimScratch(Context& ctx, Arena& arena, index_t tokens, const PackedWeight& documents)
      : most(arena.carve<float>(ctx.threads() * tokens * kMaxSimDocuments)),
        rounded(carve_rounded(ctx, arena, documents.dtype(), tokens, documents.k())) {}
};

/// Queries by documents, of which some may be left out. A position is a document and who asks for it: without candidates
/// document p and all queries, else place p of `ids` and the query whose list it is in.
struct MaxSimJob {
  View<const float, 2> queries;
  View<const index_t, 1> cu_q;
  const PackedWeight& documents;
  View<const index_t, 1> cu_d;
  Candidates candidates;
  View<const std::uint64_t, 1> allowed = {};
  View<std::int32_t, 2> argmax = {};

  index_t batch() const noexcept { return cu_q.extent[0] - 1; }
  index_t count() const noexcept { return cu_d.extent[0] - 1; }
  bool listed() const noexcept { return candidates.cu.data != nullptr; }
  index_t positions() const noexcept { return listed() ? candidates.ids.extent[0] : count(); }
  index_t document(index_t p) const noexcept { return listed() ? candidates.ids(p) : p; }
  bool open(index_t document) const noexcept {
    return !allowed.data || (allowed(document / 64) >> (document % 64) & 1) != 0;
  }
  /// Whether documents a and then b are cheaper together: where no panel lies between them. Places beside each other hold
  /// what documents beside each other found.
  bool joins(index_t a, index_t b) const noexcept {
    if (b == a + 1) return true;
    return b > a && !argmax.data && cu_d(b) / kernels::kPanel <= (cu_d(a + 1) - 1) / kernels::kPanel;
  }

  void expect_arguments(const char* op) const {
    const index_t tokens = queries.extent[0];
    if (!packs(documents.dtype())) fail(Code::kUnsupported, op, "documents are f32, bf16 or int8");
    if (documents.space() != Space::host) fail(Code::kBadArgument, op, "documents of another device");
    if (documents.gated()) fail(Code::kShapeMismatch, op, "a weight of pack_weight_glu");
    expect(op, "channels of the queries", queries.extent[1], documents.k());
    expect_rows(op, queries);
    expect_offsets(op, "rows of the queries", cu_q, tokens);
    expect_offsets(op, "rows of the documents", cu_d, documents.n());
    if (!listed()) return;
    expect(op, "lists of candidates", candidates.cu.extent[0], batch() + 1);
    expect_offsets(op, "candidates", candidates.cu, candidates.ids.extent[0]);
    expect_rows(op, candidates.ids);
    for (index_t p = 0; p < positions(); ++p)
      if (candidates.ids(p) < 0 || candidates.ids(p) >= count())
        fail(Code::kBadArgument, op, "a candidate that is no document");
  }
};

/// f(lane, b0, b1, p0, p1, score) for all positions that are open, some at a time: those of [p0, p1) and queries [b0, b1),
/// whose scores are score(b, p). Each pair has its own once.
template <class F>
void for_scores(Context& ctx, const MaxSimJob& job, const MaxSimScratch& s, const F& f) {
  constexpr float kNone = -__builtin_inff();
  const View<const index_t, 1>&cu_q = job.cu_q, &cu_d = job.cu_d;
  const PackedWeight& documents = job.documents;
  const index_t tokens = job.queries.extent[0], positions = job.positions(), n = documents.n();
  const auto gemm = gemm_for(ctx, documents.dtype());
  const auto score = [&](index_t b0, index_t b1, index_t p0, index_t p1, int lane) {
    const index_t first = job.document(p0), groups = job.document(p1 - 1) + 1 - first;
    const index_t t0 = cu_q(b0), t1 = cu_q(b1), column = job.listed() ? p0 - job.candidates.cu(b0) : p0;
    kernels::GroupMaxima maxima{cu_d.data + first, groups, s.most + lane * tokens * kMaxSimDocuments, nullptr, 0};
    if (job.argmax.data) maxima.place = job.argmax.data + column, maxima.place_ld = job.argmax.stride[0];
    std::fill_n(maxima.most + t0 * groups, (t1 - t0) * groups, kNone);
    kernels::GemmArgs g{job.queries.data,
                        job.queries.stride[0],
                        documents.k(),
                        reinterpret_cast<const float*>(documents.data()),
                        n,
                        nullptr,
                        0};
    g.maxima = &maxima;
    g.row_words = row_words_of(documents);
    if (s.rounded) g.rows = s.rounded + lane;
    const index_t begin = cu_d(first), end = cu_d(first + groups);
    if (t0 < t1 && begin < end) gemm(g, t0, t1, begin / kernels::kPanel, (end + kernels::kPanel - 1) / kernels::kPanel);
    const FpModeScope mode;
    f(lane, b0, b1, p0, p1, [&](index_t b, index_t p) {
      const float* const most = maxima.most + (job.document(p) - first);
      float sum = 0;
      for (index_t t = cu_q(b); t < cu_q(b + 1); ++t) sum += most[t * groups];
      return sum;
    });
  };
  // Documents together as far as a lane's scratch goes: of the panels at their ends it passes over what is not their own.
  const auto score_range = [&](index_t b0, index_t b1, index_t p, index_t last, int lane) {
    while (p < last) {
      const index_t first = p, begin = cu_d(job.document(first));
      if (!job.open(job.document(p++))) continue;
      for (index_t at = job.document(first); p < last; at = job.document(p++)) {
        const index_t next = job.document(p);
        if (!job.open(next) || !job.joins(at, next) || next - job.document(first) >= kMaxSimDocuments ||
            cu_d(next + 1) - begin > kMaxSimTokens)
          break;
      }
      score(b0, b1, first, p, lane);
    }
  };
  const index_t lanes = ctx.threads(), most_tasks = lanes == 1 ? 1 : 8 * lanes;
  if (!job.listed()) {  // whole documents for each task, all queries, about as many tokens
    const index_t tasks = std::min(most_tasks, n / (4 * kernels::kPanel) + 1);
    const auto begin_of = [&](index_t task) {
      return task < tasks ? std::lower_bound(cu_d.data, cu_d.data + positions, n * task / tasks) - cu_d.data : positions;
    };
    ctx.parallel_for(tasks,
                     [&](index_t task, int lane) { score_range(0, job.batch(), begin_of(task), begin_of(task + 1), lane); });
    return;
  }
  const index_t tasks = std::min(most_tasks, positions);
  ctx.parallel_for(tasks, [&](index_t task, int lane) {
    const View<const index_t, 1>& cu = job.candidates.cu;
    const index_t last = positions * (task + 1) / tasks;
    index_t p = positions * task / tasks;
    for (index_t b = std::upper_bound(cu.data, cu.data + cu.extent[0], p) - cu.data - 1; p < last; ++b) {
      const index_t end = std::min(cu(b + 1), last);
      score_range(b, b + 1, p, end, lane);
      p = end;
    }
  });
}

/// What maxsim_top_k() carves.
struct MaxSimTopKScratch : TopKLists {
  MaxSimScratch maxima;

  MaxSimTopKScratch(Context& ctx, Arena& arena, index_t batch, index_t tokens, const PackedWeight& documents,
                    index_t capacity)
      : TopKLists(ctx, arena, batch, capacity), maxima(ctx, arena, tokens, documents) {}
};

}  // namespace detail

inline std::size_t maxsim_scratch(Context& ctx, index_t query_tokens, const PackedWeight& documents) {
  Arena need = Arena::counting();
  (void)detail::MaxSimScratch(ctx, need, query_tokens, documents);
  return need.peak();
}

inline void maxsim(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const PackedWeight& documents,
                   View<const index_t, 1> cu_d, View<float, 2> scores, View<std::int32_t, 2> argmax,
                   const Candidates& candidates) {
  using namespace detail;
  constexpr const char* kOp = "maxsim";
  const MaxSimJob job{queries, cu_q, documents, cu_d, candidates, {}, argmax};
  job.expect_arguments(kOp);
  const index_t tokens = queries.extent[0], batch = job.batch(), columns = scores.extent[1];
  expect_rows(kOp, scores);
  expect(kOp, "rows of scores", scores.extent[0], batch);
  if (!job.listed()) expect(kOp, "columns of scores", columns, job.count());
  for (index_t b = 0; job.listed() && b < batch; ++b)
    if (candidates.cu(b + 1) - candidates.cu(b) > columns)
      shape_error(kOp, "columns of scores", columns, candidates.cu(b + 1) - candidates.cu(b));
  if (argmax.data) {
    expect_rows(kOp, argmax);
    expect(kOp, "rows of argmax", argmax.extent[0], tokens);
    expect(kOp, "columns of argmax", argmax.extent[1], columns);
    for (index_t t = 0; t < tokens; ++t) std::fill_n(&argmax(t, 0), columns, -1);
  }
  if (batch == 0 || columns == 0) return;
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(maxsim_scratch(ctx, tokens, documents));
  const ArenaScope scope(arena);
  const MaxSimScratch s(ctx, arena, tokens, documents);
  for (index_t b = 0; job.listed() && b < batch; ++b)
    std::fill(&scores(b, 0) + (candidates.cu(b + 1) - candidates.cu(b)), &scores(b, 0) + columns, -__builtin_inff());
  for_scores(ctx, job, s, [&](int, index_t b0, index_t b1, index_t p0, index_t p1, const auto& score) {
    for (index_t b = b0; b < b1; ++b)
      for (index_t p = p0; p < p1; ++p) scores(b, job.listed() ? p - candidates.cu(b) : p) = score(b, p);
  });
}

inline std::size_t maxsim_topk_scratch(Context& ctx, index_t batch, index_t query_tokens, const PackedWeight& documents,
                                       index_t count, index_t k) {
  Arena need = Arena::counting();
  (void)detail::MaxSimTopKScratch(ctx, need, batch, query_tokens, documents, detail::list_capacity(std::min(k, count)));
  return need.peak();
}

inline void maxsim_top_k(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q,
                         const PackedWeight& documents, View<const index_t, 1> cu_d, const MaxSimTopKOptions& options,
                         const TopK& out) {
  using namespace detail;
  constexpr const char* kOp = "maxsim_top_k";
  const MaxSimJob job{queries, cu_q, documents, cu_d, options.candidates, options.allowed};
  job.expect_arguments(kOp);
  const index_t batch = job.batch(), tokens = queries.extent[0], count = job.count();
  expect_topk(kOp, batch, count, out);
  expect_allowed(kOp, options.allowed, count);
  if (batch == 0) return;
  const index_t k = std::min(out.ids.extent[1], count), capacity = list_capacity(k);
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(maxsim_topk_scratch(ctx, batch, tokens, documents, count, k));
  const ArenaScope scope(arena);
  const MaxSimTopKScratch s(ctx, arena, batch, tokens, documents, capacity);
  s.begin(batch, ctx.threads(), capacity, options.least);
  SharedFloors shared{k, s.shared};
  for_scores(ctx, job, s.maxima, [&](int lane, index_t b0, index_t b1, index_t p0, index_t p1, const auto& score) {
    kernels::Selection list{};
    list.keys = s.keys + lane * batch * capacity, list.capacity = capacity, list.counts = s.counts + lane * batch;
    list.floors = s.floors + lane * batch, list.state = &shared;
    for (index_t b = b0; b < b1; ++b) {
      shared.raise(b, list.floors[b]);
      for (index_t p = p0; p < p1; ++p) {
        const float found = score(b, p);
        if (found >= list.floors[b] && list.counts[b] == capacity) SharedFloors::shrink(list, b);
        if (found >= list.floors[b])
          list.keys[b * capacity + list.counts[b]++] = kernels::selection_key(found, job.document(p));
      }
    }
  });
  write_lists(ctx, batch, s, capacity, out);
}

}  // namespace tessera::ops
