// BERT: post-norm encoder with learned positions and token types.
// Source: Devlin et al., arXiv:1810.04805; tensor names of transformers' BertModel.
#pragma once
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// config.json of a BertModel as a stack. \throws Error kFormat, kUnsupported for what BERT variants have and this has not.
inline TransformerConfig bert_config(const io::Json& json) {
  TransformerConfig c = stack_config(json, {});
  const std::string positions = io::get_string(json, "position_embedding_type", "absolute");
  if (positions != "absolute")
    throw Error(Code::kUnsupported,
                {"config.json: position_embedding_type '", positions, "' is not supported, only 'absolute'"});
  if (io::get_bool(json, "is_decoder", false))
    throw Error(Code::kUnsupported, "config.json: a BERT decoder is not supported");
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31);
  c.max_positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31);
  c.segment_types = io::get_int(json, "type_vocab_size", 1, 1 << 20);
  c.embedding_norm = true;
  return c;
}

/// The folder of a BertModel, with or without the prefix that task heads put before it.
inline TextModel load_bert(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const TransformerConfig config = bert_config(json);
  TensorSource source(ctx, folder.checkpoint(), {"", "bert.", "model.", "0.auto_model.", "auto_model."},
                      "embeddings.word_embeddings.weight", options);
  TransformerTensors t;
  t.tables = {source.table({"embeddings.word_embeddings.weight"}), source.table({"embeddings.position_embeddings.weight"}),
              source.table({"embeddings.token_type_embeddings.weight"})};
  // Files from before 2019 call a norm's parameters gamma and beta.
  t.embedding_norm = source.vector({"embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma"}, true);
  t.embedding_norm_bias = source.vector({"embeddings.LayerNorm.bias", "embeddings.LayerNorm.beta"}, true);
  t.layer = [&](index_t layer) {
    source.release();
    const std::string at = "encoder.layer." + std::to_string(layer) + ".";
    const auto matrix = [&](const char* name) { return source.matrix({(at + name).c_str()}); };
    const auto vector = [&](const char* name) { return source.vector({(at + name).c_str()}); };
    const auto norm = [&](const char* name, const char* weight, const char* old) {
      return source.vector({(at + name + weight).c_str(), (at + name + old).c_str()});
    };
    LayerTensors l;
    l.q = matrix("attention.self.query.weight"), l.q_bias = vector("attention.self.query.bias");
    l.k = matrix("attention.self.key.weight"), l.k_bias = vector("attention.self.key.bias");
    l.v = matrix("attention.self.value.weight"), l.v_bias = vector("attention.self.value.bias");
    l.attention_out = matrix("attention.output.dense.weight"), l.attention_out_bias = vector("attention.output.dense.bias");
    l.attention_norm = norm("attention.output.LayerNorm.", "weight", "gamma");
    l.attention_norm_bias = norm("attention.output.LayerNorm.", "bias", "beta");
    l.mlp_in = matrix("intermediate.dense.weight"), l.mlp_in_bias = vector("intermediate.dense.bias");
    l.mlp_out = matrix("output.dense.weight"), l.mlp_out_bias = vector("output.dense.bias");
    l.mlp_norm = norm("output.LayerNorm.", "weight", "gamma");
    l.mlp_norm_bias = norm("output.LayerNorm.", "bias", "beta");
    return l;
  };
  t.keep_alive = source.keep_alive();

  TextModel model;
  model.family = "bert";
  model.max_length = config.max_positions;
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  if (source.has("pooler.dense.weight")) {
    model.pooler = read_dense(ctx, source, "pooler.dense", config.block.channels, config.block.channels);
    model.pooler->act = Activation::tanh;
  }
  return model;
}

}  // namespace tessera::models
