// DeBERTa, versions 2 and 3 (He et al., arXiv:2006.03654 and arXiv:2111.09543): post-norm; what a token is and where it
// stands are attended to apart, by tables of places that each layer makes of one table. Tensor names of transformers.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/rotary_config.hpp>

namespace tessera::models {

/// Which of the two products with places a DebertaV2Model has, and of which weights.
struct DebertaPlaces {
  bool keys = false, queries = false;  ///< "c2p": of content with places of keys; "p2c": of places of queries with content
  bool shared = false;                 ///< by the weights of keys and queries, else by some of their own
  bool normed = false;                 ///< the table of places is normalised first
};

namespace detail {

/// The names in a list of config.json, or in one string of them between bars, in lower case.
inline std::vector<std::string> names_of(const io::Json& json, const char* key, const char* absent) {
  std::vector<std::string> names;
  const io::Json& given = io::member(json, key);
  std::string all;
  if (given.is_array()) {
    for (const io::Json& name : given) {
      if (!name.is_string())
        throw Error(Code::kFormat, {"config.json: ", key, " holds ", io::shown(&name), ", not a string"});
      all += name.get<std::string>() + "|";
    }
  } else {
    all = given.is_null() ? absent : io::get_string(json, key);
  }
  std::string name;
  for (const char c : all + "|") {
    if (c == '|') {
      if (!name.empty()) names.push_back(name);
      name.clear();
    } else if (c != ' ') {
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return names;
}

}  // namespace detail

/// \throws Error kFormat, kUnsupported naming a product that there is not.
inline DebertaPlaces deberta_places(const io::Json& json) {
  DebertaPlaces p;
  for (const std::string& name : detail::names_of(json, "pos_att_type", "")) {
    if (name != "c2p" && name != "p2c")
      throw Error(Code::kUnsupported, {"config.json: pos_att_type '", name, "' is not supported; known: c2p, p2c"});
    (name == "c2p" ? p.keys : p.queries) = true;
  }
  const auto norms = detail::names_of(json, "norm_rel_ebd", "none");
  p.normed = std::find(norms.begin(), norms.end(), "layer_norm") != norms.end();
  p.shared = io::get_bool(json, "share_att_key", false);
  return p;
}

/// config.json of a DebertaV2Model as a stack. \throws Error kFormat, kUnsupported.
inline TransformerConfig deberta_config(const io::Json& json) {
  TransformerConfig c = stack_config(json, {"gelu", 1e-7, 1536, 24, 6144, 24});
  const index_t convolution = io::get_int(json, "conv_kernel_size", 0, 1 << 10, 0);
  const index_t head_dim = io::get_int(json, "attention_head_size", 1, 1 << 20, c.block.head_dim);
  for (const auto& [supported, what] :
       {std::pair(head_dim == c.block.head_dim, "an attention_head_size that is not hidden_size / num_attention_heads"),
        {io::get_int(json, "embedding_size", 1, 1 << 20, c.block.channels) == c.block.channels,
         "an embedding_size that is not hidden_size"},
        {io::get_int(json, "conv_groups", 1, 1 << 20, 1) == 1, "a convolution in conv_groups"},
        {convolution == 0 || convolution % 2 == 1, "an even conv_kernel_size"}})
    if (!supported) throw Error(Code::kUnsupported, {"config.json: ", what, " is not supported for this model_type"});
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, 128100);
  c.segment_types = io::get_int(json, "type_vocab_size", 0, 1 << 20, 0);
  const index_t positions = io::get_int(json, "max_position_embeddings", 1, 1 << 24, 512);
  if (io::get_bool(json, "position_biased_input", true)) c.max_positions = positions;
  c.embedding_norm = true;
  c.convolution = convolution;
  c.convolution_act = activation_of(json, "conv_act", "tanh");

  const DebertaPlaces places = deberta_places(json);
  const FpModeScope mode;
  // As many as there are products, also where those with places are left out.
  const int products = 1 + static_cast<int>(places.keys) + static_cast<int>(places.queries);
  c.block.attention.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.block.head_dim) * products));
  if (!io::get_bool(json, "relative_attention", false) || products == 1) return c;
  index_t farthest = io::get_int(json, "max_relative_positions", -1, 1 << 24, -1);
  if (farthest < 1) farthest = positions;
  const index_t buckets = io::get_int(json, "position_buckets", -1, 1 << 20, -1);
  c.block.position_rows = 2 * (buckets > 0 ? buckets : farthest);
  if (buckets > 0) c.position_log_distance = farthest;
  return c;
}

/// DebertaV2Model, or what lies under a head.
inline TextModel load_deberta(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                              const LoadOptions& options) {
  const TransformerConfig config = deberta_config(json);
  const DebertaPlaces places = deberta_places(json);
  TensorSource source(ctx, folder.checkpoint(), {"", "deberta.", "model.", "0.auto_model.", "auto_model."},
                      detail::kWordTable, options);
  TransformerTensors t;
  t.tables.word = source.table({detail::kWordTable});
  if (config.max_positions > 0) t.tables.position = source.table({"embeddings.position_embeddings.weight"});
  if (config.segment_types > 0) t.tables.segment = source.table({"embeddings.token_type_embeddings.weight"});
  t.embedding_norm = norm_weight(source, "embeddings.LayerNorm", true);
  t.embedding_norm_bias = norm_bias(source, "embeddings.LayerNorm", true);
  if (config.convolution > 0) {
    t.convolution = source.by_first({"encoder.conv.conv.weight"});
    t.convolution_bias = source.vector({"encoder.conv.conv.bias"});
    t.convolution_norm = norm_weight(source, "encoder.conv.LayerNorm", true);
    t.convolution_norm_bias = norm_bias(source, "encoder.conv.LayerNorm", true);
  }
  const bool relative = config.block.position_rows > 0;
  if (relative) t.relative_positions = source.table({"encoder.rel_embeddings.weight"});
  if (relative && places.normed) {
    t.relative_norm = norm_weight(source, "encoder.LayerNorm", true);
    t.relative_norm_bias = norm_bias(source, "encoder.LayerNorm", true);
  }
  t.layer = [&](index_t layer) {
    source.release();
    const std::string at = "encoder.layer." + std::to_string(layer) + ".";
    LayerTensors l = read_layer(source, kDebertaLayer, at, config.block);
    const auto own = [&](const char* name, WeightView& weight, View<const float, 1>& bias) {
      const std::string full = at + "attention.self." + name;
      weight = source.matrix({(full + ".weight").c_str()}), bias = source.vector({(full + ".bias").c_str()});
    };
    if (relative && places.shared) {
      if (places.keys) l.position_key = l.k, l.position_key_bias = l.k_bias;
      if (places.queries) l.position_query = l.q, l.position_query_bias = l.q_bias;
    } else if (relative) {
      if (places.keys) own("pos_key_proj", l.position_key, l.position_key_bias);
      if (places.queries) own("pos_query_proj", l.position_query, l.position_query_bias);
    }
    return l;
  };
  t.keep_alive = source.keep_alive();
  TextModel model;
  model.family = "deberta-v2";
  model.max_length = longest_text(json, 512);
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  return model;
}

}  // namespace tessera::models
