#pragma once
#include <future>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/similarity.hpp>
#include <tessera/text/tokenizer_config-inl.hpp>  // pad_token, which compiled builds do not declare elsewhere

namespace tessera::models {

namespace detail {

/// The last component of a dotted class name: "torch.nn.modules.activation.Tanh" is "Tanh".
inline std::string class_name(const std::string& dotted) { return dotted.substr(dotted.rfind('.') + 1); }

inline View<const index_t, 1> offsets_of(const std::vector<index_t>& cu) {
  return View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
}

/// sentence_bert_config.json and the older names of the same file.
inline std::optional<io::Json> read_limits(const io::ModelFolder& folder, const std::string& sub) {
  for (const char* name : {"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
                           "sentence_camembert_config.json", "sentence_albert_config.json",
                           "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json"})
    if (folder.has(sub + name)) return folder.json(sub + name);
  return std::nullopt;
}

/// Whether a folder without modules is of a causal language model, whose last token has seen all others: what
/// sentence-transformers goes by, and mean pooling otherwise.
inline bool embeds_by_last_token(const io::Json& config, const TextModel& model) {
  const io::Json& names = io::member(config, "architectures");
  return model.transformer->config().block.attention.causal && names.is_array() && !names.empty() && names[0].is_string() &&
         names[0].get_ref<const std::string&>().ends_with("ForCausalLM");
}

/// Tokens that a text is cut to by what the folder says, of `most` that the model has positions for.
inline index_t length_limit(const io::ModelFolder& folder, const std::optional<io::Json>& limits, index_t most) {
  index_t length = most;
  if (limits && !io::member(*limits, "max_seq_length").is_null()) {
    length = io::get_int(*limits, "max_seq_length", 1, std::int64_t{1} << 40);
  } else if (folder.has("tokenizer_config.json")) {
    const double said = io::get_number(folder.json("tokenizer_config.json"), "model_max_length", 1e30);  // 1e30: no limit
    if (said < static_cast<double>(most)) length = static_cast<index_t>(said);
  }
  return std::min(length, most);
}

}  // namespace detail

inline TextEncoder TextEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options) {
  const FpModeScope mode;  // as in load_text_model
  const io::ModelFolder folder = io::ModelFolder::open(path);
  TextEncoder e;
  folder.naming([&] { e.read_modules(ctx, folder, options); });
  return e;
}

inline void TextEncoder::read_modules(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  std::string root;  // where the transformer lies: the folder itself, or 0_Transformer in old ones
  steps_.clear();
  if (folder.has("modules.json")) {
    const io::Json modules = folder.json("modules.json");
    if (!modules.is_array() || modules.empty())
      throw Error(Code::kFormat, {folder.path("modules.json"), ": expected a list of modules"});
    bool transformer = false;
    for (const io::Json& m : modules) {
      const std::string type = detail::class_name(io::get_string(m, "type")), sub = io::get_string(m, "path", "");
      const std::string at = sub.empty() ? sub : sub + "/";
      if (type == "Transformer") {
        root = at;
        transformer = true;
      } else if (type == "Pooling") {
        read_pooling(folder.json(at + "config.json"), folder.path(at + "config.json"));
        steps_.push_back({Step::kPooling, 0});
      } else if (type == "Dense") {
        read_dense(ctx, folder, at, options);
        steps_.push_back({Step::kDense, dense_.size() - 1});
      } else if (type == "Normalize") {
        steps_.push_back({Step::kNormalize, 0});
      } else {
        throw Error(Code::kUnsupported, {folder.path("modules.json"), ": module '", type,
                                         "' is not supported; known: Transformer, Pooling, Dense, Normalize"});
      }
    }
    if (!transformer || steps_.empty() || steps_.front().kind != Step::kPooling)
      throw Error(Code::kUnsupported, {folder.path("modules.json"), ": expected a Transformer, then Pooling"});
  } else {
    steps_ = {{Step::kPooling, 0}, {Step::kNormalize, 0}};  // a plain folder: its own head or mean pooling, unit length
  }
  const io::ModelFolder inner = root.empty() ? folder : folder.sub(root);
  text::LoadOptions text_options;
  const auto limits = detail::read_limits(folder, root);
  if (limits && io::get_bool(*limits, "do_lower_case", false)) text_options.lowercase = true;
  // What the tokenizer class of SigLIP 2 does, whatever tokenizer.json says.
  if (inner.has("config.json") && is_siglip2(inner.json("config.json"))) text_options.lowercase = true;
  // Read while the weights are: of a small model it is half of the time.
  std::future<text::Tokenizer> tokenizer =
      std::async(ctx.has_own_threads() ? std::launch::async | std::launch::deferred : std::launch::deferred, [&] {
        const FpModeScope own_mode;
        return text::Tokenizer::load(inner.root(), text_options);
      });
  model_ = load_text_model(ctx, inner, options);
  if (!folder.has("modules.json") && detail::embeds_by_last_token(inner.config(), model_)) pooling_ = {ops::Pooling::last};
  if (folder.has("modules.json")) model_.head.reset();  // the modules say what follows the stack
  tokenizer_ = std::make_unique<text::Tokenizer>(tokenizer.get());
  if (model_.head && model_.head->pad >= 0) {
    // Texts are filled up with the tokenizer's token: pad_token_id is 1 by default even where that is not it (SigLIP 2).
    const io::Json config = text::detail::read_config(inner.root());
    if (const auto pad = tokenizer_->token_to_id(text::detail::config_token(config, "pad_token", "")))
      model_.head->pad = *pad;
    const char* absent = model_.family == "siglip2" ? "left" : "right";  // of the tokenizer classes
    model_.head->pad_left = io::get_string(config, "padding_side", absent) == "left";
  }
  max_length_ = detail::length_limit(inner, limits, model_.max_length);
  if (folder.has("config_sentence_transformers.json")) {
    const io::Json json = folder.json("config_sentence_transformers.json");
    if (io::member(json, "prompts").is_object())
      for (const auto& [name, prompt] : json["prompts"].items())
        if (prompt.is_string()) prompts_[name] = prompt.get<std::string>();
    if (io::member(json, "default_prompt_name").is_string())
      default_prompt_ = json["default_prompt_name"].get<std::string>();
  }
  (void)dim();  // refuses modules that do not fit each other
}

