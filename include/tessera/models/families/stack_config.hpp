// What families share: sizes that they all call the same in config.json.
#pragma once
#include <optional>
#include <string>

#include <tessera/io/json.hpp>
#include <tessera/models/transformer.hpp>
#include <tessera/ops/activation.hpp>

namespace tessera::models {

/// The activation that config.json names. \throws Error kUnsupported.
inline Activation activation_of(const io::Json& json, const char* key, const char* absent) {
  const std::string name = io::get_string(json, key, absent);
  Activation act = Activation::identity;
  if (!ops::activation_from_name(name.c_str(), act))
    throw Error(Code::kUnsupported, {"config.json: ", key, " '", name, "' is not supported"});
  return act;
}

/// What a family's configuration class says where config.json does not; an absent number is required there.
struct StackDefaults {
  const char* activation = "gelu";
  double eps = 1e-12;
  std::optional<std::int64_t> channels = {}, heads = {}, mlp_width = {}, layers = {}, head_dim = {};
};

/// What config.json calls a stack's sizes.
struct StackKeys {
  const char *channels = "hidden_size", *heads = "num_attention_heads", *mlp_width = "intermediate_size",
             *layers = "num_hidden_layers", *eps = "layer_norm_eps";  ///< eps null: the default
  const char* activation = "hidden_act";                              ///< null: the default
  const char* head_dim = nullptr;                                     ///< null: channels / heads
};

/// The stack's sizes. \throws Error kFormat, kUnsupported.
inline TransformerConfig stack_config(const io::Json& json, const StackDefaults& d, const StackKeys& keys = {}) {
  TransformerConfig c;
  ops::BlockConfig& b = c.block;
  constexpr std::int64_t kMost = 1 << 20;
  const auto number = [&](const char* key, std::int64_t least, std::int64_t most,
                          const std::optional<std::int64_t>& absent) {
    return absent ? io::get_int(json, key, least, most, *absent) : io::get_int(json, key, least, most);
  };
  b.channels = number(keys.channels, 1, kMost, d.channels);
  b.heads = b.kv_heads = number(keys.heads, 1, kMost, d.heads);
  if (keys.head_dim)
    b.head_dim = number(keys.head_dim, 1, kMost, d.head_dim);
  else if (b.channels % b.heads != 0)
    throw Error(Code::kFormat, {"config.json: ", keys.channels, " ", std::to_string(b.channels), " is not a multiple of ",
                                keys.heads, " ", std::to_string(b.heads)});
  else
    b.head_dim = b.channels / b.heads;
  b.mlp_width = number(keys.mlp_width, 1, kMost, d.mlp_width);
  b.eps = static_cast<float>(keys.eps ? io::get_number(json, keys.eps, d.eps) : d.eps);
  b.act = activation_of(keys.activation ? json : io::empty_object(), keys.activation ? keys.activation : "hidden_act",
                        d.activation);
  c.layers = number(keys.layers, 0, 4096, d.layers);
  return c;
}

/// The same for pre-norm stacks of 12 layers by default, with an MLP four times as wide as its channels.
inline TransformerConfig pre_norm_config(const io::Json& json, const char* activation, double eps, std::int64_t channels,
                                         std::int64_t heads) {
  TransformerConfig c = stack_config(json, {activation, eps, channels, heads, 4 * channels, 12});
  c.block.pre_norm = true;
  return c;
}

namespace detail {

/// One tower's part of config.json: in its own right, or in the file of a model with two.
inline io::Json tower_config(const io::Json& json, const char* key) {
  const io::Json& part = io::member(json, key);
  if (part.is_null()) return io::has(json, "hidden_size") ? json : io::Json::object();
  if (!part.is_object()) throw Error(Code::kFormat, {"config.json: ", key, " is ", io::shown(&part), ", not an object"});
  return part;
}

}  // namespace detail

}  // namespace tessera::models
