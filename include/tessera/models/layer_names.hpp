// How checkpoints call the tensors of a layer.
#pragma once
#include <string>

#include <tessera/models/tensor_source.hpp>
#include <tessera/models/transformer.hpp>

namespace tessera::models {

/// Names behind "<layer prefix><number>.", without ".weight" and ".bias"; null for what a family has not.
struct LayerNames {
  const char *q, *k, *v, *attention_out, *attention_norm, *mlp_norm, *mlp_in, *mlp_out;
  const char *attention_scale = nullptr, *mlp_scale = nullptr;  ///< whole names
  const char* mlp_gate_and_in = nullptr;                        ///< one tensor of both, the gate first, in place of mlp_in
  const char* mlp_gate = nullptr;                               ///< of a gated MLP, beside mlp_in
};

/// transformers' CLIP and those copied from it: SigLIP, BLIP.
inline constexpr LayerNames kClipLayer{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
                                       "layer_norm1",      "layer_norm2",      "mlp.fc1",          "mlp.fc2"};
/// transformers' ViT and DeiT.
inline constexpr LayerNames kVitLayer{
    "attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense",
    "layernorm_before",          "layernorm_after",         "intermediate.dense",        "output.dense"};
/// transformers' DINOv2; with_swiglu for its gated MLP.
inline constexpr LayerNames kDinov2Layer{"attention.attention.query",
                                         "attention.attention.key",
                                         "attention.attention.value",
                                         "attention.output.dense",
                                         "norm1",
                                         "norm2",
                                         "mlp.fc1",
                                         "mlp.fc2",
                                         "layer_scale1.lambda1",
                                         "layer_scale2.lambda1"};
/// transformers' DINOv3; its gated MLP has mlp.gate_proj as well.
inline constexpr LayerNames kDinov3Layer{
    "attention.q_proj", "attention.k_proj", "attention.v_proj",     "attention.o_proj",    "norm1", "norm2",
    "mlp.up_proj",      "mlp.down_proj",    "layer_scale1.lambda1", "layer_scale2.lambda1"};
constexpr LayerNames with_swiglu(LayerNames names) noexcept {
  names.mlp_in = nullptr, names.mlp_gate_and_in = "mlp.weights_in", names.mlp_out = "mlp.weights_out";
  return names;
}

/// The tensors of the layer under `at`. Biases may be missing, weights not.
inline LayerTensors read_layer(TensorSource& source, const LayerNames& n, const std::string& at) {
  const auto matrix = [&](const char* name) { return source.matrix({(at + name + ".weight").c_str()}); };
  const auto bias = [&](const char* name) { return source.optional_vector({(at + name + ".bias").c_str()}); };
  const auto vector = [&](const std::string& name) { return source.vector({(at + name).c_str()}); };
  LayerTensors l;
  l.q = matrix(n.q), l.q_bias = bias(n.q);
  l.k = matrix(n.k), l.k_bias = bias(n.k);
  l.v = matrix(n.v), l.v_bias = bias(n.v);
  l.attention_out = matrix(n.attention_out), l.attention_out_bias = bias(n.attention_out);
  l.attention_norm = vector(std::string(n.attention_norm) + ".weight"), l.attention_norm_bias = bias(n.attention_norm);
  l.mlp_norm = vector(std::string(n.mlp_norm) + ".weight"), l.mlp_norm_bias = bias(n.mlp_norm);
  if (n.mlp_gate_and_in) {
    const auto both = matrix(n.mlp_gate_and_in);
    const index_t f = both.extent[0] / 2;
    l.mlp_gate = both.slice(0, f), l.mlp_in = both.slice(f, both.extent[0]);
    if (const auto b = bias(n.mlp_gate_and_in); b.data)
      l.mlp_gate_bias = b.slice(0, b.extent[0] / 2), l.mlp_in_bias = b.slice(b.extent[0] / 2, b.extent[0]);
  } else {
    l.mlp_in = matrix(n.mlp_in), l.mlp_in_bias = bias(n.mlp_in);
    if (n.mlp_gate) l.mlp_gate = matrix(n.mlp_gate), l.mlp_gate_bias = bias(n.mlp_gate);
  }
  l.mlp_out = matrix(n.mlp_out), l.mlp_out_bias = bias(n.mlp_out);
  if (n.attention_scale) l.attention_scale = vector(n.attention_scale), l.mlp_scale = vector(n.mlp_scale);
  return l;
}

}  // namespace tessera::models
