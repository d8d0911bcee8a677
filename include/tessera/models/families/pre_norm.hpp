// What the families of pre-norm stacks share: sizes that they all call the same in config.json, and vectors that are kept.
#pragma once
#include <string>
#include <vector>

#include <tessera/io/json.hpp>
#include <tessera/models/transformer.hpp>
#include <tessera/ops/activation.hpp>

namespace tessera::models {

/// The stack's sizes, which all these families call the same. \throws Error kFormat, kUnsupported.
inline TransformerConfig pre_norm_config(const io::Json& json, const char* activation, double eps, std::int64_t channels,
                                         std::int64_t heads) {
  TransformerConfig c;
  ops::BlockConfig& b = c.block;
  constexpr std::int64_t kMost = 1 << 20;
  b.channels = io::get_int(json, "hidden_size", 1, kMost, channels);
  b.heads = b.kv_heads = io::get_int(json, "num_attention_heads", 1, kMost, heads);
  if (b.channels % b.heads != 0)
    throw Error(Code::kFormat, {"config.json: hidden_size ", std::to_string(b.channels),
                                " is not a multiple of num_attention_heads ", std::to_string(b.heads)});
  b.head_dim = b.channels / b.heads;
  b.mlp_width = io::get_int(json, "intermediate_size", 1, kMost, 4 * channels);
  b.eps = static_cast<float>(io::get_number(json, "layer_norm_eps", eps));
  const std::string act = io::get_string(json, "hidden_act", activation);
  if (!ops::activation_from_name(act.c_str(), b.act))
    throw Error(Code::kUnsupported, {"config.json: hidden_act '", act, "' is not supported"});
  b.pre_norm = true;
  c.layers = io::get_int(json, "num_hidden_layers", 0, 4096, 12);
  return c;
}

namespace detail {

inline void keep_vector(std::vector<float>& storage, View<const float, 1> v) {
  storage.assign(v.data, v.data + v.extent[0]);
}
inline View<const float, 1> view_of(const std::vector<float>& v) {
  return View<const float, 1>(v.data(), static_cast<index_t>(v.size()));
}

/// One tower's part of config.json: in its own right, or in the file of a model with two.
inline io::Json tower_config(const io::Json& json, const char* key) {
  const io::Json& part = io::member(json, key);
  if (part.is_null()) return io::has(json, "hidden_size") ? json : io::Json::object();
  if (!part.is_object()) throw Error(Code::kFormat, {"config.json: ", key, " is ", io::shown(&part), ", not an object"});
  return part;
}

}  // namespace detail

}  // namespace tessera::models
