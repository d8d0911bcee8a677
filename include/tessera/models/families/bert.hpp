// BERT (Devlin et al., arXiv:1810.04805) and the encoders that differ from it by their positions, tables and names: RoBERTa
// (Liu et al., arXiv:1907.11692), XLM-R (Conneau et al., arXiv:1911.02116), CamemBERT (Martin et al., arXiv:1911.03894),
// ELECTRA (Clark et al., arXiv:2003.10555), DistilBERT (Sanh et al., arXiv:1910.01108), MPNet (Song et al.,
// arXiv:2004.09297). Post-norm, learned positions. Tensor names of transformers.
#pragma once
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/layer_names.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

namespace detail {

inline constexpr const char* kWordTable = "embeddings.word_embeddings.weight";

/// The tables of a post-norm encoder. \throws Error kFormat, kUnsupported for what BERT variants have and this has not.
/// \param alibi  whether the family knows positions of the type "alibi", which have no table.
inline void table_config(const io::Json& json, TransformerConfig& c, bool alibi = false) {
  const std::string positions = io::get_string(json, "position_embedding_type", "absolute");
  c.alibi = alibi && positions == "alibi";
  if (positions != "absolute" && !c.alibi)
    throw Error(Code::kUnsupported,
                {"config.json: position_embedding_type '", positions, "' is not supported, only 'absolute'"});
  if (io::get_bool(json, "is_decoder", false))
    throw Error(Code::kUnsupported, "config.json: a decoder of this family is not supported");
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31);
  if (!c.alibi) c.max_positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31);
  c.embedding_norm = true;
}

/// Positions behind that of padding, which is counted nowhere: RoBERTa and those after it.
inline void positions_after_padding(std::int64_t padding, TransformerConfig& c) {
  c.uncounted_token = static_cast<std::int32_t>(padding);
  c.first_position = padding + 1;
  if (c.first_position >= c.max_positions)
    throw Error(Code::kFormat, {"config.json: max_position_embeddings ", std::to_string(c.max_positions),
                                " leaves no position behind that of the padding token ", std::to_string(padding)});
}

/// The model of a source: tables under embeddings, layers under `layers`, and a pooler if there is one.
inline TextModel post_norm_encoder(Context& ctx, TensorSource& source, const TransformerConfig& config,
                                   const LayerNames& names, const std::string& layers,
                                   const std::string& norm = "embeddings.LayerNorm") {
  TransformerTensors t;
  t.tables.word = source.table({kWordTable});
  if (config.max_positions > 0) t.tables.position = source.table({"embeddings.position_embeddings.weight"});
  if (config.segment_types > 0) t.tables.segment = source.table({"embeddings.token_type_embeddings.weight"});
  t.embedding_norm = norm_weight(source, norm, true), t.embedding_norm_bias = norm_bias(source, norm, true);
  if (config.embedding_width > 0) {
    t.embedding_projection = source.matrix({"embeddings_project.weight"});
    t.embedding_projection_bias = source.vector({"embeddings_project.bias"}, true);
  }
  if (config.relative_buckets > 0) t.relative_bias = source.table({"encoder.relative_attention_bias.weight"});
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, names, layers + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();

  TextModel model;
  model.max_length = config.max_positions - config.first_position;
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  if (source.has("pooler.dense.weight")) {
    model.pooler = read_dense(ctx, source, "pooler.dense", config.block.channels, config.block.channels);
    model.pooler->act = Activation::tanh;
  }
  return model;
}

}  // namespace detail

/// config.json of a BertModel as a stack. \throws Error kFormat, kUnsupported for what BERT variants have and this has not.
inline TransformerConfig bert_config(const io::Json& json) {
  TransformerConfig config = stack_config(json, {});
  detail::table_config(json, config);
  config.segment_types = io::get_int(json, "type_vocab_size", 1, 1 << 20);
  return config;
}

