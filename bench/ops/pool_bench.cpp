// Pooling of 32 sequences.
#include <tessera/ops/pool.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

void run(benchmark::State& state, Isa isa, int threads, ops::Pooling mode, const EncoderShape& s) {
  constexpr index_t kBatch = 32;
  Context ctx(isa, threads);
  const Data x(kBatch * s.tokens, s.channels, 1), out(kBatch, s.channels, 2);
  std::vector<index_t> cu;
  for (index_t b = 0; b <= kBatch; ++b) cu.push_back(b * s.tokens);
  const auto call = [&] { ops::pool(ctx, mode, x.input(), View<const index_t, 1>(cu.data(), cu.size()), {}, out.view()); };
  call();
  const auto want = [&](index_t b, index_t j) {
    double sum = 0, top = -1e300, weights = 0, weighted = 0;
    for (index_t t = 0; t < s.tokens; ++t) {
      const double v = static_cast<double>(x(b * s.tokens + t, j)), w = static_cast<double>(t + 1);
      sum += v, top = std::max(top, v), weights += w, weighted += w * v;
    }
    if (mode == ops::Pooling::max) return top;
    if (mode == ops::Pooling::weighted_mean) return weighted / weights;
    return sum / static_cast<double>(s.tokens);
  };
  if (!accept(state, near(kBatch, s.channels, 1e-5, out, want))) return;
  measure_bytes(state, ctx, sizeof(float) * static_cast<double>(x.rows() * s.channels), call);
}

void add_rows(const Rows& rows) {
  constexpr std::pair<const char*, ops::Pooling> kModes[] = {
      {"mean", ops::Pooling::mean}, {"max", ops::Pooling::max}, {"weighted_mean", ops::Pooling::weighted_mean}};
  for_machines("pool", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const EncoderShape& s : kEncoders)
      for (const auto& [name, mode] : kModes)
        rows.add(prefix + s.name + "/" + name, is_best(isa) && mode == ops::Pooling::mean,
                 [=, mode = mode](benchmark::State& state) { run(state, isa, threads, mode, s); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
