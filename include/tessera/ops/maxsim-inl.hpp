#pragma once
#include <algorithm>

#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/maxsim.hpp>

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

}  // namespace detail

inline std::size_t maxsim_scratch(Context& ctx, index_t query_tokens, const PackedWeight& documents) {
  Arena need = Arena::counting();
  (void)detail::MaxSimScratch(ctx, need, query_tokens, documents);
  return need.peak();
}

inline void maxsim(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const PackedWeight& documents,
                   View<const index_t, 1> cu_d, View<float, 2> scores, View<std::int32_t, 2> argmax) {
  using namespace detail;
  constexpr const char* kOp = "maxsim";
  constexpr float kNone = -__builtin_inff();
  const index_t tokens = queries.extent[0], batch = cu_q.extent[0] - 1, count = cu_d.extent[0] - 1;
  if (!packs(documents.dtype())) fail(Code::kUnsupported, kOp, "documents are f32, bf16 or int8");
  if (documents.space() != Space::host) fail(Code::kBadArgument, kOp, "documents of another device");
  if (documents.gated()) fail(Code::kShapeMismatch, kOp, "a weight of pack_weight_glu");
  expect(kOp, "channels of the queries", queries.extent[1], documents.k());
  expect_rows(kOp, queries), expect_rows(kOp, scores);
  expect_offsets(kOp, "rows of the queries", cu_q, tokens);
  expect_offsets(kOp, "rows of the documents", cu_d, documents.n());
  expect(kOp, "rows of scores", scores.extent[0], batch);
  expect(kOp, "columns of scores", scores.extent[1], count);
  if (argmax.data) {
    expect_rows(kOp, argmax);
    expect(kOp, "rows of argmax", argmax.extent[0], tokens);
    expect(kOp, "columns of argmax", argmax.extent[1], count);
    for (index_t t = 0; t < tokens; ++t) std::fill_n(&argmax(t, 0), count, -1);
  }
  if (batch == 0 || count == 0) return;
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(maxsim_scratch(ctx, tokens, documents));
  const ArenaScope scope(arena);
  const MaxSimScratch s(ctx, arena, tokens, documents);

  const auto gemm = gemm_for(ctx, documents.dtype());
  // Whole documents for each task, some at once: of the panels at their ends it passes over what is not its own.
  const index_t lanes = ctx.threads(), n = documents.n();
  const index_t tasks = lanes == 1 ? 1 : std::min<index_t>(8 * lanes, n / (4 * kernels::kPanel) + 1);
  const auto begin_of = [&](index_t task) {
    return task < tasks ? std::lower_bound(cu_d.data, cu_d.data + count, n * task / tasks) - cu_d.data : count;
  };
  const auto score = [&](index_t first, index_t groups, int lane) {
    kernels::GroupMaxima maxima{cu_d.data + first, groups, s.most + lane * tokens * kMaxSimDocuments, nullptr, 0};
    if (argmax.data) maxima.place = argmax.data + first, maxima.place_ld = argmax.stride[0];
    std::fill_n(maxima.most, tokens * groups, kNone);
    kernels::GemmArgs g{queries.data,
                        queries.stride[0],
                        documents.k(),
                        reinterpret_cast<const float*>(documents.data()),
                        documents.n(),
                        nullptr,
                        0};
    g.maxima = &maxima;
    if (s.rounded) g.rows = s.rounded + lane;
    const index_t begin = cu_d(first), end = cu_d(first + groups);
    if (tokens > 0 && begin < end)
      gemm(g, 0, tokens, begin / kernels::kPanel, (end + kernels::kPanel - 1) / kernels::kPanel);
    const FpModeScope mode;
    for (index_t b = 0; b < batch; ++b)
      for (index_t d = 0; d < groups; ++d) {
        float sum = 0;
        for (index_t t = cu_q(b); t < cu_q(b + 1); ++t) sum += maxima.most[t * groups + d];
        scores(b, first + d) = sum;
      }
  };
  ctx.parallel_for(tasks, [&](index_t task, int lane) {
    const index_t last = begin_of(task + 1);
    for (index_t first = begin_of(task), past; first < last; first = past) {
      past = first + 1;
      while (past < last && past - first < kMaxSimDocuments && cu_d(past + 1) - cu_d(first) <= kMaxSimTokens) ++past;
      score(first, past - first, lane);
    }
  });
}

}  // namespace tessera::ops
