// ModernBERT (Warner et al., arXiv:2412.13663): pre-norm, gated MLPs, rotary positions; most layers are local, with angles
// of their own. Tensor names of transformers.
#pragma once
#include <tessera/models/families/rotary_config.hpp>
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/layer_names.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// config.json of a ModernBertModel as a stack. \throws Error kFormat, kUnsupported.
inline TransformerConfig modern_bert_config(const io::Json& json) {
  TransformerConfig c =
      stack_config(json, {"gelu", 1e-5, 768, 12, 1152, 22}, {.eps = "norm_eps", .activation = "hidden_activation"});
  c.block.pre_norm = c.block.glu = c.embedding_norm = c.final_norm = true;
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, 50368);
  const std::int64_t every = io::get_int(json, "global_attn_every_n_layers", 1, 1 << 20, 3);
  c.kind_of = local_layers(json, c.layers, [&](index_t layer) { return layer % every != 0; });
  c.kinds.resize(2);  // global, local
  const std::int64_t window = io::get_int(json, "local_attention", 2, std::int64_t{1} << 40, 128) / 2;
  set_window(c.kinds[1], window, false);
  const io::Json& by_kind = io::member(json, "rope_parameters");
  const io::Json& older = io::member(json, "rope_scaling");
  const index_t positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, 8192);
  const auto angles = [&](const char* kind, const char* theta, double absent) {
    const RotaryBase base{
        .theta = io::get_number(json, theta, absent), .head_dim = c.block.head_dim, .positions = positions};
    return rotary_angles(by_kind.is_null() ? older : io::member(by_kind, kind), base);
  };
  c.kinds[0].rotary = angles("full_attention", "global_rope_theta", 160000);
  c.kinds[1].rotary = angles("sliding_attention", "local_rope_theta", 10000);
  return c;
}

/// ModernBertModel, with or without the prefix that task heads put before it.
inline TextModel load_modern_bert(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                  const LoadOptions& options) {
  const TransformerConfig config = modern_bert_config(json);
  TensorSource source(ctx, folder.checkpoint(), {"", "model.", "0.auto_model.", "auto_model."},
                      "embeddings.tok_embeddings.weight", options);
  TransformerTensors t;
  t.tables.word = source.table({"embeddings.tok_embeddings.weight"});
  t.embedding_norm = norm_weight(source, "embeddings.norm", true);
  t.embedding_norm_bias = source.optional_vector({"embeddings.norm.bias"}, true);
  t.final_norm = norm_weight(source, "final_norm", true);
  t.final_norm_bias = source.optional_vector({"final_norm.bias"}, true);
  t.layer = [&](index_t layer) {
    source.release();
    LayerNames names = kModernBertLayer;
    if (layer == 0) names.attention_norm = nullptr;
    return read_layer(source, names, "layers." + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();
  TextModel model;
  model.family = "modernbert";
  model.max_length = longest_text(json, 8192);
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  return model;
}

}  // namespace tessera::models
