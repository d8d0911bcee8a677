// JinaBERT (Günther et al., "Jina Embeddings 2", arXiv:2310.19923): BERT with ALiBi (Press et al., arXiv:2108.12409) in
// place of positions and a gated MLP. transformers has no such class. Its folders say model_type "bert" and name code of
// their authors', in two forms: jina-bert-implementation, and jina-bert-v2-qk-post-norm, which has norms of queries and keys
// and one more behind attention.
#pragma once
#include <algorithm>
#include <string>

#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/rotary_config.hpp>

namespace tessera::models {

/// Whether config.json names one of JinaBERT's classes: as its own architecture, or as code that comes with it.
inline bool names_jina_bert(const io::Json& json) {
  const auto any = [&](const char* key) {
    const io::Json& names = io::member(json, key);
    return (names.is_array() || names.is_object()) && std::any_of(names.begin(), names.end(), [](const io::Json& name) {
             return name.is_string() && name.get_ref<const std::string&>().find("JinaBert") != std::string::npos;
           });
  };
  return any("architectures") || any("auto_map");
}

/// config.json of a JinaBertModel of either form as a stack. \throws Error kFormat, kUnsupported.
inline TransformerConfig jina_bert_config(const io::Json& json) {
  TransformerConfig c = stack_config(json, {});
  detail::table_config(json, c, true);
  c.segment_types = io::get_int(json, "type_vocab_size", 1, 1 << 20, 2);
  const std::string mlp = io::get_string(json, "feed_forward_type", "original");
  c.block.glu = mlp == "geglu" || mlp == "reglu";
  if (c.block.glu)
    c.block.act = mlp == "geglu" ? Activation::gelu_erf : Activation::relu;  // whatever hidden_act is
  else if (mlp != "original")
    throw Error(Code::kUnsupported, {"config.json: feed_forward_type '", mlp, "' is not supported"});
  return c;
}

/// A folder whose model_type is "bert": a JinaBertModel where it names one, or what lies under a head; else as load_bert().
inline TextModel load_bert_or_jina(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                   const LoadOptions& options) {
  if (!names_jina_bert(json)) return load_bert(ctx, folder, json, options);
  TransformerConfig config = jina_bert_config(json);
  TensorSource source(ctx, folder.checkpoint(), {"", "bert.", "model.", "0.auto_model.", "auto_model."}, detail::kWordTable,
                      options);
  // Which form it is: a folder that was copied with its code does not say so.
  config.block.outer_norm = source.has("encoder.layer.0.layer_norm_1.weight");
  LayerNames names = config.block.outer_norm ? kJinaBertQkNormLayer : config.block.glu ? kJinaBertLayer : kBertLayer;
  if (!config.block.glu) names.mlp_gate_and_in = nullptr;
  TextModel model = detail::post_norm_encoder(ctx, source, config, names, "encoder.layer.");
  model.max_length = longest_text(json, 512);
  model.family = "bert";
  return model;
}

}  // namespace tessera::models