/// The folder of a BertModel, with or without the prefix that task heads put before it.
inline TextModel load_bert(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  TensorSource source(ctx, folder.checkpoint(), {"", "bert.", "model.", "0.auto_model.", "auto_model."}, detail::kWordTable,
                      options);
  TextModel model = detail::post_norm_encoder(ctx, source, bert_config(json), kBertLayer, "encoder.layer.");
  model.family = "bert";
  return model;
}

/// RobertaModel, XLMRobertaModel, CamembertModel. \throws as bert_config().
inline TransformerConfig roberta_config(const io::Json& json) {
  TransformerConfig config = stack_config(json, {});
  detail::table_config(json, config);
  detail::positions_after_padding(io::get_int(json, "pad_token_id", 0, std::int64_t{1} << 30, 1), config);
  config.segment_types = io::get_int(json, "type_vocab_size", 1, 1 << 20, 2);
  return config;
}
inline TextModel load_roberta(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                              const LoadOptions& options) {
  TensorSource source(ctx, folder.checkpoint(), {"", "roberta.", "model.", "0.auto_model.", "auto_model."},
                      detail::kWordTable, options);
  TextModel model = detail::post_norm_encoder(ctx, source, roberta_config(json), kBertLayer, "encoder.layer.");
  model.family = io::get_string(json, "model_type", "roberta");
  return model;
}

/// ElectraModel: tables of a width of their own. \throws as bert_config().
inline TransformerConfig electra_config(const io::Json& json) {
  TransformerConfig config = stack_config(json, {"gelu", 1e-12, 256, 4, 1024, 12});
  detail::table_config(json, config);
  config.segment_types = io::get_int(json, "type_vocab_size", 1, 1 << 20, 2);
  const index_t width = io::get_int(json, "embedding_size", 1, 1 << 20, 128);
  if (width != config.block.channels) config.embedding_width = width;
  return config;
}
inline TextModel load_electra(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                              const LoadOptions& options) {
  TensorSource source(ctx, folder.checkpoint(), {"", "electra."}, detail::kWordTable, options);
  TextModel model = detail::post_norm_encoder(ctx, source, electra_config(json), kBertLayer, "encoder.layer.");
  model.family = "electra";
  return model;
}

/// DistilBertModel: no token types. \throws as bert_config().
inline TransformerConfig distilbert_config(const io::Json& json) {
  TransformerConfig config = stack_config(
      json, {"gelu", 1e-12, 768, 12, 3072, 6},
      {.channels = "dim", .heads = "n_heads", .mlp_width = "hidden_dim", .layers = "n_layers", .activation = "activation"});
  detail::table_config(json, config);
  return config;
}
inline TextModel load_distilbert(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                 const LoadOptions& options) {
  TensorSource source(ctx, folder.checkpoint(), {"", "distilbert."}, detail::kWordTable, options);
  TextModel model = detail::post_norm_encoder(ctx, source, distilbert_config(json), kDistilbertLayer, "transformer.layer.");
  model.family = "distilbert";
  return model;
}

/// MPNetModel: learned positions, and biases by distance that all layers share. \throws as bert_config().
inline TransformerConfig mpnet_config(const io::Json& json) {
  TransformerConfig config = stack_config(json, {"gelu", 1e-12, 768, 12, 3072, 12});
  detail::table_config(json, config);
  detail::positions_after_padding(1, config);  // whatever pad_token_id: transformers has both numbers in its code
  config.relative_buckets = io::get_int(json, "relative_attention_num_buckets", 32, 32, 32);
  return config;
}
inline TextModel load_mpnet(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  TensorSource source(ctx, folder.checkpoint(), {"", "mpnet.", "model.", "0.auto_model.", "auto_model."}, detail::kWordTable,
                      options);
  TextModel model = detail::post_norm_encoder(ctx, source, mpnet_config(json), kMpnetLayer, "encoder.layer.");
  model.family = "mpnet";
  return model;
}

}  // namespace tessera::models
