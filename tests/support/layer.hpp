// Random layers and stacks: every parameter drawn, so that a swapped or missing one shows.
#pragma once
#include <deque>
#include <utility>
#include <vector>

#include <tessera/models/transformer.hpp>
#include "reference/transformer.hpp"
#include "support/random.hpp"

namespace tessera::test {

/// Which optional parameters a layer has.
struct LayerParts {
  bool biases = true, scales = false;
  bool head_norms = false, post_norms = false;  ///< of stacks of RMSNorm
  bool row_norms = false;
};

/// Owns the tensors of one layer. Weights are O(1 / sqrt(fan in)); norms lie around 1, all else around 0.
class LayerData {
 public:
  LayerData(const ops::BlockConfig& c, LayerParts parts, std::uint64_t seed) : config_(c), seed_(seed * 64) {
    const index_t nq = c.heads * c.head_dim, nkv = c.kv_heads * c.head_dim;
    auto& t = tensors_;
    t.q = matrix(nq, c.channels), t.k = matrix(nkv, c.channels), t.v = matrix(nkv, c.channels);
    t.attention_out = matrix(c.channels, nq);
    t.mlp_in = matrix(c.mlp_width, c.channels), t.mlp_out = matrix(c.channels, c.mlp_width);
    if (c.glu) t.mlp_gate = matrix(c.mlp_width, c.channels);
    t.attention_norm = vector(c.channels, 1.f), t.mlp_norm = vector(c.channels, 1.f);
    if (c.norm == ops::NormKind::layer_norm)
      t.attention_norm_bias = vector(c.channels), t.mlp_norm_bias = vector(c.channels);
    if (parts.biases) {
      t.q_bias = vector(nq), t.k_bias = vector(nkv), t.v_bias = vector(nkv), t.attention_out_bias = vector(c.channels);
      t.mlp_in_bias = vector(c.mlp_width), t.mlp_out_bias = vector(c.channels);
      if (c.glu) t.mlp_gate_bias = vector(c.mlp_width);
    }
    if (parts.scales) t.attention_scale = vector(c.channels, 0.5f), t.mlp_scale = vector(c.channels, 0.5f);
    if (parts.head_norms) t.q_norm = vector(c.head_dim, 1.f), t.k_norm = vector(c.head_dim, 1.f);
    if (parts.row_norms) {
      t.q_row_norm = vector(nq, 1.f), t.q_row_norm_bias = vector(nq);
      t.k_row_norm = vector(nkv, 1.f), t.k_row_norm_bias = vector(nkv);
    }
    if (c.outer_norm) t.attention_outer_norm = vector(c.channels, 1.f), t.attention_outer_norm_bias = vector(c.channels);
    if (parts.post_norms) t.attention_post_norm = vector(c.channels, 1.f), t.mlp_post_norm = vector(c.channels, 1.f);
  }
  LayerData(LayerData&&) = default;

  const models::LayerTensors& tensors() const { return tensors_; }

  /// Packed for the blocks. What it borrows lies here.
  ops::BlockWeights weights(Context& ctx) {
    const auto& t = tensors_;
    ops::BlockWeights w;
    const WeightView qkv[] = {t.q, t.k, t.v};
    w.qkv = {ops::pack_weight(ctx, qkv, 3), joined({t.q_bias, t.k_bias, t.v_bias})};
    w.attention_out = {ops::pack_weight(ctx, t.attention_out), t.attention_out_bias};
    w.mlp_in = config_.glu ? ops::LinearWeights{ops::pack_weight_glu(ctx, t.mlp_gate, t.mlp_in),
                                                joined({t.mlp_gate_bias, t.mlp_in_bias})}
                           : ops::LinearWeights{ops::pack_weight(ctx, t.mlp_in), t.mlp_in_bias};
    w.mlp_out = {ops::pack_weight(ctx, t.mlp_out), t.mlp_out_bias};
    w.attention_norm = {t.attention_norm, t.attention_norm_bias};
    w.mlp_norm = {t.mlp_norm, t.mlp_norm_bias};
    w.attention_scale = t.attention_scale, w.mlp_scale = t.mlp_scale;
    w.q_norm = t.q_norm, w.k_norm = t.k_norm;
    w.q_row_norm = {t.q_row_norm, t.q_row_norm_bias}, w.k_row_norm = {t.k_row_norm, t.k_row_norm_bias};
    w.attention_outer_norm = {t.attention_outer_norm, t.attention_outer_norm_bias};
    w.attention_post_norm = t.attention_post_norm, w.mlp_post_norm = t.mlp_post_norm;
    return w;
  }
  ref::Layer reference() const {
    const auto& t = tensors_;
    const auto view = [](const WeightView& w) {
      View<const float, 2> v(w.floats(), w.extent[0], w.extent[1]);
      v.stride[0] = w.stride[0];
      return v;
    };
    return {view(t.q),
            view(t.k),
            view(t.v),
            view(t.attention_out),
            view(t.mlp_in),
            view(t.mlp_gate),
            view(t.mlp_out),
            t.q_bias,
            t.k_bias,
            t.v_bias,
            t.attention_out_bias,
            t.mlp_in_bias,
            t.mlp_gate_bias,
            t.mlp_out_bias,
            t.attention_norm,
            t.attention_norm_bias,
            t.mlp_norm,
            t.mlp_norm_bias,
            t.attention_scale,
            t.mlp_scale,
            t.q_row_norm,
            t.q_row_norm_bias,
            t.k_row_norm,
            t.k_row_norm_bias,
            t.attention_outer_norm,
            t.attention_outer_norm_bias};
  }

 private:
  View<const float, 2> matrix(index_t n, index_t k) {
    float scale = 1.f;  // a power of two: every compiler makes the same numbers
    while (scale * scale * static_cast<float>(k) > 3.f) scale *= 0.5f;
    return kept_.emplace_back(filled(n, k, {.seed = seed_++, .scale = scale})).in();
  }
  View<const float, 1> vector(index_t n, float around = 0.f) {
    return kept_.emplace_back(filled(1, n, {.seed = seed_++, .scale = 0.5f, .shift = around})).row();
  }
  View<const float, 1> joined(const std::vector<View<const float, 1>>& parts) {
    std::vector<float> all;
    for (const auto& p : parts)
      if (p.data) all.insert(all.end(), p.data, p.data + p.extent[0]);
    if (all.empty()) return {};
    Matrix m(1, static_cast<index_t>(all.size()), 0);
    m.memory = all;
    return kept_.emplace_back(std::move(m)).row();
  }

  ops::BlockConfig config_;
  std::uint64_t seed_;
  std::deque<Matrix> kept_;
  models::LayerTensors tensors_;
};

inline ref::LayerShape shape_of(const ops::BlockConfig& c) {
  return {c.heads, c.kv_heads, c.head_dim, c.pre_norm, c.norm == ops::NormKind::rms_norm, c.eps, c.act, c.attention.causal};
}

}  // namespace tessera::test