inline void TextEncoder::read_pooling(const io::Json& json, const std::string& file) {
  using ops::Pooling;
  static constexpr struct {
    const char *flag, *mode;
    Pooling pooling;
  } kModes[] = {{"pooling_mode_cls_token", "cls", Pooling::cls},
                {"pooling_mode_max_tokens", "max", Pooling::max},
                {"pooling_mode_mean_tokens", "mean", Pooling::mean},
                {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::mean_sqrt},
                {"pooling_mode_weightedmean_tokens", "weightedmean", Pooling::weighted_mean},
                {"pooling_mode_lasttoken", "lasttoken", Pooling::last}};
  pooling_.clear();
  include_prompt_ = io::get_bool(json, "include_prompt", true);
  if (io::has(json, "pooling_mode")) {
    const auto take = [&](const io::Json& mode) {
      bool known = false;
      for (const auto& k : kModes)
        if (mode.is_string() && mode.get_ref<const std::string&>() == k.mode) pooling_.push_back(k.pooling), known = true;
      if (!known) throw Error(Code::kUnsupported, {file, ": pooling_mode ", io::shown(&mode), " is not supported"});
    };
    const io::Json& modes = json["pooling_mode"];
    if (!modes.is_array())
      take(modes);
    else
      for (const io::Json& mode : modes) take(mode);
  } else {
    for (const auto& k : kModes)
      if (io::get_bool(json, k.flag, false)) pooling_.push_back(k.pooling);
  }
  if (pooling_.empty()) pooling_.push_back(Pooling::mean);
}

inline void TextEncoder::read_dense(Context& ctx, const io::ModelFolder& folder, const std::string& sub,
                                    const LoadOptions& options) {
  const io::Json json = folder.json(sub + "config.json");
  const std::string file = folder.path(sub + "config.json");
  Dense& d = dense_.emplace_back();
  d.in = io::get_int(json, "in_features", 1, 1 << 24);
  d.out = io::get_int(json, "out_features", 1, 1 << 24);
  if (io::get_bool(json, "use_residual", false)) throw Error(Code::kUnsupported, {file, ": use_residual is not supported"});
  const std::string act = detail::class_name(io::get_string(json, "activation_function", "Tanh"));
  static constexpr struct {
    const char* name;
    Activation act;
  } kActivations[] = {{"Tanh", Activation::tanh},
                      {"Identity", Activation::identity},
                      {"ReLU", Activation::relu},
                      {"GELU", Activation::gelu_erf},
                      {"SiLU", Activation::silu}};
  bool known = false;
  for (const auto& k : kActivations)
    if (act == k.name) d.layer.act = k.act, known = true;
  if (!known) throw Error(Code::kUnsupported, {file, ": activation_function '", act, "' is not supported"});
  TensorSource source(ctx, folder.sub(sub).checkpoint(), {""}, "linear.weight", options);
  const auto weight = source.matrix({"linear.weight"});
  if (weight.extent[0] != d.out || weight.extent[1] != d.in)
    throw Error(Code::kShapeMismatch, {file, ": linear.weight is not [out_features, in_features]"});
  const Activation activation = d.layer.act;
  d.layer = models::read_dense(ctx, source, "linear", d.out, d.in);
  d.layer.act = activation;
}

