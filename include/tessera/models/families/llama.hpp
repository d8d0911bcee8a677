// Llama (Touvron et al., arXiv:2302.13971; Grattafiori et al., arXiv:2407.21783) and the decoders that differ from it by
// windows, biases, norms of heads and names: Mistral (Jiang et al., arXiv:2310.06825), Qwen 2 (arXiv:2407.10671), Qwen 3
// (arXiv:2505.09388), Phi-3 (Abdin et al., arXiv:2404.14219); and EuroBERT (Boizard et al.,
// arXiv:2503.05500), which sees all. Pre-norm by root mean squares, gated MLPs, rotary positions,
// grouped keys. Tensor names of transformers.
#pragma once
#include <optional>

#include <tessera/models/families/rotary_config.hpp>
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/layer_names.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

namespace detail {

/// What the configuration class of a decoder says where config.json does not.
struct DecoderDefaults {
  StackDefaults sizes;
  std::int64_t vocabulary, kv_heads, positions;  ///< kv_heads 0: as many as heads
  const char* activation_key = "hidden_act";
};

/// The sizes of a decoder, rotary positions not among them.
inline TransformerConfig decoder_config(const io::Json& json, const DecoderDefaults& d, bool causal) {
  StackDefaults sizes = d.sizes;
  const std::int64_t channels = io::get_int(json, "hidden_size", 1, 1 << 20, *sizes.channels);
  const std::int64_t heads = io::get_int(json, "num_attention_heads", 1, 1 << 20, *sizes.heads);
  if (!sizes.head_dim) sizes.head_dim = std::max<std::int64_t>(1, channels / heads);
  TransformerConfig c =
      stack_config(json, sizes, {.eps = "rms_norm_eps", .activation = d.activation_key, .head_dim = "head_dim"});
  ops::BlockConfig& b = c.block;
  b.kv_heads = io::get_int(json, "num_key_value_heads", 1, 1 << 20, d.kv_heads > 0 ? d.kv_heads : heads);
  if (b.heads % b.kv_heads != 0)
    throw Error(Code::kFormat, {"config.json: num_attention_heads ", std::to_string(b.heads),
                                " is not a multiple of num_key_value_heads ", std::to_string(b.kv_heads)});
  b.pre_norm = b.glu = c.final_norm = true;
  b.norm = ops::NormKind::rms_norm, b.attention.causal = causal;
  c.vocab_size = io::get_int(json, "vocab_size", 1, std::int64_t{1} << 31, d.vocabulary);
  return c;
}

/// The model of a source: embed_tokens, layers, norm.
inline TextModel decoder(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options,
                         const TransformerConfig& config, const LayerNames& names, float scale, std::int64_t positions) {
  TensorSource source(ctx, folder.checkpoint(), {"", "model.", "language_model.model.", "model.language_model."},
                      "embed_tokens.weight", options);
  TransformerTensors t;
  t.tables.word = source.table({"embed_tokens.weight"});
  t.tables.scale = scale;
  t.final_norm = norm_weight(source, "norm", true);
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, names, "layers." + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();
  TextModel model;
  model.family = io::get_string(json, "model_type", "");
  model.max_length = longest_text(json, positions);
  model.transformer = std::make_unique<Transformer>(ctx, config, t);
  return model;
}

/// The one kind of layers of a decoder, or its two: those with a window, and those without.
inline void set_kinds(TransformerConfig& c, const RotaryAngles& angles, std::vector<unsigned char> local,
                      std::optional<std::int64_t> window) {
  c.kinds.assign(2, LayerKind{.rotary = angles});
  c.kind_of = std::move(local);
  const bool any = std::find(c.kind_of.begin(), c.kind_of.end(), 1) != c.kind_of.end();
  if (any && !window) throw Error(Code::kFormat, "config.json: layers with a window, and no sliding_window");
  if (any) set_window(c.kinds[1], *window, c.block.attention.causal);
}

/// config.json's sliding_window, which may be null or absent.
inline std::optional<std::int64_t> window_of(const io::Json& json, std::optional<std::int64_t> absent) {
  if (!io::has(json, "sliding_window")) return absent;
  if (io::member(json, "sliding_window").is_null()) return std::nullopt;
  return io::get_int(json, "sliding_window", 1, std::int64_t{1} << 40);
}

}  // namespace detail

