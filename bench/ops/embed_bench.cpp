// Token embeddings: rows gathered from a table of BERT's size and added to positions and segments.
#include <tessera/ops/embed.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

void run(benchmark::State& state, Isa isa, int threads, index_t batch, const EncoderShape& s) {
  constexpr index_t kVocabulary = 30522;
  Context ctx(isa, threads);
  const index_t t = batch * s.tokens, c = s.channels;
  const Data word(kVocabulary, c, 1), position(512, c, 2), segment(2, c, 3), out(t, c, 4);
  std::vector<std::int32_t> ids, positions, segments;
  for (index_t i = 0; i < t; ++i) {
    ids.push_back(static_cast<std::int32_t>(i * 7919 % kVocabulary));
    positions.push_back(static_cast<std::int32_t>(i % s.tokens));
    segments.push_back(static_cast<std::int32_t>(i % 2));
  }
  const auto indices = [&](const std::vector<std::int32_t>& v) { return View<const std::int32_t, 1>(v.data(), v.size()); };
  const ops::EmbeddingTables tables{word.input(), position.input(), segment.input()};
  const auto call = [&] { ops::embed(ctx, tables, indices(ids), indices(positions), indices(segments), out.view()); };
  call();
  const auto want = [&](index_t i, index_t j) {
    const auto at = static_cast<std::size_t>(i);
    return static_cast<double>(word(ids[at], j)) + static_cast<double>(position(positions[at], j)) +
           static_cast<double>(segment(segments[at], j));
  };
  if (!accept(state, near(t, c, 1e-6, out, want))) return;
  measure_bytes(state, ctx, 2.0 * sizeof(float) * static_cast<double>(t * c), call);  // word rows in, sums out
}

void add_rows(const Rows& rows) {
  for_machines("embed", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const EncoderShape& s : {kEncoders[0], kEncoders[1]})
      for (const index_t batch : {1, 32})
        rows.add(prefix + s.name + "/b" + std::to_string(batch), is_best(isa),
                 [=](benchmark::State& state) { run(state, isa, threads, batch, s); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
