// BERT with rotary positions and a gated MLP: NomicBERT (Nussbaum et al., arXiv:2402.01613) and GTE (Zhang et al.,
// arXiv:2407.19669). Tensor names of transformers, and those of the folders that had code of their own before it knew them.
#pragma once
#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/rotary_config.hpp>

namespace tessera::models {

namespace detail {

/// What the two share once their sizes are read.
inline void rotary_bert(const io::Json& json, TransformerConfig& c, double theta, std::int64_t vocabulary,
                        std::int64_t positions, std::int64_t types) {
  c.block.glu = c.embedding_norm = true;
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, vocabulary);
  c.segment_types = io::get_int(json, "type_vocab_size", 0, 1 << 20, types);
  RotaryBase base{.head_dim = c.block.head_dim, .positions = positions};
  base.theta = io::get_number(json, "rope_theta", theta);
  c.kinds.assign(1, LayerKind{.rotary = rotary_angles(rotary_parameters(json), base)});
}

/// The names of either layout, by whether a tensor of the newer one is there.
inline TextModel load_rotary_bert(Context& ctx, TensorSource& source, const TransformerConfig& config,
                                  const LayerNames& newer, const LayerNames& older, const std::string& older_layers,
                                  const char* older_norm, index_t longest) {
  const bool now = source.has("layers.0.mlp.up_proj.weight");
  TextModel model = post_norm_encoder(ctx, source, config, now ? newer : older, now ? "layers." : older_layers,
                                      now ? "embeddings.LayerNorm" : older_norm);
  model.max_length = longest;
  return model;
}

}  // namespace detail

/// config.json of a NomicBertModel as a stack. \throws Error kFormat, kUnsupported for what its older folders may have and
/// this has not.
inline TransformerConfig nomic_bert_config(const io::Json& json) {
  const bool older = io::has(json, "n_embd");
  TransformerConfig c = older ? stack_config(json, {"silu", 1e-12, 768, 12, 3072, 12},
                                             {.channels = "n_embd",
                                              .heads = "n_head",
                                              .mlp_width = "n_inner",
                                              .layers = "n_layer",
                                              .eps = "layer_norm_epsilon",
                                              .activation = nullptr})
                              : stack_config(json, {"silu", 1e-12, 768, 12, 3072, 12});
  const std::string act = io::get_string(json, "activation_function", "swiglu");
  for (const auto& [supported, what] :
       {std::pair(!older || act == "swiglu", "an activation_function but swiglu"),
        {!io::get_bool(json, "prenorm", false), "prenorm"},
        {!io::get_bool(json, "parallel_block", false), "parallel_block"},
        {!io::get_bool(json, "use_rms_norm", false), "use_rms_norm"},
        {!io::get_bool(json, "rotary_emb_interleaved", false), "rotary_emb_interleaved"},
        {io::get_number(json, "rotary_emb_fraction", 1) == 1, "rotary_emb_fraction below 1"}})
    if (!supported) throw Error(Code::kUnsupported, {"config.json: ", what, " is not supported for this model_type"});
  // Angles grow beyond the length it was trained on, where rotary_scaling_factor says so.
  const index_t positions = older ? io::get_int(json, "max_trained_positions", 1, std::int64_t{1} << 31, 2048)
                                  : io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, 2048);
  detail::rotary_bert(json, c, older ? io::get_number(json, "rotary_emb_base", 10000) : 1000.0, 30528, positions, 2);
  if (older && !io::member(json, "rotary_scaling_factor").is_null()) c.kinds[0].rotary.most_places = positions;
  return c;
}
/// NomicBertModel, or what lies under its head for masked words.
inline TextModel load_nomic_bert(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                 const LoadOptions& options) {
  const TransformerConfig config = nomic_bert_config(json);
  TensorSource source(ctx, folder.checkpoint(), {"", "nomic_bert.", "bert.", "model."}, detail::kWordTable, options);
  const index_t longest =
      io::has(json, "n_embd") ? io::get_int(json, "max_trained_positions", 1, 1 << 17, 2048) : longest_text(json, 2048);
  TextModel model =
      detail::load_rotary_bert(ctx, source, config, kRotaryBertLayer, kNomicLayer, "encoder.layers.", "emb_ln", longest);
  model.family = "nomic_bert";
  return model;
}

/// config.json of a GteModel as a stack, and of what its older folders call "new". \throws Error kFormat, kUnsupported.
inline TransformerConfig gte_config(const io::Json& json) {
  TransformerConfig c = stack_config(json, {"gelu", 1e-12, 768, 12, 3072, 12});
  for (const auto& [supported, what] :
       {std::pair(io::get_string(json, "position_embedding_type", "rope") == "rope", "position_embedding_type but rope"),
        {io::get_string(json, "layer_norm_type", "layer_norm") == "layer_norm", "layer_norm_type but layer_norm"},
        {!io::get_bool(json, "logn_attention_scale", false), "logn_attention_scale"}})
    if (!supported) throw Error(Code::kUnsupported, {"config.json: ", what, " is not supported for this model_type"});
  const bool older = io::get_string(json, "model_type", "gte") == "new";
  const index_t positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, older ? 2048 : 8192);
  detail::rotary_bert(json, c, older ? 10000.0 : 160000.0, older ? 30528 : 250048, positions, 1);
  return c;
}
/// GteModel, or what lies under a head.
inline TextModel load_gte(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const TransformerConfig config = gte_config(json);
  TensorSource source(ctx, folder.checkpoint(), {"", "gte.", "new.", "model."}, detail::kWordTable, options);
  TextModel model = detail::load_rotary_bert(ctx, source, config, kRotaryBertLayer, kGteLayer, "encoder.layer.",
                                             "embeddings.LayerNorm", longest_text(json, 8192));
  model.family = "gte";
  return model;
}

}  // namespace tessera::models
