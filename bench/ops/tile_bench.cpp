// The register tile of linear() alone, K = 768, weights in L2: what the rest of the library can at most reach.
#include "check.hpp"
#include "measure.hpp"

namespace tessera::bench {
namespace {

void run(benchmark::State& state, Isa isa, int threads) {
  constexpr index_t kDepth = 768, kColumns = kernels::kPanel, kRepeat = 100;
  Context ctx(isa, threads);
  const auto& gemm = ops::detail::table<kernels::GemmTable>(ctx);
  const index_t rows = gemm.tile_rows;
  const Data x(rows, kDepth, 1), w(kColumns, kDepth, 2, 1 / std::sqrt(static_cast<float>(kDepth)));
  const Data packed(threads, kColumns * kDepth, 3), out(threads * rows, kColumns, 4);
  for (int i = 0; i < threads; ++i)
    gemm.pack(w.data(), kDepth, kColumns, kDepth, 0, kColumns / kernels::kSlice, &packed(i, 0));
  const auto call = [&] {
    ctx.parallel_for(
        threads, [&](index_t i, int) { gemm.tile(x.data(), kDepth, &packed(i, 0), kDepth, &out(i * rows, 0), kRepeat); });
  };
  call();
  const auto want = [&](index_t i, index_t j) { return dot(&x(i % rows, 0), &w(j, 0), kDepth); };
  if (!accept(state, near(out.rows(), kColumns, 1e-5, out, want))) return;
  measure_flops(state, ctx, 2.0 * static_cast<double>(rows * kColumns * kDepth * kRepeat * threads), call);
}

void add_rows(const Rows& rows) {
  for_machines("tile", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    rows.add(prefix + "k768", isa != Isa::generic, [=](benchmark::State& state) { run(state, isa, threads); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
