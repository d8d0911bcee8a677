// The ten best of a collection for batches of queries. Packing is not timed.
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/topk.hpp>

#include "check.hpp"
#include "measure.hpp"

namespace tessera::bench {
namespace {

constexpr index_t kBest = 10;

/// Whether each query's list is in order and lacks nothing: no other row scores clearly more than the last one found.
bool right(const Data& queries, const Data& rows, const View<float, 2>& scores, const View<index_t, 2>& ids, double bound) {
  const index_t step = std::max<index_t>(1, queries.rows() / 3), e = rows.columns();
  for (index_t b = 0; b < queries.rows(); b += step) {
    for (index_t i = 0; i < kBest; ++i) {
      if (i > 0 && !(scores(b, i) <= scores(b, i - 1))) return false;
      if (!(std::abs(static_cast<double>(scores(b, i)) - dot(&queries(b, 0), &rows(ids(b, i), 0), e)) <= bound))
        return false;
    }
    index_t above = 0;
    for (index_t r = 0; r < rows.rows(); ++r)
      above += dot(&queries(b, 0), &rows(r, 0), e) > static_cast<double>(scores(b, kBest - 1)) + bound;
    if (above >= kBest) return false;
  }
  return true;
}

void run(benchmark::State& state, Isa isa, int threads, index_t batch, index_t n, index_t e, DType type) {
  Context ctx(isa, threads);
  const Data queries(batch, e, 1), rows(n, e, 2, 1 / std::sqrt(static_cast<float>(e))), scores(batch, kBest, 3);
  std::vector<index_t> ids(static_cast<std::size_t>(batch * kBest)), counts(static_cast<std::size_t>(batch));
  WeightView w = rows.input();
  w.packed = type;
  const PackedWeight packed = ops::pack_weight(ctx, w);
  const ops::TopK out{scores.view(), View<index_t, 2>(ids.data(), batch, kBest), View<index_t, 1>(counts.data(), batch)};
  const auto call = [&] { ops::top_k(ctx, queries.input(), packed, {}, out); };
  call();
  const double bound = type == DType::f32 ? 1e-5 : type == DType::bf16 ? 2e-2 : 5e-2;
  if (!accept(state, right(queries, rows, out.scores, out.ids, bound))) return;
  measure_flops(state, ctx, 2.0 * static_cast<double>(batch * n * e), call, type);
  state.counters["GB/s"] = static_cast<double>(packed.bytes()) / (state.counters["best_us"] * 1e-6) * 1e-9;
}

void add_rows(const Rows& rows) {
  for_packed_types("top_k", [&](DType type, Isa isa, int threads, const std::string& prefix) {
    for (const index_t e : {384, 768})
      for (const index_t batch : {1, 8, 64, 1024})
        rows.add(prefix + std::to_string(batch) + "x100000x" + std::to_string(e), is_best(isa) && e == 384 && batch < 1024,
                 [=](benchmark::State& state) { run(state, isa, threads, batch, 100000, e, type); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
