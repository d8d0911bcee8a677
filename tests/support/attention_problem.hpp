// Problems that tests of attention solve: shapes, options, and what the reference makes of them.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include <tessera/ops/attention.hpp>
#include "reference/attention.hpp"
#include "reference/bf16.hpp"
#include "support/jobs.hpp"
#include "support/random.hpp"
#include "support/tolerance.hpp"

namespace tessera::test {

inline constexpr DType kTypes[] = {DType::f32, DType::bf16};

struct Shape {
  std::vector<index_t> cu_q, cu_k;
  index_t heads, kv_heads, d, dv;
};

struct Problem {
  Shape s;
  Matrix q, k, v;
  Problem(const Shape& shape, std::uint64_t seed)
      : s(shape),
        q(filled(s.cu_q.back(), s.heads * s.d, {.seed = seed, .scale = 2.f, .pad = 3})),
        k(filled(s.cu_k.back(), s.kv_heads * s.d, {.seed = seed + 1, .scale = 2.f, .pad = 5})),
        v(filled(s.cu_k.back(), s.kv_heads * s.dv, {.seed = seed + 2, .pad = 7})) {}
  Matrix run(Context& ctx, const ops::AttentionParams& p = {}) const {
    Matrix out = poisoned(s.cu_q.back(), s.heads * s.dv, 2);
    ops::attention(ctx, q.heads(s.heads), k.heads(s.kv_heads), v.heads(s.kv_heads), offsets(s.cu_q), offsets(s.cu_k), p,
                   out.heads_out(s.heads));
    return out;
  }
  /// In bf16 of inputs that are rounded; that the exponentials are too, the tolerance knows.
  ref::Result expected(const ops::AttentionParams& p = {}, ref::Result* probabilities = nullptr) const {
    std::vector<float> weights;
    for (index_t i = 0; i < p.key_weights.extent[0]; ++i) weights.push_back(p.key_weights(i));
    std::vector<std::int32_t> places;
    for (index_t i = 0; i < p.places.extent[0]; ++i) places.push_back(p.places(i));
    Problem of = *this;
    for (Matrix* m : {&of.q, &of.k, &of.v})
      for (float& x : m->memory) x = p.compute == DType::bf16 ? ref::rounded(x) : x;
    std::vector<float> tables[2];
    const auto table = [&](View<const float, 3> t, std::vector<float>& into) {
      for (index_t r = 0; t.data && r < t.extent[0]; ++r)
        for (index_t h = 0; h < s.heads; ++h)
          for (index_t c = 0; c < s.d; ++c) into.push_back(p.compute == DType::bf16 ? ref::rounded(t(r, h, c)) : t(r, h, c));
      return t.data ? View<const float, 3>(into.data(), t.extent[0], s.heads, s.d) : t;
    };
    return ref::attention({of.q.heads(s.heads), of.k.heads(s.kv_heads), of.v.heads(s.kv_heads), s.cu_q, s.cu_k, p.scale,
                           p.causal, p.window_left, p.window_right, weights, p.distance_bias, p.softcap, places,
                           table(p.position_keys, tables[0]), table(p.position_queries, tables[1]), p.position_row_of},
                          probabilities);
  }
  /// The largest distance without places.
  index_t farthest() const {
    index_t most = 1;
    for (std::size_t b = 1; b < s.cu_q.size(); ++b)
      most = std::max({most, s.cu_q[b] - s.cu_q[b - 1], s.cu_k[b] - s.cu_k[b - 1]});
    return most - 1;
  }
  index_t most_keys() const {
    index_t most = 0;
    for (std::size_t b = 1; b < s.cu_k.size(); ++b) most = std::max(most, s.cu_k[b] - s.cu_k[b - 1]);
    return most;
  }
};

/// Counts of tokens: 1, 2, ... in no order.
inline std::vector<float> counts(index_t n) {
  std::vector<float> w;
  for (index_t i = 0; i < n; ++i) w.push_back(static_cast<float>(1 + i * 7 % 12));
  return w;
}
inline View<const float, 1> weights_view(const std::vector<float>& w) {
  return View<const float, 1>(w.data(), static_cast<index_t>(w.size()));
}

// Lengths around 16 keys and 6 rows, empty sequences, grouped heads, Dv != D, queries fewer and more than keys.
inline std::vector<Shape> shapes() {
  return {{{0, 1}, {0, 1}, 1, 1, 1, 1},
          {{0, 1, 16, 33}, {0, 1, 16, 33}, 2, 2, 16, 16},
          {{0, 17, 17, 80}, {0, 17, 17, 80}, 3, 1, 15, 15},
          {{0, 63, 128}, {0, 63, 128}, 2, 1, 17, 33},
          {{0, 3, 20}, {0, 65, 129}, 4, 2, 32, 8},
          {{0, 20, 31}, {0, 7, 18}, 2, 2, 24, 70},
          {{0, 5, 9, 13}, {0, 0, 31, 64}, 1, 1, 64, 64},
          {{0, 150}, {0, 150}, 1, 1, 8, 8}};
}
inline const char* name(const ops::AttentionParams& p) {
  return p.compute == DType::bf16 ? "attention of bf16" : "attention";
}
inline std::vector<ops::AttentionParams> params() {
  std::vector<ops::AttentionParams> all;
  for (const DType type : kTypes)
    for (ops::AttentionParams p : std::vector<ops::AttentionParams>{
             {},
             {.scale = 0.3f},
             {.causal = true},
             {.window_left = 0, .window_right = 0},
             {.window_left = 5, .window_right = 2},
             {.window_left = 20},
             {.window_right = 17},
             {.causal = true, .window_left = 9},
             {.causal = true, .window_right = 4},
             {.scale = 2.f, .causal = true, .softcap = 0.75f},
             {.window_left = 7, .softcap = 30.f},
             {.window_left = std::numeric_limits<index_t>::max(), .window_right = std::numeric_limits<index_t>::max()}}) {
      p.compute = type;
      all.push_back(p);
    }
  return all;
}

}  // namespace tessera::test
