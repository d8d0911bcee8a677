// The text towers of CLIP (Radford et al., arXiv:2103.00020), SigLIP (Zhai et al., arXiv:2303.15343) and SigLIP 2 (Tschannen
// et al., arXiv:2502.14786). Tensor names of transformers.
#pragma once
#include <memory>
#include <string>

#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/layer_names.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

namespace detail {

/// Both text towers: token and position tables, the stack, a final norm, a projection.
inline TextModel text_tower(Context& ctx, TransformerConfig config, const io::Json& json, std::int64_t vocabulary,
                            std::int64_t positions, TensorSource& source) {
  config.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, vocabulary);
  config.max_positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, positions);
  config.final_norm = true;
  TransformerTensors t;
  t.tables.word = source.table({"embeddings.token_embedding.weight"});
  t.tables.position = source.table({"embeddings.position_embedding.weight"});
  t.final_norm = source.vector({"final_layer_norm.weight"}, true);
  t.final_norm_bias = source.vector({"final_layer_norm.bias"}, true);
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, kClipLayer, "encoder.layers." + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();
  TextModel m;
  m.max_length = config.max_positions;
  m.transformer = std::make_unique<Transformer>(ctx, config, t);
  return m;
}

}  // namespace detail

/// The text tower alone: of a folder with both, or of a CLIPTextModel, with or without its projection.
inline TextModel load_clip_text(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                const LoadOptions& options) {
  const io::Json text = detail::tower_config(json, "text_config");
  TransformerConfig config = pre_norm_config(text, "quick_gelu", 1e-5, 512, 8);
  config.block.attention.causal = true;
  const auto checkpoint = folder.checkpoint();
  TensorSource source(ctx, checkpoint, {"text_model.", ""}, "embeddings.token_embedding.weight", options);
  TextModel m = detail::text_tower(ctx, config, text, 49408, 77, source);
  m.family = "clip";
  if (!checkpoint->find("text_projection.weight")) return m;
  TensorSource whole(ctx, checkpoint, {""}, "text_projection.weight", options);
  TextHead& head = m.head.emplace();
  head.eos = static_cast<std::int32_t>(io::get_int(text, "eos_token_id", 0, std::int64_t{1} << 30, 49407));
  head.pooled = head.eos == 2 ? TextHead::Pooled::highest_id : TextHead::Pooled::first_eos;
  head.projection = read_dense(ctx, whole, "text_projection", -1, config.block.channels);
  return m;
}

/// By the config.json of a folder: of both towers, or of that for texts.
inline bool is_siglip2(const io::Json& json) { return io::get_string(json, "model_type", "").starts_with("siglip2"); }

inline TextModel load_siglip_text(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                  const LoadOptions& options) {
  const io::Json text = detail::tower_config(json, "text_config");
  const TransformerConfig config = pre_norm_config(text, "gelu_pytorch_tanh", 1e-6, 768, 12);
  TensorSource source(ctx, folder.checkpoint(), {"text_model.", ""}, "embeddings.token_embedding.weight", options);
  TextModel m = detail::text_tower(ctx, config, text, 32000, 64, source);
  m.family = is_siglip2(json) ? "siglip2" : "siglip";
  TextHead& head = m.head.emplace();
  head.pad =
      static_cast<std::int32_t>(io::get_int(text, "pad_token_id", 0, std::int64_t{1} << 30, m.family == "siglip2" ? 0 : 1));
  head.projection = read_dense(ctx, source, "head", -1, config.block.channels);
  return m;
}

}  // namespace tessera::models
