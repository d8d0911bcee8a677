// The encoder of T5 (Raffel et al., arXiv:1910.10683), of its version 1.1 and of mT5 (Xue et al., arXiv:2010.11934):
// pre-norm by root mean squares, no biases, no positions but a bias by distance that all layers share. Tensor names of
// transformers.
#pragma once
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/layer_names.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// config.json of T5 and mT5 as a stack, the encoder's. \throws Error kFormat, kUnsupported.
inline TransformerConfig t5_config(const io::Json& json) {
  const std::string type = io::get_string(json, "model_type", "t5");
  // "relu", or "gated-gelu", by which transformers means that of tanh.
  std::string mlp = io::get_string(json, "feed_forward_proj", type == "mt5" ? "gated-gelu" : "relu");
  const bool gated = mlp.starts_with("gated-");
  if (gated) mlp = mlp == "gated-gelu" ? "gelu_new" : mlp.substr(6);
  TransformerConfig config = stack_config(json, {mlp.c_str(), 1e-6, 512, 8, 2048, 6, 64},
                                          {.channels = "d_model",
                                           .heads = "num_heads",
                                           .mlp_width = "d_ff",
                                           .layers = "num_layers",
                                           .eps = "layer_norm_epsilon",
                                           .activation = nullptr,
                                           .head_dim = "d_kv"});
  ops::BlockConfig& b = config.block;
  b.pre_norm = true, b.norm = ops::NormKind::rms_norm, b.glu = gated, b.attention.scale = 1.f;
  config.final_norm = true;
  config.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, type == "mt5" ? 250112 : 32128);
  config.relative_buckets = io::get_int(json, "relative_attention_num_buckets", 1, 1 << 16, 32);
  config.relative_max_distance = io::get_int(json, "relative_attention_max_distance", 1, 1 << 24, 128);
  return config;
}

/// T5EncoderModel and MT5EncoderModel, or the encoder of a folder with a decoder beside it.
inline TextModel load_t5(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const TransformerConfig config = t5_config(json);
  LayerNames names = kT5Layer;
  if (config.block.glu) names.mlp_in = "layer.1.DenseReluDense.wi_1", names.mlp_gate = "layer.1.DenseReluDense.wi_0";

  TensorSource source(ctx, folder.checkpoint(), {"", "transformer."}, "encoder.final_layer_norm.weight", options);
  TransformerTensors t;
  t.tables.word = source.table({"shared.weight", "encoder.embed_tokens.weight"});
  t.final_norm = source.vector({"encoder.final_layer_norm.weight"}, true);
  t.relative_bias = source.table({"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"});
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, names, "encoder.block." + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();
  TextModel model;
  model.family = io::get_string(json, "model_type", "t5");
  model.max_length = index_t{1} << 17;  // no table of positions ends; attention's scratch has to
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  return model;
}

}  // namespace tessera::models