/// config.json of a LlamaModel, MistralModel, Qwen2Model, Qwen3Model, Phi3Model or EuroBertModel as a stack.
/// \param causal whether tokens see only those before them; absent: as is_causal says, or yes. Decoders that embed texts are
/// often made to see all (LLM2Vec, BehnamGhader et al., arXiv:2404.05961).  \throws Error kFormat, kUnsupported.
inline TransformerConfig llama_config(const io::Json& json, std::optional<bool> causal = {}) {
  using namespace detail;
  const std::string type = io::get_string(json, "model_type", "llama");
  const bool mistral = type == "mistral", euro = type == "eurobert", phi = type == "phi3", qwen = type.starts_with("qwen");
  DecoderDefaults d{{"silu", 1e-6, 4096, 32, 11008, 32}, 32000, 0, 2048};
  if (mistral) d = {{"silu", 1e-6, 4096, 32, 14336, 32}, 32000, 8, 4096 * 32};
  if (phi) d = {{"silu", 1e-5, 3072, 32, 8192, 32}, 32064, 0, 4096};
  if (qwen) d = {{"silu", 1e-6, 4096, 32, 22016, 32}, 151936, 32, 32768};
  if (euro) d = {{"silu", 1e-5, 768, 12, 3072, 12}, 128256, 0, 8192};
  if (type == "qwen3") d.sizes.head_dim = 128;
  TransformerConfig c = decoder_config(json, d, euro ? false : causal.value_or(io::get_bool(json, "is_causal", true)));
  RotaryBase base{.head_dim = c.block.head_dim,
                  .positions = io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, d.positions)};
  base.theta = io::get_number(json, "rope_theta", base.theta);
  io::Json parameters = rotary_parameters(json);
  if (phi) {
    base.share = io::get_number(json, "partial_rotary_factor", 1);
    base.original = io::get_int(json, "original_max_position_embeddings", 1, std::int64_t{1} << 31, 4096);
    const std::string kind =
        parameters.is_object()
            ? io::get_string(parameters, parameters.contains("rope_type") ? "rope_type" : "type", "default")
            : "";
    if (kind == "su" || kind == "yarn") parameters["rope_type"] = "longrope";  // what its folders called that at first
  }
  const bool windows = !qwen || io::get_bool(json, "use_sliding_window", false);
  const auto window =
      windows ? window_of(json, mistral || qwen ? std::optional<std::int64_t>(4096) : std::nullopt) : std::nullopt;
  std::vector<unsigned char> local;
  if (qwen) {
    const std::int64_t first = io::get_int(json, "max_window_layers", 0, 1 << 20, 28);
    local = local_layers(json, c.layers, [&](index_t layer) { return window && layer >= first; });
  } else {
    local.assign(static_cast<std::size_t>(c.layers), (mistral || phi) && window);
  }
  set_kinds(c, rotary_angles(parameters, base), std::move(local), window);
  return c;
}

/// LlamaModel, MistralModel, Qwen2Model, Qwen3Model, Phi3Model, EuroBertModel, or what lies under the head of a language
/// model.
inline TextModel load_llama(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const TransformerConfig config = llama_config(json, options.causal);
  const std::string type = io::get_string(json, "model_type", "llama");
  LayerNames names = type == "phi3" ? kPhi3Layer : type == "qwen3" ? with_head_norms(kLlamaLayer) : kLlamaLayer;
  return detail::decoder(ctx, folder, json, options, config, names, 1.f, 4096);
}

}  // namespace tessera::models
