// Token merging beside the attention of the layer that it shortens: finding a plan, and its application.
#include <tessera/ops/merge.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

// Keys of all heads are read, and so are and are written the tokens: what a merge must move.
void run(benchmark::State& state, Isa isa, int threads, const EncoderShape& s, index_t r, bool by_energy) {
  Context ctx(isa, threads);
  const index_t t = s.tokens, d = s.head_dim, c = s.channels;
  const Data keys(t, c, 1), x(t, c, 2), metric(t, d, 3), out(t, c, 4), sizes(1, t, 5);
  for (index_t i = 0; i < t; ++i) sizes(0, i) = 1.f;
  const View<const float, 3> k(keys.data(), t, s.heads, d);
  ops::MergePlan plan;
  const auto call = [&] {
    ops::key_metric(ctx, k, metric.view());
    plan = by_energy ? ops::energy_merge(ctx, metric.input(), r, 0.5f, 1) : ops::bipartite_merge(ctx, metric.input(), r, 1);
    ops::merge_tokens(ctx, plan, x.input(), sizes.flat(), out.view().slice(0, plan.size()), {});
  };
  call();
  // Every row is the mean of its tokens, and every source has joined its nearest destination.
  const auto want = [&](index_t i, index_t j) {
    double sum = 0, n = 0;
    for (index_t o = 0; o < t; ++o)
      if (plan.into[static_cast<std::size_t>(o)] == plan.rows[static_cast<std::size_t>(i)])
        sum += static_cast<double>(x(o, j)), ++n;
    return sum / n;
  };
  bool right = plan.size() == t - r && near(plan.size(), c, 1e-5, out, want);
  for (index_t o = 0; !by_energy && o < t; ++o) {
    const index_t to = plan.into[static_cast<std::size_t>(o)];
    for (index_t j = 1; to != o && j < t; j += 2)
      right = right && dot(&metric(o, 0), &metric(j, 0), d) <= dot(&metric(o, 0), &metric(to, 0), d) + 1e-6;
  }
  if (!accept(state, right)) return;
  measure_bytes(state, ctx, sizeof(float) * static_cast<double>(2 * t * c + plan.size() * c), call);
}

void add_rows(const Rows& rows) {
  for_machines("merge", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const EncoderShape& s : kEncoders) {
      if (!s.pre_norm) continue;
      const index_t r = s.tokens / 15;
      for (const bool by_energy : {false, true})
        rows.add(prefix + s.name + (by_energy ? "/energy" : "/bipartite"), is_best(isa) && !by_energy,
                 [=, &s](benchmark::State& state) { run(state, isa, threads, s, r, by_energy); });
    }
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
