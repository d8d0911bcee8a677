// How checkpoints call the tensors of a layer.
#pragma once
#include <string>
#include <utility>

#include <tessera/models/tensor_source.hpp>
#include <tessera/models/transformer.hpp>

namespace tessera::models {

/// Names behind "<layer prefix><number>.", without ".weight" and ".bias"; null for what a family has not.
struct LayerNames {
  const char *q = nullptr, *k = nullptr, *v = nullptr, *attention_out, *attention_norm, *mlp_norm, *mlp_in, *mlp_out;
  const char *attention_scale = nullptr, *mlp_scale = nullptr;  ///< whole names
  const char* mlp_gate_and_in = nullptr;                        ///< one tensor of both, the gate first, in place of mlp_in
  bool gate_last = false;                                       ///< the other way round
  const char* mlp_gate = nullptr;                               ///< of a gated MLP, beside mlp_in
  bool biased = false;                                          ///< every matrix and norm has a bias
  bool turned = false;                                          ///< matrices lie as [in, out]
  const char* qkv = nullptr;                                    ///< one tensor of q, k and v, in place of them
  const char *attention_post_norm = nullptr, *mlp_post_norm = nullptr, *q_norm = nullptr, *k_norm = nullptr;
  const char *q_row_norm = nullptr, *k_row_norm = nullptr, *attention_outer_norm = nullptr;
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
/// transformers' DeBERTa, from version 2 on.
inline constexpr LayerNames kDebertaLayer{.q = "attention.self.query_proj",
                                          .k = "attention.self.key_proj",
                                          .v = "attention.self.value_proj",
                                          .attention_out = "attention.output.dense",
                                          .attention_norm = "attention.output.LayerNorm",
                                          .mlp_norm = "output.LayerNorm",
                                          .mlp_in = "intermediate.dense",
                                          .mlp_out = "output.dense",
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

/// transformers' ModernBERT, whose first layer has no attention norm.
inline constexpr LayerNames kModernBertLayer{.attention_out = "attn.Wo",
                                             .attention_norm = "attn_norm",
                                             .mlp_norm = "mlp_norm",
                                             .mlp_in = nullptr,
                                             .mlp_out = "mlp.Wo",
                                             .mlp_gate_and_in = "mlp.Wi",
                                             .qkv = "attn.Wqkv"};
/// transformers' Llama and those copied from it: Mistral, Qwen 2; with_head_norms for Qwen 3.
inline constexpr LayerNames kLlamaLayer{.q = "self_attn.q_proj",
                                        .k = "self_attn.k_proj",
                                        .v = "self_attn.v_proj",
                                        .attention_out = "self_attn.o_proj",
                                        .attention_norm = "input_layernorm",
                                        .mlp_norm = "post_attention_layernorm",
                                        .mlp_in = "mlp.up_proj",
                                        .mlp_out = "mlp.down_proj",
                                        .mlp_gate = "mlp.gate_proj"};
constexpr LayerNames with_head_norms(LayerNames names) noexcept {
  names.q_norm = "self_attn.q_norm", names.k_norm = "self_attn.k_norm";
  return names;
}
/// transformers' Phi-3.
inline constexpr LayerNames kPhi3Layer{.attention_out = "self_attn.o_proj",
                                       .attention_norm = "input_layernorm",
                                       .mlp_norm = "post_attention_layernorm",
                                       .mlp_in = nullptr,
                                       .mlp_out = "mlp.down_proj",
                                       .mlp_gate_and_in = "mlp.gate_up_proj",
                                       .qkv = "self_attn.qkv_proj"};
/// transformers' Gemma 2, with a norm behind each half; Gemma 3 has head norms as well.
inline constexpr LayerNames kGemma2Layer{.q = "self_attn.q_proj",
                                         .k = "self_attn.k_proj",
                                         .v = "self_attn.v_proj",
                                         .attention_out = "self_attn.o_proj",
                                         .attention_norm = "input_layernorm",
                                         .mlp_norm = "pre_feedforward_layernorm",
                                         .mlp_in = "mlp.up_proj",
                                         .mlp_out = "mlp.down_proj",
                                         .mlp_gate = "mlp.gate_proj",
                                         .attention_post_norm = "post_attention_layernorm",
                                         .mlp_post_norm = "post_feedforward_layernorm"};

/// transformers' NomicBERT and GTE.
inline constexpr LayerNames kRotaryBertLayer{.q = "self_attn.q_proj",
                                             .k = "self_attn.k_proj",
                                             .v = "self_attn.v_proj",
                                             .attention_out = "self_attn.o_proj",
                                             .attention_norm = "post_attention_layernorm",
                                             .mlp_norm = "post_mlp_layernorm",
                                             .mlp_in = "mlp.up_proj",
                                             .mlp_out = "mlp.down_proj",
                                             .mlp_gate = "mlp.gate_proj"};
/// The folders of either with code of their own.
inline constexpr LayerNames kNomicLayer{.attention_out = "attn.out_proj",
                                        .attention_norm = "norm1",
                                        .mlp_norm = "norm2",
                                        .mlp_in = "mlp.fc11",
                                        .mlp_out = "mlp.fc2",
                                        .mlp_gate = "mlp.fc12",
                                        .qkv = "attn.Wqkv"};
inline constexpr LayerNames kGteLayer{.attention_out = "attention.o_proj",
                                      .attention_norm = "attn_ln",
                                      .mlp_norm = "mlp_ln",
                                      .mlp_in = nullptr,
                                      .mlp_out = "mlp.down_proj",
                                      .mlp_gate_and_in = "mlp.up_gate_proj",
                                      .gate_last = true,
                                      .qkv = "attention.qkv_proj"};

/// JinaBERT, whose code is its authors': the gate is the first half of one tensor.
inline constexpr LayerNames kJinaBertLayer{.q = "attention.self.query",
                                           .k = "attention.self.key",
                                           .v = "attention.self.value",
                                           .attention_out = "attention.output.dense",
                                           .attention_norm = "attention.output.LayerNorm",
                                           .mlp_norm = "mlp.layernorm",
                                           .mlp_in = nullptr,
                                           .mlp_out = "mlp.wo",
                                           .mlp_gate_and_in = "mlp.gated_layers"};
/// Its later form, with norms of queries and keys and a second one behind attention: the gate is the second half.
inline constexpr LayerNames kJinaBertQkNormLayer{.q = "attention.self.query",
                                                 .k = "attention.self.key",
                                                 .v = "attention.self.value",
                                                 .attention_out = "attention.output.dense",
                                                 .attention_norm = "attention.output.LayerNorm",
                                                 .mlp_norm = "layer_norm_2",
                                                 .mlp_in = "mlp.up_layer",
                                                 .mlp_out = "mlp.down_layer",
                                                 .mlp_gate_and_in = "mlp.up_gated_layer",
                                                 .gate_last = true,
                                                 .q_row_norm = "attention.self.layer_norm_q",
                                                 .k_row_norm = "attention.self.layer_norm_k",
                                                 .attention_outer_norm = "layer_norm_1"};

/// transformers' GPT-2, whose matrices are those of its Conv1D.
inline constexpr LayerNames kGpt2Layer{.attention_out = "attn.c_proj",
                                       .attention_norm = "ln_1",
                                       .mlp_norm = "ln_2",
                                       .mlp_in = "mlp.c_fc",
                                       .mlp_out = "mlp.c_proj",
                                       .biased = true,
                                       .turned = true,
                                       .qkv = "attn.c_attn"};
/// transformers' OPT, which may be without biases of matrices.
inline constexpr LayerNames kOptLayer{.q = "self_attn.q_proj",
                                      .k = "self_attn.k_proj",
                                      .v = "self_attn.v_proj",
                                      .attention_out = "self_attn.out_proj",
                                      .attention_norm = "self_attn_layer_norm",
                                      .mlp_norm = "final_layer_norm",
                                      .mlp_in = "fc1",
                                      .mlp_out = "fc2"};

/// The tensors of the layer under `at`. Biases may be missing unless the family has them all, weights not. Of a norm without
/// a name there is none.
inline LayerTensors read_layer(TensorSource& source, const LayerNames& n, const std::string& at,
                               const ops::BlockConfig& block) {
  const auto matrix = [&](const char* name) {
    const std::string full = at + name + ".weight";
    return n.turned ? source.turned({full.c_str()}) : source.matrix({full.c_str()});
  };
  const auto bias = [&](const char* name) {
    const std::string full = at + name + ".bias";
    return n.biased ? source.vector({full.c_str()}) : source.optional_vector({full.c_str()});
  };
  const auto beta = [&](const char* name) { return n.biased ? norm_bias(source, at + name) : bias(name); };
  const auto vector = [&](const std::string& name) { return source.vector({(at + name).c_str()}); };
  LayerTensors l;
  if (n.qkv) {
    const index_t nq = block.heads * block.head_dim, nkv = block.kv_heads * block.head_dim;
    const auto all = matrix(n.qkv);
    detail::expect_matrix((at + n.qkv).c_str(), -1, all, nq + 2 * nkv, block.channels);
    l.q = all.slice(0, nq), l.k = all.slice(nq, nq + nkv), l.v = all.slice(nq + nkv, nq + 2 * nkv);
    if (const auto b = bias(n.qkv); b.data) {
      if (b.extent[0] != nq + 2 * nkv)
        throw Error(Code::kShapeMismatch, {"checkpoint: ", at, n.qkv, ".bias has ", std::to_string(b.extent[0]),
                                           " elements, its weight ", std::to_string(nq + 2 * nkv), " rows"});
      l.q_bias = b.slice(0, nq), l.k_bias = b.slice(nq, nq + nkv), l.v_bias = b.slice(nq + nkv, nq + 2 * nkv);
    }
  } else {
    l.q = matrix(n.q), l.q_bias = bias(n.q);
    l.k = matrix(n.k), l.k_bias = bias(n.k);
    l.v = matrix(n.v), l.v_bias = bias(n.v);
  }
  l.attention_out = matrix(n.attention_out), l.attention_out_bias = bias(n.attention_out);
  if (n.attention_norm)
    l.attention_norm = norm_weight(source, at + n.attention_norm), l.attention_norm_bias = beta(n.attention_norm);
  l.mlp_norm = norm_weight(source, at + n.mlp_norm), l.mlp_norm_bias = beta(n.mlp_norm);
  if (n.mlp_gate_and_in) {
    const auto both = matrix(n.mlp_gate_and_in);
    const index_t f = both.extent[0] / 2;
    l.mlp_gate = both.slice(0, f), l.mlp_in = both.slice(f, both.extent[0]);
    if (const auto b = bias(n.mlp_gate_and_in); b.data)
      l.mlp_gate_bias = b.slice(0, b.extent[0] / 2), l.mlp_in_bias = b.slice(b.extent[0] / 2, b.extent[0]);
    if (n.gate_last) std::swap(l.mlp_gate, l.mlp_in), std::swap(l.mlp_gate_bias, l.mlp_in_bias);
  } else {
    l.mlp_in = matrix(n.mlp_in), l.mlp_in_bias = bias(n.mlp_in);
    if (n.mlp_gate) l.mlp_gate = matrix(n.mlp_gate), l.mlp_gate_bias = bias(n.mlp_gate);
  }
  l.mlp_out = matrix(n.mlp_out), l.mlp_out_bias = bias(n.mlp_out);
  if (n.attention_post_norm) l.attention_post_norm = norm_weight(source, at + n.attention_post_norm);
  if (n.mlp_post_norm) l.mlp_post_norm = norm_weight(source, at + n.mlp_post_norm);
  if (n.q_norm) l.q_norm = norm_weight(source, at + n.q_norm), l.k_norm = norm_weight(source, at + n.k_norm);
  if (n.q_row_norm) {
    l.q_row_norm = norm_weight(source, at + n.q_row_norm), l.q_row_norm_bias = beta(n.q_row_norm);
    l.k_row_norm = norm_weight(source, at + n.k_row_norm), l.k_row_norm_bias = beta(n.k_row_norm);
  }
  if (n.attention_outer_norm)
    l.attention_outer_norm = norm_weight(source, at + n.attention_outer_norm),
    l.attention_outer_norm_bias = beta(n.attention_outer_norm);
  if (n.attention_scale) l.attention_scale = vector(n.attention_scale), l.mlp_scale = vector(n.mlp_scale);
  return l;
}

}  // namespace tessera::models
