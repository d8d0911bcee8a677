// Late interaction: queries of 32 tokens by documents of 180 tokens of 128 numbers, as ColBERT has them. Packing is not
// timed.
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>

#include "check.hpp"
#include "measure.hpp"

namespace tessera::bench {
namespace {

constexpr index_t kChannels = 128, kQueryTokens = 32, kDocumentTokens = 180;

std::vector<index_t> offsets(index_t count, index_t each) {
  std::vector<index_t> cu;
  for (index_t i = 0; i <= count; ++i) cu.push_back(i * each);
  return cu;
}

void run(benchmark::State& state, Isa isa, int threads, index_t queries, index_t documents, DType type) {
  Context ctx(isa, threads);
  const Data q(queries * kQueryTokens, kChannels, 1, 0.15f), d(documents * kDocumentTokens, kChannels, 2, 0.15f),
      scores(queries, documents, 3);
  const std::vector<index_t> cu_q = offsets(queries, kQueryTokens), cu_d = offsets(documents, kDocumentTokens);
  const auto view = [](const std::vector<index_t>& cu) {
    return View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
  };
  WeightView w = d.input();
  w.packed = type;
  const PackedWeight packed = ops::pack_weight(ctx, w);
  const auto call = [&] { ops::maxsim(ctx, q.input(), view(cu_q), packed, view(cu_d), scores.view()); };
  call();
  const auto want = [&](index_t b, index_t n) {
    double sum = 0;
    for (index_t t = b * kQueryTokens; t < (b + 1) * kQueryTokens; ++t) {
      double most = -1e30;
      for (index_t j = n * kDocumentTokens; j < (n + 1) * kDocumentTokens; ++j)
        most = std::max(most, dot(&q(t, 0), &d(j, 0), kChannels));
      sum += most;
    }
    return sum;
  };
  const double bound = type == DType::f32 ? 1e-5 : type == DType::bf16 ? 1e-2 : 3e-2;
  if (!accept(state, near(queries, documents, bound, scores, want))) return;
  measure_flops(state, ctx, 2.0 * static_cast<double>(q.rows() * d.rows() * kChannels), call, type);
  state.counters["GB/s"] = static_cast<double>(packed.bytes()) / (state.counters["best_us"] * 1e-6) * 1e-9;
}

void add_rows(const Rows& rows) {
  for_packed_types("maxsim", [&](DType type, Isa isa, int threads, const std::string& prefix) {
    for (const index_t queries : {1, 8})
      for (const index_t documents : {50, 5000})
        rows.add(prefix + std::to_string(queries) + "x" + std::to_string(documents), is_best(isa) && queries == 1,
                 [=](benchmark::State& state) { run(state, isa, threads, queries, documents, type); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
