// Element-wise functions on their own, in place of the epilogue, over the hidden layer of one input.
#include <tessera/ops/activation.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

void run(benchmark::State& state, Isa isa, int threads, Activation act, index_t t, index_t f) {
  Context ctx(isa, threads);
  const Data x(t, f, 1, 6.f), out(t, f, 2);
  const auto call = [&] { ops::activation(ctx, act, x.input(), out.view()); };
  call();
  const auto want = [&](index_t i, index_t j) { return reference(act, static_cast<double>(x(i, j))); };
  if (!accept(state, near(t, f, 2e-6, out, want))) return;
  measure_bytes(state, ctx, 2.0 * sizeof(float) * static_cast<double>(t * f), call);
}

void add_rows(const Rows& rows) {
  constexpr std::pair<const char*, Activation> kNames[] = {
      {"gelu_erf", Activation::gelu_erf}, {"gelu_tanh", Activation::gelu_tanh}, {"quick_gelu", Activation::quick_gelu},
      {"silu", Activation::silu},         {"relu", Activation::relu},           {"tanh", Activation::tanh}};
  for (const auto& [name, act] : kNames)
    for_machines(name, "f32", [&, act = act](Isa isa, int threads, const std::string& prefix) {
      for (const EncoderShape& s : kEncoders)
        rows.add(prefix + s.name, is_best(isa) && s.tokens == 197,
                 [=](benchmark::State& state) { run(state, isa, threads, act, s.tokens, s.mlp); });
    });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
