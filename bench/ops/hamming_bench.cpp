// The ten nearest of a collection of bits for batches of queries. Packing is not timed.
#include <tessera/ops/hamming.hpp>

#include "check.hpp"
#include "measure.hpp"

namespace tessera::bench {
namespace {

constexpr index_t kBest = 10;

index_t distance(const std::uint8_t* a, const std::uint8_t* b, index_t bytes) {
  index_t differ = 0;
  for (index_t i = 0; i < bytes; ++i) differ += __builtin_popcount(static_cast<unsigned>(a[i] ^ b[i]));
  return differ;
}

/// Whether the distances of some queries are the smallest ones, and those of the rows that are named.
bool right(View<const std::uint8_t, 2> queries, View<const std::uint8_t, 2> rows, const ops::TopK& out) {
  const index_t batch = queries.extent[0], bytes = queries.extent[1];
  std::vector<index_t> all(static_cast<std::size_t>(rows.extent[0]));
  for (index_t b = 0; b < batch; b += std::max<index_t>(1, batch / 3)) {
    for (index_t r = 0; r < rows.extent[0]; ++r)
      all[static_cast<std::size_t>(r)] = distance(&queries(b, 0), &rows(r, 0), bytes);
    std::vector<index_t> best = all;
    std::partial_sort(best.begin(), best.begin() + kBest, best.end());
    for (index_t i = 0; i < kBest; ++i) {
      const index_t d = best[static_cast<std::size_t>(i)];
      if (static_cast<index_t>(-out.scores(b, i)) != d || all[static_cast<std::size_t>(out.ids(b, i))] != d) return false;
    }
  }
  return true;
}

void run(benchmark::State& state, Isa isa, int threads, index_t batch, index_t n, index_t e) {
  Context ctx(isa, threads);
  const index_t bytes = ops::bit_bytes(e);
  const Data queries(batch, e, 1), rows(n, e, 2), scores(batch, kBest, 3);
  std::vector<std::uint8_t> q(static_cast<std::size_t>(batch * bytes)), r(static_cast<std::size_t>(n * bytes));
  const View<std::uint8_t, 2> query_bits(q.data(), batch, bytes), row_bits(r.data(), n, bytes);
  ops::pack_bits(ctx, queries.input(), query_bits), ops::pack_bits(ctx, rows.input(), row_bits);
  const ops::BitRows packed = ops::BitRows::pack(ctx, row_bits, e);
  std::vector<index_t> ids(static_cast<std::size_t>(batch * kBest)), counts(static_cast<std::size_t>(batch));
  const ops::TopK out{scores.view(), View<index_t, 2>(ids.data(), batch, kBest), View<index_t, 1>(counts.data(), batch)};
  const auto call = [&] { ops::hamming_top_k(ctx, query_bits, packed, {}, out); };
  call();
  if (!accept(state, right(query_bits, row_bits, out))) return;
  measure_bytes(state, ctx, static_cast<double>(packed.panels.bytes()), call);
}

void add_rows(const Rows& rows) {
  for (const Isa isa : test::isas_of<kernels::HammingTable>())
    for (const int threads : {1, 2})
      for (const index_t e : {384, 1024})
        for (const index_t batch : {1, 8, 64, 1024})
          rows.add(std::string("hamming_top_k/bits/") + isa_name(isa) + "/t" + std::to_string(threads) + "/" +
                       std::to_string(batch) + "x100000x" + std::to_string(e),
                   is_best(isa) && e == 384 && batch < 1024,
                   [=](benchmark::State& state) { run(state, isa, threads, batch, 100000, e); });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
