// Decoders with a table of positions: GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019)
// and OPT (Zhang et al., arXiv:2205.01068). Tensor names of transformers.
#pragma once
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/layer_names.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

namespace detail {

/// The model of a source, with the names of tables, final norm and layers.
inline TextModel decoder_with_table(Context& ctx, const io::Json& json, TensorSource& source,
                                    const TransformerConfig& config, TransformerTensors t, const LayerNames& names,
                                    const std::string& final_norm, const std::string& layers) {
  if (config.final_norm)
    t.final_norm = norm_weight(source, final_norm, true), t.final_norm_bias = norm_bias(source, final_norm, true);
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, names, layers + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();
  TextModel model;
  model.family = io::get_string(json, "model_type", "");
  model.max_length = config.max_positions;
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  return model;
}

}  // namespace detail

/// config.json of a GPT2Model as a stack. \param causal as of llama_config().  \throws Error kFormat, kUnsupported.
inline TransformerConfig gpt2_config(const io::Json& json, std::optional<bool> causal = {}) {
  const std::int64_t channels = io::get_int(json, "n_embd", 1, 1 << 18, 768);
  TransformerConfig c = stack_config(json, {"gelu_new", 1e-5, 768, 12, 4 * channels, 12},
                                     {.channels = "n_embd",
                                      .heads = "n_head",
                                      .mlp_width = "n_inner",
                                      .layers = "n_layer",
                                      .eps = "layer_norm_epsilon",
                                      .activation = "activation_function"});
  if (io::get_bool(json, "scale_attn_by_inverse_layer_idx", false))
    throw Error(Code::kUnsupported, "config.json: scale_attn_by_inverse_layer_idx is not supported");
  c.block.pre_norm = c.final_norm = true;
  c.block.attention.causal = causal.value_or(io::get_bool(json, "is_causal", true));
  if (!io::get_bool(json, "scale_attn_weights", true)) c.block.attention.scale = 1.f;
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, 50257);
  c.max_positions = io::get_int(json, "n_positions", 1, std::int64_t{1} << 31, 1024);
  return c;
}
/// GPT2Model, or what lies under the head of a language model.
inline TextModel load_gpt2(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const TransformerConfig config = gpt2_config(json, options.causal);
  TensorSource source(ctx, folder.checkpoint(), {"", "transformer."}, "wte.weight", options);
  TransformerTensors t;
  t.tables = {source.table({"wte.weight"}), source.table({"wpe.weight"})};
  return detail::decoder_with_table(ctx, json, source, config, std::move(t), kGpt2Layer, "ln_f", "h.");
}

/// The same of an OPTModel.
inline TransformerConfig opt_config(const io::Json& json, std::optional<bool> causal = {}) {
  TransformerConfig c = stack_config(json, {"relu", 1e-5, 768, 12, 3072, 12},
                                     {.mlp_width = "ffn_dim", .eps = nullptr, .activation = "activation_function"});
  const bool before = io::get_bool(json, "do_layer_norm_before", true);
  if (!io::get_bool(json, "layer_norm_elementwise_affine", true))
    throw Error(Code::kUnsupported, "config.json: layer_norm_elementwise_affine false is not supported");
  c.block.pre_norm = before;
  c.final_norm = before && !io::get_bool(json, "_remove_final_layer_norm", false);
  c.block.attention.causal = causal.value_or(io::get_bool(json, "is_causal", true));
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, 50272);
  c.max_positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, 2048);
  c.counts_masked = false;
  if (const index_t e = io::get_int(json, "word_embed_proj_dim", 1, 1 << 20, c.block.channels); e != c.block.channels)
    c.embedding_width = c.output_width = e, c.positions_projected = false;
  return c;
}
/// OPTModel, or what lies under the head of a language model.
inline TextModel load_opt(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const TransformerConfig config = opt_config(json, options.causal);
  TensorSource source(ctx, folder.checkpoint(), {"", "model."}, "decoder.embed_tokens.weight", options);
  TransformerTensors t;
  t.tables.word = source.table({"decoder.embed_tokens.weight"});
  const auto positions = source.table({"decoder.embed_positions.weight"});
  detail::expect_matrix("position embeddings with two rows before the first", -1, positions, config.max_positions + 2,
                        config.block.channels);
  t.tables.position = positions.slice(2, positions.extent[0]);  // the first two rows are those of no position
  if (config.output_width > 0) {
    t.embedding_projection = source.matrix({"decoder.project_in.weight"});
    t.output_projection = source.matrix({"decoder.project_out.weight"});
  }
  return detail::decoder_with_table(ctx, json, source, config, std::move(t), kOptLayer, "decoder.final_layer_norm",
                                    "decoder.layers.");
}

}  // namespace tessera::models
