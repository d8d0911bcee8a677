// A whole transformer layer, attention_half then mlp_half, of each encoder at batch 1, 2 and 8.
#include <map>

#include <tessera/ops/block.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

using Vector = std::vector<double>;

struct Weights {
  Data w, bias;
  Weights(index_t n, index_t k, std::uint64_t seed)
      : w(n, k, seed, 1 / std::sqrt(static_cast<float>(k))), bias(1, n, seed + 1) {}
  /// W x + bias for the outputs [begin, end).
  Vector operator()(const Vector& x, index_t begin, index_t end) const {
    Vector y;
    for (index_t n = begin; n < end; ++n) {
      double sum = static_cast<double>(bias(0, n));
      for (std::size_t i = 0; i < x.size(); ++i)
        sum += x[i] * static_cast<double>(w.data()[static_cast<std::size_t>(n) * x.size() + i]);
      y.push_back(sum);
    }
    return y;
  }
};

Vector norm(const Vector& x, const Data& gamma, const Data& beta, double eps) {
  const double count = static_cast<double>(x.size());
  double mean = 0, variance = 0;
  for (const double v : x) mean += v / count;
  for (const double v : x) variance += (v - mean) * (v - mean) / count;
  Vector y;
  for (std::size_t j = 0; j < x.size(); ++j) {
    const index_t at = static_cast<index_t>(j);
    y.push_back((x[j] - mean) / std::sqrt(variance + eps) * static_cast<double>(gamma(0, at)) +
                static_cast<double>(beta(0, at)));
  }
  return y;
}
Vector sum(Vector a, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

/// One layer of an encoder, and the last token of one input carried through it in double precision.
struct Layer {
  const EncoderShape& s;
  ops::BlockConfig config;
  Weights qkv, proj, fc1, fc2;
  Data gamma1, beta1, gamma2, beta2;

  explicit Layer(const EncoderShape& shape)
      : s(shape),
        qkv(3 * s.channels, s.channels, 10),
        proj(s.channels, s.channels, 20),
        fc1(s.mlp, s.channels, 30),
        fc2(s.channels, s.mlp, 40),
        gamma1(1, s.channels, 50),
        beta1(1, s.channels, 51),
        gamma2(1, s.channels, 52),
        beta2(1, s.channels, 53) {
    config.channels = s.channels, config.heads = config.kv_heads = s.heads, config.head_dim = s.head_dim;
    config.mlp_width = s.mlp, config.pre_norm = s.pre_norm, config.act = s.act, config.eps = 1e-6f;
  }

  ops::BlockWeights pack(Context& ctx) const {
    ops::BlockWeights w;
    const auto linear = [&](const Weights& from) {
      return ops::LinearWeights{ops::pack_weight(ctx, from.w.input()), from.bias.flat()};
    };
    w.attention_norm = {gamma1.flat(), beta1.flat()}, w.mlp_norm = {gamma2.flat(), beta2.flat()};
    w.qkv = linear(qkv), w.attention_out = linear(proj), w.mlp_in = linear(fc1), w.mlp_out = linear(fc2);
    return w;
  }

  Vector last_token(const Data& x) const {
    const double eps = static_cast<double>(config.eps);
    const index_t c = s.channels, d = s.head_dim;
    const auto row = [&](index_t t) {
      Vector v;
      for (index_t j = 0; j < c; ++j) v.push_back(static_cast<double>(x(t, j)));
      return v;
    };
    const auto input = [&](index_t t) { return s.pre_norm ? norm(row(t), gamma1, beta1, eps) : row(t); };
    std::vector<Vector> keys_values;
    for (index_t t = 0; t < s.tokens; ++t) keys_values.push_back(qkv(input(t), c, 3 * c));
    const Vector q = qkv(input(s.tokens - 1), 0, c);
    Vector context(static_cast<std::size_t>(c), 0.0);
    for (index_t h = 0; h < s.heads; ++h) {
      Vector e;
      double top = -1e300, total = 0;
      for (const Vector& kv : keys_values) {
        double score = 0;
        for (index_t j = h * d; j < (h + 1) * d; ++j)
          score += q[static_cast<std::size_t>(j)] * kv[static_cast<std::size_t>(j)];
        e.push_back(score / std::sqrt(static_cast<double>(d)));
        top = std::max(top, e.back());
      }
      for (double& v : e) v = std::exp(v - top), total += v;
      for (std::size_t t = 0; t < e.size(); ++t)
        for (index_t j = h * d; j < (h + 1) * d; ++j)
          context[static_cast<std::size_t>(j)] += e[t] / total * keys_values[t][static_cast<std::size_t>(c + j)];
    }
    Vector y = sum(row(s.tokens - 1), proj(context, 0, c));
    if (!s.pre_norm) y = norm(y, gamma1, beta1, eps);
    Vector hidden = fc1(s.pre_norm ? norm(y, gamma2, beta2, eps) : y, 0, s.mlp);
    for (double& v : hidden) v = reference(s.act, v);
    y = sum(y, fc2(hidden, 0, c));
    return s.pre_norm ? y : norm(y, gamma2, beta2, eps);
  }
};

void run(benchmark::State& state, Isa isa, int threads, const EncoderShape& s, index_t batch) {
  Context ctx(isa, threads);
  const Layer layer(s);
  const ops::BlockWeights w = layer.pack(ctx);
  const index_t tokens = batch * s.tokens;
  const Data input(tokens, s.channels, 60), x(tokens, s.channels, 60);
  std::vector<index_t> cu;
  for (index_t b = 0; b <= batch; ++b) cu.push_back(b * s.tokens);
  const RaggedBatch ragged{View<const index_t, 1>(cu.data(), cu.size()), {}, {}, {}};
  ctx.arena().reserve(ops::block_scratch(ctx, layer.config, tokens, s.tokens));
  const auto call = [&] {
    std::memcpy(x.data(), input.data(), static_cast<std::size_t>(x.view().size()) * sizeof(float));
    ops::attention_half(ctx, layer.config, w, ragged, x.view());
    ops::mlp_half(ctx, layer.config, w, ragged, x.view());
  };
  call();
  static std::map<std::string, Vector> wanted;  // of the first input: neither batch nor threads may matter
  Vector& want = wanted[s.name];
  if (want.empty()) want = layer.last_token(input);
  const index_t last = s.tokens - 1;
  if (!accept(state, near(
                         1, s.channels, 2e-5, [&](index_t, index_t j) { return x(last, j); },
                         [&](index_t, index_t j) { return want[static_cast<std::size_t>(j)]; })))
    return;
  const double linear = 2.0 * static_cast<double>(tokens * s.channels * (4 * s.channels + 2 * s.mlp));
  measure_flops(state, ctx, linear + 4.0 * static_cast<double>(tokens * s.tokens * s.channels), call);
}

void add_rows(const Rows& rows) {
  for_machines("block", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const EncoderShape& s : kEncoders)
      for (const index_t batch : {1, 2, 8})
        rows.add(prefix + s.name + "/b" + std::to_string(batch), is_best(isa),
                 [=, &s](benchmark::State& state) { run(state, isa, threads, s, batch); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
