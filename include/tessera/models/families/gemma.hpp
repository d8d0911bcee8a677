// Gemma (Gemma Team, arXiv:2403.08295), Gemma 2 (arXiv:2408.00118) and Gemma 3 (arXiv:2503.19786), of which EmbeddingGemma
// is made: norms by what their weights have beyond 1, scaled embeddings, local layers. Tensor names of transformers.
#pragma once
#include <cmath>

#include <tessera/models/families/llama.hpp>

namespace tessera::models {

namespace detail {
/// The part for texts of a config.json that is of images too, or all of one that is not.
inline io::Json gemma_text(const io::Json& json) {
  return io::member(json, "text_config").is_null() ? json : tower_config(json, "text_config");
}
}  // namespace detail

/// config.json of a GemmaModel, Gemma2Model or Gemma3TextModel as a stack; of Gemma 3 with images the part for texts.
/// \throws Error kFormat, kUnsupported.
inline TransformerConfig gemma_config(const io::Json& whole, std::optional<bool> causal = {}) {
  using namespace detail;
  const io::Json json = gemma_text(whole);
  const std::string type = io::get_string(whole, "model_type", "gemma");
  const bool first = type == "gemma", third = type.starts_with("gemma3");
  const bool halved = io::get_bool(json, "use_bidirectional_attention", false);
  if (halved && !third)
    throw Error(Code::kUnsupported, "config.json: use_bidirectional_attention is not supported for this model_type");
  DecoderDefaults d{{"gelu_pytorch_tanh", 1e-6, 2304, 8, 9216, 26, 256},
                    third ? 262208 : 256000,
                    4,
                    third ? 131072 : 8192,
                    "hidden_activation"};
  if (first) d = {{"gelu_pytorch_tanh", 1e-6, 3072, 16, 24576, 28, 256}, 256000, 16, 8192, "hidden_act"};
  TransformerConfig c = decoder_config(json, d, causal.value_or(io::get_bool(json, "is_causal", true) && !halved));
  c.norms_from_one = true;
  // The first folders say "gelu" and mean this.
  if (first && c.block.act == Activation::gelu_erf) c.block.act = Activation::gelu_tanh;
  RotaryBase base{.head_dim = c.block.head_dim,
                  .positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, d.positions)};
  base.theta = io::get_number(json, "rope_theta", third ? 1e6 : 1e4);
  if (first) {
    c.kinds.assign(1, LayerKind{.rotary = rotary_angles(rotary_parameters(json), base)});
    return c;
  }
  ops::AttentionParams& a = c.block.attention;
  const double scalar = io::get_number(json, "query_pre_attn_scalar", 256);
  const bool capped =
      third ? false : !io::has(json, "attn_logit_softcapping") || !io::member(json, "attn_logit_softcapping").is_null();
  const double cap = capped ? io::get_number(json, "attn_logit_softcapping", 50) : 0;
  if (!(scalar >= 1e-6 && scalar <= 1e12) || (capped && !(cap >= 1e-6 && cap <= 1e12)))
    throw Error(Code::kFormat, "config.json: query_pre_attn_scalar or attn_logit_softcapping is out of range");
  const FpModeScope mode;
  a.scale = static_cast<float>(1 / std::sqrt(scalar)), a.softcap = static_cast<float>(cap);
  const std::int64_t every = third ? io::get_int(json, "sliding_window_pattern", 1, 1 << 20, 6) : 2;
  std::vector<unsigned char> local = local_layers(json, c.layers, [&](index_t layer) { return (layer + 1) % every != 0; });
  std::optional<std::int64_t> window = window_of(json, 4096);
  if (!third) {
    set_kinds(c, rotary_angles(rotary_parameters(json), base), std::move(local), window);
    return c;
  }
  const io::Json& by_kind = io::member(json, "rope_parameters");
  RotaryBase local_base = base;
  local_base.theta = io::get_number(json, "rope_local_base_freq", 1e4);
  const RotaryAngles global =
      rotary_angles(by_kind.is_null() ? rotary_parameters(json) : io::member(by_kind, "full_attention"), base);
  set_kinds(c, global, std::move(local), window);
  c.kinds[1].rotary = rotary_angles(by_kind.is_null() ? io::Json() : io::member(by_kind, "sliding_attention"), local_base);
  // transformers halves the window of a model that sees all, and takes in both ends.
  if (halved && window) c.kinds[1].window_left = *window / 2, c.kinds[1].window_right = a.causal ? -1 : *window / 2;
  return c;
}

/// GemmaModel, Gemma2Model, Gemma3TextModel, or what lies under the head of a language model or beside a tower for images.
inline TextModel load_gemma(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const io::Json text = detail::gemma_text(json);
  const TransformerConfig config = gemma_config(json, options.causal);
  const std::string type = io::get_string(json, "model_type");
  const LayerNames names = type == "gemma" ? kLlamaLayer : type == "gemma2" ? kGemma2Layer : with_head_norms(kGemma2Layer);
  const auto scale = static_cast<float>(std::sqrt(static_cast<double>(config.block.channels)));
  TextModel model = detail::decoder(ctx, folder, text, options, config, names, scale, 8192);
  model.family = type;
  return model;
}

}  // namespace tessera::models
