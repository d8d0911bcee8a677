// Prints one line an operation: its name and size, and a digest of its result's bytes. Every build of this program, by any
// compiler at any optimisation level, on any instruction set with any number of threads, must print the same lines:
// tests/bits/compare.sh builds it in many ways and compares. Headers only, and nothing but the standard library.
//
//   dump [THREADS]      TESSERA_ISA chooses the instruction set
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <tessera/models/transformer.hpp>
#include <tessera/ops.hpp>

namespace {

using tessera::Context;
using tessera::index_t;
using tessera::View;

// Integers only, and one exact division by a power of two: the inputs have the same bits everywhere.
std::uint64_t g_state = 0;
std::uint64_t next() {
  g_state += 0x9e3779b97f4a7c15u;
  std::uint64_t z = g_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
index_t size(index_t least, index_t most) {
  return least + static_cast<index_t>(next() % static_cast<std::uint64_t>(most - least + 1));
}

// Numbers in [-1, 1); `odd` puts zeros of both signs, denormals, infinities and NaN-free extremes into the first row.
std::vector<float> numbers(index_t rows, index_t columns, bool odd = false) {
  std::vector<float> v(static_cast<std::size_t>(rows * columns));
  for (float& x : v)
    x = static_cast<float>(static_cast<std::int64_t>(next() >> 40) - (1 << 23)) / static_cast<float>(1 << 23);
  const float special[] = {0.f, -0.f, 1e-40f, -3e-45f, 3e38f, std::numeric_limits<float>::infinity()};
  for (index_t i = 0; odd && i < columns; i += 2) v[static_cast<std::size_t>(i)] = special[next() % 6];
  return v;
}

void print(const char* name, const std::string& sizes, const std::vector<float>& out) {
  std::uint64_t digest = 0xcbf29ce484222325u;
  for (const float x : out) {
    // Which NaN it is may differ, that it is one may not.
    const std::uint32_t bits = x == x ? __builtin_bit_cast(std::uint32_t, x) : 0x7fc00000u;
    digest = (digest ^ bits) * 0x100000001b3u;
    digest ^= digest >> 29;
  }
  std::printf("%s %s %016llx\n", name, sizes.c_str(), static_cast<unsigned long long>(digest));
}

View<const float, 2> view(const std::vector<float>& v, index_t rows, index_t columns) {
  return View<const float, 2>(v.data(), rows, columns);
}
View<float, 2> view(std::vector<float>& v, index_t rows, index_t columns) { return View<float, 2>(v.data(), rows, columns); }
View<const float, 1> row(const std::vector<float>& v) {
  return View<const float, 1>(v.data(), static_cast<index_t>(v.size()));
}
std::string x(index_t a, index_t b) { return std::to_string(a) + "x" + std::to_string(b); }

void gemm(Context& ctx) {
  const tessera::Activation acts[] = {tessera::Activation::identity, tessera::Activation::gelu_erf,
                                      tessera::Activation::gelu_tanh, tessera::Activation::quick_gelu,
                                      tessera::Activation::silu};
  for (int i = 0; i < 15; ++i) {
    const index_t t = size(1, 40), k = size(1, 150), n = size(1, 150);
    const bool glu = i % 3 == 2;
    const auto a = numbers(t, k, i % 4 == 3), w = numbers(n, k), w2 = numbers(n, k), bias = numbers(1, glu ? 2 * n : n);
    const auto scale = numbers(1, n), residual = numbers(t, n);
    std::vector<float> out(static_cast<std::size_t>(t * n));
    tessera::ops::Epilogue e;
    e.act = acts[i % 5];
    e.glu = glu;
    if (i % 2) e.bias = row(bias);
    if (i % 2 == 1) e.channel_scale = row(scale);
    if (i % 4 > 1) e.residual = view(residual, t, n);
    const auto packed = glu ? tessera::ops::pack_weight_glu(ctx, view(w, n, k), view(w2, n, k))
                            : tessera::ops::pack_weight(ctx, view(w, n, k));
    tessera::ops::linear(ctx, view(a, t, k), packed, e, view(out, t, n));
    print("linear", x(t, k) + "x" + std::to_string(n), out);
  }
}

void rows(Context& ctx) {
  for (int i = 0; i < 8; ++i) {
    const index_t t = size(1, 12), c = size(1, 200);
    const auto in = numbers(t, c, i % 2 == 1), gamma = numbers(1, c), beta = numbers(1, c);
    std::vector<float> out(in.size());
    tessera::ops::layer_norm(ctx, view(in, t, c), row(gamma), row(beta), 1e-6f, view(out, t, c));
    print("layer_norm", x(t, c), out);
    tessera::ops::rms_norm(ctx, view(in, t, c), row(gamma), 1e-6f, view(out, t, c));
    print("rms_norm", x(t, c), out);
    tessera::ops::l2_normalize(ctx, view(in, t, c), view(out, t, c));
    print("l2_normalize", x(t, c), out);
    for (const auto act : {tessera::Activation::gelu_erf, tessera::Activation::gelu_tanh, tessera::Activation::quick_gelu,
                           tessera::Activation::silu}) {
      tessera::ops::activation(ctx, act, view(in, t, c), view(out, t, c));
      print("activation", std::to_string(static_cast<int>(act)) + " " + x(t, c), out);
    }
    std::vector<float> dots(static_cast<std::size_t>(t * t));
    tessera::ops::similarity(ctx, view(in, t, c), view(in, t, c), view(dots, t, t));
    print("similarity", x(t, c), dots);
    const index_t cu[] = {0, t / 2, t};
    std::vector<float> pooled(static_cast<std::size_t>(2 * c));
    for (const auto mode : {tessera::ops::Pooling::cls, tessera::ops::Pooling::mean, tessera::ops::Pooling::max,
                            tessera::ops::Pooling::weighted_mean, tessera::ops::Pooling::last}) {
      tessera::ops::pool(ctx, mode, view(in, t, c), View<const index_t, 1>(cu, 3), {}, view(pooled, 2, c));
      print("pool", std::to_string(static_cast<int>(mode)) + " " + x(t, c), pooled);
    }
  }
}

void attention(Context& ctx) {
  for (int i = 0; i < 8; ++i) {
    const index_t kv = size(1, 2), heads = kv * size(1, 3), d = size(1, 48);
    const index_t cu[] = {0, size(1, 9), 30, 30 + size(0, 40)}, tokens = cu[3];
    const auto q = numbers(tokens, heads * d, i % 4 == 3), k = numbers(tokens, kv * d), v = numbers(tokens, kv * d);
    std::vector<float> out(q.size());
    const View<const index_t, 1> offsets(cu, 4);
    ctx.arena().reserve(tessera::ops::attention_scratch(ctx, tokens, d, d));
    tessera::ops::attention(ctx, View<const float, 3>(q.data(), tokens, heads, d),
                            View<const float, 3>(k.data(), tokens, kv, d), View<const float, 3>(v.data(), tokens, kv, d),
                            offsets, offsets, {}, View<float, 3>(out.data(), tokens, heads, d));
    print("attention", x(heads, d) + " of " + std::to_string(tokens), out);
  }
}

void encoder(Context& ctx) {
  constexpr index_t kC = 40, kF = 72, kV = 50, kT = 64;
  for (const bool pre_norm : {false, true}) {
    tessera::models::TransformerConfig config;
    config.block.channels = kC;
    config.block.heads = config.block.kv_heads = 5;
    config.block.head_dim = 8;
    config.block.mlp_width = kF;
    config.block.pre_norm = pre_norm;
    config.layers = 2;
    config.vocab_size = kV;
    config.max_positions = kT;
    config.segment_types = 2;
    config.embedding_norm = !pre_norm;
    config.final_norm = pre_norm;
    std::vector<std::vector<float>> kept;
    const auto matrix = [&](index_t n, index_t k) {
      kept.push_back(numbers(n, k));
      for (float& value : kept.back()) value *= 0.25f;
      return view(std::as_const(kept.back()), n, k);
    };
    const auto vector = [&](index_t n) {
      kept.push_back(numbers(1, n));
      return row(kept.back());
    };
    kept.reserve(64);
    tessera::models::TransformerTensors tensors;
    tensors.tables = {matrix(kV, kC), matrix(kT, kC), matrix(2, kC)};
    tensors.embedding_norm = tensors.final_norm = vector(kC);
    tensors.embedding_norm_bias = tensors.final_norm_bias = vector(kC);
    tensors.layer = [&](index_t) {
      tessera::models::LayerTensors t;
      t.q = matrix(kC, kC), t.k = matrix(kC, kC), t.v = matrix(kC, kC), t.attention_out = matrix(kC, kC);
      t.mlp_in = matrix(kF, kC), t.mlp_out = matrix(kC, kF);
      t.q_bias = vector(kC), t.k_bias = vector(kC), t.v_bias = vector(kC), t.attention_out_bias = vector(kC);
      t.mlp_in_bias = vector(kF), t.mlp_out_bias = vector(kC);
      t.attention_norm = vector(kC), t.attention_norm_bias = vector(kC), t.mlp_norm = vector(kC),
      t.mlp_norm_bias = vector(kC);
      return t;
    };
    const tessera::models::Transformer model(ctx, config, tensors);
    const index_t cu[] = {0, 1, 8, 30, 63}, tokens = 63;
    std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
    for (auto& id : ids) id = static_cast<std::int32_t>(next() % kV);
    std::vector<float> out(static_cast<std::size_t>(tokens * kC));
    model.forward(ctx, {View<const std::int32_t, 1>(ids.data(), tokens), {.cu_seqlens = View<const index_t, 1>(cu, 5)}},
                  view(out, tokens, kC));
    print(pre_norm ? "encoder/pre" : "encoder/post", x(tokens, kC), out);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Context ctx(argc > 1 ? std::atoi(argv[1]) : 1);
  gemm(ctx);
  rows(ctx);
  attention(ctx);
  encoder(ctx);
}