inline std::string TextEncoder::prompt_for(const EmbedOptions& o) const {
  if (o.prompt) return *o.prompt;
  const std::string& name = o.prompt_name.empty() ? default_prompt_ : o.prompt_name;
  if (name.empty()) return {};
  const auto found = prompts_.find(name);
  if (found != prompts_.end()) return found->second;
  std::string known;
  for (const auto& [key, value] : prompts_) known += (known.empty() ? "" : ", ") + key;
  throw Error(Code::kBadArgument,
              {"prompt '", name, "' is not one of the model's: ", (known.empty() ? "it has none" : known)});
}

inline index_t TextEncoder::dim(const EmbedOptions& o) const {
  index_t d = model_.transformer->config().block.channels * (o.pooling ? 1 : static_cast<index_t>(pooling_.size()));
  if (uses_head(o)) d = model_.head->projection.linear.weight.n();
  for (const Step& s : steps_) {
    if (s.kind != Step::kDense) continue;
    const Dense& layer = dense_[s.dense];
    if (layer.in != d)
      throw Error(o.pooling ? Code::kBadArgument : Code::kShapeMismatch,
                  {"a Dense module of this model takes ", std::to_string(layer.in), " numbers, ",
                   (o.pooling ? "the pooling asked for" : "what comes before it"), " gives ", std::to_string(d)});
    d = layer.out;
  }
  if (o.dims < 0 || o.dims > d)
    throw Error(Code::kBadArgument,
                {"dims ", std::to_string(o.dims), ": this model's embeddings have ", std::to_string(d), " numbers"});
  return o.dims > 0 ? o.dims : d;
}

inline TokenizedTexts TextEncoder::tokenize(Context& ctx, std::span<const std::string_view> texts,
                                            const EmbedOptions& o) const {
  const index_t most = o.max_length > 0 ? o.max_length : max_length_;
  if (most > model_.max_length)
    throw Error(Code::kBadArgument, {"max length ", std::to_string(most), ": this model has positions for ",
                                     std::to_string(model_.max_length), " tokens"});
  const std::string prompt = prompt_for(o);
  const auto n = static_cast<index_t>(texts.size());
  std::vector<std::vector<std::int32_t>> ids(texts.size());
  constexpr index_t kChunk = 16;
  ctx.parallel_for((n + kChunk - 1) / kChunk, [&](index_t chunk, int) {
    std::string joined;
    for (index_t i = chunk * kChunk; i < n && i < (chunk + 1) * kChunk; ++i) {
      const auto at = static_cast<std::size_t>(i);
      std::string_view text = texts[at];
      if (!prompt.empty()) text = joined.assign(prompt).append(text);
      try {
        tokenizer_->encode_ids(text, ids[at], most);
      } catch (const Error& e) {
        throw Error(e.code(), {"text ", std::to_string(i), ": ", e.what()});
      }
    }
  });
  TokenizedTexts t;
  for (auto& row : ids) {
    if (model_.head && model_.head->pad >= 0 && static_cast<index_t>(row.size()) < most)
      row.insert(model_.head->pad_left ? row.begin() : row.end(), static_cast<std::size_t>(most) - row.size(),
                 model_.head->pad);
    t.ids.insert(t.ids.end(), row.begin(), row.end());
    t.cu_seqlens.push_back(static_cast<index_t>(t.ids.size()));
  }
  if (!include_prompt_ && !prompt.empty()) {
    // sentence-transformers counts the prompt's own tokens without the final special one.
    std::vector<std::int32_t> own;
    tokenizer_->encode_ids(prompt, own, most);
    t.prompt_tokens.assign(texts.size(), own.empty() ? 0 : static_cast<index_t>(own.size()) - 1);
  }
  return t;
}

