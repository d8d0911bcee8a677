// Rotary positions of queries and keys, in place in a fused projection, for one input and a batch of 32.
#include <tessera/ops/rotary.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

void run(benchmark::State& state, Isa isa, int threads, ops::RotaryPairs pairs, index_t batch, const EncoderShape& s) {
  Context ctx(isa, threads);
  const index_t t = batch * s.tokens, d = s.channels / s.heads, half = d / 2, heads = 2 * s.heads;
  const Data before(t, 3 * s.channels, 1), qkv(t, 3 * s.channels, 1), angles(s.tokens, 1, 2), frequencies(1, half, 3),
      cos(s.tokens, half, 4), sin(s.tokens, half, 5);
  ops::rotary_frequencies(10000, View<float, 1>(frequencies.data(), half));
  ops::rotary_tables(angles.input(), {}, frequencies.flat(), cos.view(), sin.view());
  std::vector<std::int32_t> places;
  for (index_t i = 0; i < t; ++i) places.push_back(static_cast<std::int32_t>(i % s.tokens));
  View<float, 3> x(qkv.data(), t, heads, d);
  x.stride[0] = 3 * s.channels;
  const auto call = [&] {
    ops::rotary(ctx, x, {cos.input(), sin.input(), pairs}, View<const std::int32_t, 1>(places.data(), t));
  };
  call();
  const auto want = [&](index_t i, index_t j) {
    const double v = static_cast<double>(before(i, j));
    if (j >= 2 * s.channels) return v;
    const index_t at = j % d, place = i % s.tokens;
    const bool halves = pairs == ops::RotaryPairs::halves, first = halves ? at < half : at % 2 == 0;
    const index_t pair = halves ? at % half : at / 2, other = halves ? (first ? j + half : j - half) : j ^ 1;
    const double turned = static_cast<double>(before(i, other)) * static_cast<double>(sin(place, pair));
    return v * static_cast<double>(cos(place, pair)) + (first ? -turned : turned);
  };
  if (!accept(state, near(t, 3 * s.channels, 1e-6, qkv, want))) return;
  measure_bytes(state, ctx, 4.0 * sizeof(float) * static_cast<double>(t * s.channels), call);  // read and written
}

void add_rows(const Rows& rows) {
  constexpr std::pair<const char*, ops::RotaryPairs> kPairs[] = {{"rotary_halves", ops::RotaryPairs::halves},
                                                                 {"rotary_adjacent", ops::RotaryPairs::adjacent}};
  for (const auto& [name, pairs] : kPairs)
    for_machines(name, "f32", [&, pairs = pairs](Isa isa, int threads, const std::string& prefix) {
      for (const EncoderShape& s : kEncoders)
        for (const index_t batch : {1, 32})
          rows.add(prefix + s.name + "/b" + std::to_string(batch), is_best(isa) && pairs == ops::RotaryPairs::halves,
                   [=](benchmark::State& state) { run(state, isa, threads, pairs, batch, s); });
    });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
