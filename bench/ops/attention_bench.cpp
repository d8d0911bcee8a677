// Attention over a fused QKV buffer: one input, a batch of 8, a causal one, and texts of mixed lengths.
#include <tessera/ops/attention.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

struct Case {
  index_t heads, d;
  std::vector<index_t> lengths;
  bool causal = false;
};

void run(benchmark::State& state, Isa isa, int threads, const Case& c, DType type) {
  Context ctx(isa, threads);
  const index_t width = c.heads * c.d;
  std::vector<index_t> cu{0};
  double pairs = 0;  // of a query and a key that it sees
  for (const index_t t : c.lengths) {
    cu.push_back(cu.back() + t);
    pairs += c.causal ? static_cast<double>(t * (t + 1) / 2) : static_cast<double>(t * t);
  }
  const index_t tokens = cu.back();
  const Data qkv(tokens, 3 * width, 1, 2.f), out(tokens, width, 2);
  const auto heads_of = [&](index_t part) {
    View<const float, 3> v(qkv.data() + part * width, tokens, c.heads, c.d);
    v.stride[0] = 3 * width;
    return v;
  };
  const View<const index_t, 1> offsets(cu.data(), cu.size());
  const View<float, 3> result(out.data(), tokens, c.heads, c.d);
  const ops::AttentionParams params{.causal = c.causal, .compute = type};
  const auto call = [&] { ops::attention(ctx, heads_of(0), heads_of(1), heads_of(2), offsets, offsets, params, result); };
  call();
  const auto want = [&](index_t i, index_t j) {
    const std::size_t b = static_cast<std::size_t>(std::upper_bound(cu.begin(), cu.end(), i) - cu.begin() - 1);
    const index_t h = j / c.d, end = c.causal ? i + 1 : cu[b + 1];
    double sum = 0, value = 0, top = -1e300;
    std::vector<double> score;
    for (index_t s = cu[b]; s < end; ++s) {
      score.push_back(dot(&qkv(i, h * c.d), &qkv(s, width + h * c.d), c.d) / std::sqrt(static_cast<double>(c.d)));
      top = std::max(top, score.back());
    }
    for (index_t s = cu[b]; s < end; ++s) {
      const double e = std::exp(score[static_cast<std::size_t>(s - cu[b])] - top);
      sum += e, value += e * static_cast<double>(qkv(s, 2 * width + j));
    }
    return value / sum;
  };
  if (!accept(state, near(tokens, width, type == DType::bf16 ? 2e-2 : 1e-5, out, want))) return;
  measure_flops(state, ctx, 4.0 * pairs * static_cast<double>(width), call, type);
}

void add_rows_of(const Rows& rows, const char* dtype, DType type) {
  for_machines("attention", dtype, [&](Isa isa, int threads, const std::string& prefix) {
    const auto add = [&](const EncoderShape& s, const char* what, std::vector<index_t> lengths, bool causal) {
      const Case c{s.heads, s.head_dim, std::move(lengths), causal};
      rows.add(prefix + s.name + "/" + what, is_best(isa),
               [=](benchmark::State& state) { run(state, isa, threads, c, type); });
    };
    for (const EncoderShape& s : kEncoders) {
      add(s, "b1", {s.tokens}, false);
      add(s, "b8", std::vector<index_t>(8, s.tokens), false);
    }
    for (const EncoderShape& s : {kEncoders[0], kEncoders[1]}) {
      add(s, "t512", {512}, false);
      add(s, "t16x32", std::vector<index_t>(32, 16), false);
      add(s, "mixed", {5, 9, 12, 14, 17, 23, 31, 45, 70, 128, 256, 512}, false);
      add(s, "t512_causal", {512}, true);
    }
  });
}
void add_rows(const Rows& rows) {
  add_rows_of(rows, "f32", DType::f32);
  add_rows_of(rows, "bf16", DType::bf16);
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
