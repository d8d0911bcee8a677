// Inner products of queries with a collection of embeddings.
#include <tessera/ops/similarity.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

void run(benchmark::State& state, Isa isa, int threads, index_t queries, index_t rows, index_t e) {
  Context ctx(isa, threads);
  const Data a(queries, e, 1), b(rows, e, 2, 1 / std::sqrt(static_cast<float>(e))), out(queries, rows, 3);
  const auto call = [&] { ops::similarity(ctx, a.input(), b.input(), out.view()); };
  call();
  const auto want = [&](index_t i, index_t j) { return dot(&a(i, 0), &b(j, 0), e); };
  if (!accept(state, near(queries, rows, 1e-5, out, want))) return;
  measure_flops(state, ctx, 2.0 * static_cast<double>(queries * rows * e), call);
  state.counters["GB/s"] = sizeof(float) * static_cast<double>(rows * e) / (state.counters["best_us"] * 1e-6) * 1e-9;
}

void add_rows(const Rows& rows) {
  for_machines("similarity", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const EncoderShape& s : kEncoders)
      for (const index_t queries : {1, 32})
        rows.add(prefix + s.name + "/" + std::to_string(queries) + "x20000",
                 is_best(isa) && s.channels <= 768 && s.tokens == 128,
                 [=](benchmark::State& state) { run(state, isa, threads, queries, 20000, s.channels); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
