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
  bool biased = false;                                          ///< every matrix and norm has a bias
};

/// transformers' BERT and those copied from it: RoBERTa, XLM-R, CamemBERT, ELECTRA.
inline constexpr LayerNames kBertLayer{.q = "attention.self.query",
                                       .k = "attention.self.key",
                                       .v = "attention.self.value",
                                       .attention_out = "attention.output.dense",
                                       .attention_norm = "attention.output.LayerNorm",
                                       .mlp_norm = "output.LayerNorm",
                                       .mlp_in = "intermediate.dense",
                                       .mlp_out = "output.dense",
                                       .biased = true};
/// transformers' MPNet.
inline constexpr LayerNames kMpnetLayer{.q = "attention.attn.q",
                                        .k = "attention.attn.k",
                                        .v = "attention.attn.v",
                                        .attention_out = "attention.attn.o",
                                        .attention_norm = "attention.LayerNorm",
                                        .mlp_norm = "output.LayerNorm",
                                        .mlp_in = "intermediate.dense",
                                        .mlp_out = "output.dense",
                                        .biased = true};
/// transformers' DistilBERT.
inline constexpr LayerNames kDistilbertLayer{.q = "attention.q_lin",
                                             .k = "attention.k_lin",
                                             .v = "attention.v_lin",
                                             .attention_out = "attention.out_lin",
                                             .attention_norm = "sa_layer_norm",
                                             .mlp_norm = "output_layer_norm",
                                             .mlp_in = "ffn.lin1",
                                             .mlp_out = "ffn.lin2",
                                             .biased = true};
/// transformers' T5; its gated MLP has wi_0, the gate, and wi_1 in place of wi.
inline constexpr LayerNames kT5Layer{.q = "layer.0.SelfAttention.q",
                                     .k = "layer.0.SelfAttention.k",
                                     .v = "layer.0.SelfAttention.v",
                                     .attention_out = "layer.0.SelfAttention.o",
                                     .attention_norm = "layer.0.layer_norm",
                                     .mlp_norm = "layer.1.layer_norm",
                                     .mlp_in = "layer.1.DenseReluDense.wi",
                                     .mlp_out = "layer.1.DenseReluDense.wo"};

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

/// A vector of a norm, by the names that files from before 2019 have as well.
inline View<const float, 1> norm_weight(TensorSource& source, const std::string& norm, bool stay = false) {
  return source.vector({(norm + ".weight").c_str(), (norm + ".gamma").c_str()}, stay);
}
inline View<const float, 1> norm_bias(TensorSource& source, const std::string& norm, bool stay = false) {
  return source.vector({(norm + ".bias").c_str(), (norm + ".beta").c_str()}, stay);
}

/// The tensors of the layer under `at`. Biases may be missing unless the family has them all, weights not.
inline LayerTensors read_layer(TensorSource& source, const LayerNames& n, const std::string& at) {
  const auto matrix = [&](const char* name) { return source.matrix({(at + name + ".weight").c_str()}); };
  const auto bias = [&](const char* name) {
    const std::string full = at + name + ".bias";
    return n.biased ? source.vector({full.c_str()}) : source.optional_vector({full.c_str()});
  };
  const auto beta = [&](const char* name) { return n.biased ? norm_bias(source, at + name) : bias(name); };
  const auto vector = [&](const std::string& name) { return source.vector({(at + name).c_str()}); };
  LayerTensors l;
  l.q = matrix(n.q), l.q_bias = bias(n.q);
  l.k = matrix(n.k), l.k_bias = bias(n.k);
  l.v = matrix(n.v), l.v_bias = bias(n.v);
  l.attention_out = matrix(n.attention_out), l.attention_out_bias = bias(n.attention_out);
  l.attention_norm = norm_weight(source, at + n.attention_norm), l.attention_norm_bias = beta(n.attention_norm);
  l.mlp_norm = norm_weight(source, at + n.mlp_norm), l.mlp_norm_bias = beta(n.mlp_norm);
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
