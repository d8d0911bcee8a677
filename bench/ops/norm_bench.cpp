// Row normalisations over one input and a batch of 32.
#include <tessera/ops/norm.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

enum class Norm { layer, rms, l2 };

struct Moments {
  double mean = 0, variance = 0, squares = 0;
  Moments(const float* x, index_t c) {
    for (index_t j = 0; j < c; ++j) mean += static_cast<double>(x[j]) / static_cast<double>(c);
    for (index_t j = 0; j < c; ++j) {
      const double v = static_cast<double>(x[j]);
      variance += (v - mean) * (v - mean) / static_cast<double>(c), squares += v * v;
    }
  }
};

void run(benchmark::State& state, Isa isa, int threads, Norm norm, index_t t, index_t c) {
  Context ctx(isa, threads);
  const Data x(t, c, 1), gamma(1, c, 2), beta(1, c, 3), out(t, c, 4);
  constexpr float kEps = 1e-6f;
  const auto call = [&] {
    if (norm == Norm::layer) ops::layer_norm(ctx, x.input(), gamma.flat(), beta.flat(), kEps, out.view());
    if (norm == Norm::rms) ops::rms_norm(ctx, x.input(), gamma.flat(), kEps, out.view());
    if (norm == Norm::l2) ops::l2_normalize(ctx, x.input(), out.view());
  };
  call();
  const auto want = [&](index_t i, index_t j) {
    const Moments m(&x(i, 0), c);
    const double v = static_cast<double>(x(i, j)), g = static_cast<double>(gamma(0, j)), eps = static_cast<double>(kEps);
    if (norm == Norm::l2) return v / std::sqrt(m.squares);
    if (norm == Norm::rms) return g * v / std::sqrt(m.squares / static_cast<double>(c) + eps);
    return g * (v - m.mean) / std::sqrt(m.variance + eps) + static_cast<double>(beta(0, j));
  };
  if (!accept(state, near(t, c, 1e-5, out, want))) return;
  measure_bytes(state, ctx, 2.0 * sizeof(float) * static_cast<double>(t * c), call);
}

void add_rows(const Rows& rows) {
  constexpr std::pair<const char*, Norm> kNorms[] = {
      {"layer_norm", Norm::layer}, {"rms_norm", Norm::rms}, {"l2_normalize", Norm::l2}};
  for (const auto& [name, norm] : kNorms)
    for_machines(name, "f32", [&, norm = norm](Isa isa, int threads, const std::string& prefix) {
      for (const EncoderShape& s : kEncoders)
        for (const index_t batch : {1, 32})
          rows.add(prefix + s.name + "/b" + std::to_string(batch), is_best(isa) && norm == Norm::layer,
                   [=](benchmark::State& state) { run(state, isa, threads, norm, batch * s.tokens, s.channels); });
    });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