inline void TextEncoder::embed_tokens(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o,
                                      View<float, 2> out) const {
  const auto n = static_cast<index_t>(t.cu_seqlens.size()) - 1, tokens = t.cu_seqlens.back();
  const index_t c = model_.transformer->config().block.channels, width = dim(o);
  if (out.extent[0] != n || out.extent[1] != width || !out.packed())
    throw Error(Code::kShapeMismatch, {"embed: out must be packed [", std::to_string(n), ", ", std::to_string(width), "]"});
  if (n == 0) return;
  const Buffer hidden_memory(static_cast<std::size_t>(tokens * c) * sizeof(float));
  const View<float, 2> hidden(hidden_memory.as<float>(), tokens, c);
  TokenInputs in;
  in.ids = View<const std::int32_t, 1>(t.ids.data(), tokens);
  in.batch.cu_seqlens = detail::offsets_of(t.cu_seqlens);
  ForwardOptions forward;
  forward.layers = o.layers;
  forward.taps = o.taps;
  forward.attention = o.attention;
  model_.transformer->forward(ctx, in, hidden, forward);

  View<const float, 2> rows = hidden;
  std::vector<index_t> cu = t.cu_seqlens;
  std::vector<float> without_prompt, weights;
  if (!t.prompt_tokens.empty()) {  // tokens of the prompt take no part in pooling
    for (index_t b = 0; b < n; ++b) {
      const auto at = static_cast<std::size_t>(b);
      const index_t skip = std::min(t.prompt_tokens[at], t.cu_seqlens[at + 1] - t.cu_seqlens[at] - 1);
      float* from = hidden.data + (t.cu_seqlens[at] + skip) * c;
      without_prompt.insert(without_prompt.end(), from, hidden.data + t.cu_seqlens[at + 1] * c);
      cu[at + 1] = static_cast<index_t>(without_prompt.size()) / c;
      // weightedmean goes on counting where the prompt's tokens were.
      for (index_t k = cu[at]; k < cu[at + 1]; ++k) weights.push_back(static_cast<float>(skip + 1 + k - cu[at]));
    }
    rows = View<const float, 2>(without_prompt.data(), cu.back(), c);
  }
  const std::vector<ops::Pooling> modes = o.pooling ? std::vector<ops::Pooling>{*o.pooling} : pooling_;
  index_t d = c * static_cast<index_t>(modes.size());
  std::vector<float> pooled(static_cast<std::size_t>(n * d)), next;
  if (uses_head(o)) {
    d = model_.head->projection.linear.weight.n();
    pooled.resize(static_cast<std::size_t>(n * d));
    model_.embed(ctx, hidden, in.ids, in.batch.cu_seqlens, View<float, 2>(pooled.data(), n, d));
  }
  for (std::size_t m = 0; m < modes.size() && !uses_head(o); ++m) {
    View<float, 2> part(pooled.data(), n, d);
    part.data += static_cast<index_t>(m) * c;
    part.extent[1] = c;
    const View<const float, 1> given(weights.data(), static_cast<index_t>(weights.size()));
    ops::pool(ctx, modes[m], rows, detail::offsets_of(cu), weights.empty() ? View<const float, 1>() : given, part);
  }
  bool unit = false;
  for (const Step& s : steps_) {
    const View<float, 2> x(pooled.data(), n, d);
    if (s.kind == Step::kDense) {
      const Dense& layer = dense_[s.dense];
      next.resize(static_cast<std::size_t>(n * layer.out));
      ops::linear(ctx, x, layer.layer.linear.weight, {.bias = layer.layer.linear.bias, .act = layer.layer.act},
                  View<float, 2>(next.data(), n, layer.out));
      pooled.swap(next);
      d = layer.out;
    } else if (s.kind == Step::kNormalize && o.normalize) {
      ops::l2_normalize(ctx, x, x);
      unit = true;
    }
  }
  View<float, 2> kept(pooled.data(), n, d);
  kept.extent[1] = width;
  if (width < d && unit) ops::l2_normalize(ctx, kept, kept);
  for (index_t b = 0; b < n; ++b)
    __builtin_memcpy(out.data + b * width, pooled.data() + b * d, static_cast<std::size_t>(width) * sizeof(float));
}

inline Embeddings TextEncoder::embed(Context& ctx, std::span<const std::string_view> texts, const EmbedOptions& o) const {
  Embeddings e;
  e.rows = static_cast<index_t>(texts.size());
  e.dim = dim(o);
  e.values.resize(static_cast<std::size_t>(e.rows * e.dim));
  const TokenizedTexts all = tokenize(ctx, texts, o);
  for (index_t b = 0; b < e.rows;) {
    index_t end = b + 1;
    const auto at = [&](index_t i) { return all.cu_seqlens[static_cast<std::size_t>(i)]; };
    while (end < e.rows && at(end + 1) - at(b) <= o.batch_tokens) ++end;
    TokenizedTexts part;
    part.ids.assign(all.ids.begin() + at(b), all.ids.begin() + at(end));
    for (index_t i = b + 1; i <= end; ++i) part.cu_seqlens.push_back(at(i) - at(b));
    if (!all.prompt_tokens.empty())
      part.prompt_tokens.assign(all.prompt_tokens.begin() + b, all.prompt_tokens.begin() + end);
    embed_tokens(ctx, part, o, View<float, 2>(e.values.data() + b * e.dim, end - b, e.dim));
    b = end;
  }
  detail::expect_finite(ctx, e, "text");
  return e;
}

}  // namespace tessera::models
