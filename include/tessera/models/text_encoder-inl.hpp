#pragma once
#include <algorithm>
#include <utility>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/sentence_folder.hpp>
#include <tessera/models/text_backbone-inl.hpp>  // offsets_of, which compiled builds do not declare elsewhere
#include <tessera/models/text_encoder.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/similarity.hpp>

namespace tessera::models {

namespace detail {

/// Copies what layers leave of the tokens on the way through a stack.
struct LayerStates {
  const Taps* others;                              ///< the caller's own
  index_t stride;                                  ///< floats from a token's to the next
  std::vector<std::pair<index_t, float*>> wanted;  ///< after so many layers, to there

  static void copy(View<const float, 2> from, float* to, index_t stride) {
    for (index_t t = 0; t < from.extent[0]; ++t)
      __builtin_memcpy(to + t * stride, from[t].data, static_cast<std::size_t>(from.extent[1]) * sizeof(float));
  }
  static void sink(void* self, const char* name, View<const float, 2> value) {
    const auto& s = *static_cast<const LayerStates*>(self);
    if (s.others && s.others->wants(name)) s.others->sink(s.others->state, name, value);
    for (const auto& [layers, to] : s.wanted)
      if (name == (layers == 0 ? "embeddings" : "layers." + std::to_string(layers - 1) + ".output"))
        copy(value, to, s.stride);
  }
};

/// Whether a folder without modules is of a causal language model, whose last token has seen all others: what
/// sentence-transformers goes by, and mean pooling otherwise.
inline bool embeds_by_last_token(const io::Json& config, const TextModel& model) {
  const io::Json& names = io::member(config, "architectures");
  return model.transformer->config().block.attention.causal && names.is_array() && !names.empty() && names[0].is_string() &&
         names[0].get_ref<const std::string&>().ends_with("ForCausalLM");
}

}  // namespace detail

inline TextEncoder TextEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options) {
  const FpModeScope mode;  // as in load_text_model
  const SentenceFolder folder = SentenceFolder::open(path);
  TextEncoder e;
  folder.folder.naming([&] { e.read(ctx, folder, options); });
  return e;
}

inline void TextEncoder::read(Context& ctx, const SentenceFolder& f, const LoadOptions& options) {
  std::vector<std::string> reasons;
  if (f.listed) modules_ = read_sentence_modules(ctx, f, options, reasons);
  base_ = TextBackbone::load(ctx, f, options);
  if (f.listed) {
    base_.model.head.reset();  // the modules say what follows the stack
  } else {
    const bool last = detail::embeds_by_last_token(f.inner.config(), base_.model);
    modules_.emplace_back(TokenPooling{.modes = {last ? ops::Pooling::last : ops::Pooling::mean}});
    modules_.emplace_back(UnitLength{});
    reasons.push_back(base_.model.head ? "the model's own projection, and unit length: a model of images and texts"
                      : last           ? "pooling last, and unit length: a causal language model without modules.json"
                                       : "pooling mean, and unit length: there is no modules.json");
  }
  base_.reasons.insert(base_.reasons.begin(), reasons.begin(), reasons.end());
  if (const LayerMean* mean = layer_mean()) {
    const index_t layers = base_.model.transformer->config().layers,
                  read = mean->first + static_cast<index_t>(mean->weights.size());
    if (read != layers + 1)
      throw Error(Code::kShapeMismatch, {"WeightedLayerPooling reads ", std::to_string(read - 1), " layers, the model has ",
                                         std::to_string(layers)});
  }
  pad_as_trained(f.inner);
  matryoshka_ = Matryoshka::read(f.folder);
  if (matryoshka_.declared)
    base_.reasons.push_back("may be cut (Matryoshka) to " + matryoshka_.shown() + ": " + matryoshka_.where);
  if (matryoshka_.cut > 0)
    base_.reasons.push_back("cut to " + std::to_string(matryoshka_.cut) +
                            " numbers unless others are asked for: truncate_dim");
  (void)dim();  // refuses modules that do not fit each other
}

// Texts are filled up with the tokenizer's token: pad_token_id is 1 by default even where that is not it (SigLIP 2).
inline void TextEncoder::pad_as_trained(const io::ModelFolder& folder) {
  std::optional<TextHead>& head = base_.model.head;
  if (!head || head->pad < 0) return;
  const io::Json config = text::detail::read_config(folder.root());
  if (const auto pad = base_.tokenizer->token_to_id(text::detail::config_token(config, "pad_token", ""))) head->pad = *pad;
  const char* absent = base_.model.family == "siglip2" ? "left" : "right";  // of the tokenizer classes
  head->pad_left = io::get_string(config, "padding_side", absent) == "left";
}

inline const TokenPooling& TextEncoder::pooling() const noexcept {
  const TokenPooling* found = nullptr;
  for (const SentenceModule& m : modules_)
    if (const auto* p = std::get_if<TokenPooling>(&m)) found = p;
  return *found;  // reading refuses modules without one
}

inline const LayerMean* TextEncoder::layer_mean() const noexcept {
  for (const SentenceModule& m : modules_)
    if (const auto* mean = std::get_if<LayerMean>(&m)) return mean;
  return nullptr;
}

inline index_t TextEncoder::full_dim(const EmbedOptions& o) const {
  index_t d = base_.model.transformer->width();
  const auto expect = [&](const char* type, index_t takes) {
    if (takes == d) return;
    throw Error(o.pooling ? Code::kBadArgument : Code::kShapeMismatch,
                {"a ", type, " module of this model takes ", std::to_string(takes), " numbers, ",
                 (o.pooling ? "the pooling asked for" : "what comes before it"), " gives ", std::to_string(d)});
  };
  for (const SentenceModule& m : modules_) {
    if (const auto* p = std::get_if<TokenPooling>(&m))
      d = uses_head(o) ? base_.model.head->projection.linear.weight.n()
                       : d * (o.pooling ? 1 : static_cast<index_t>(p->modes.size()));
    if (const auto* p = std::get_if<Projection>(&m)) expect("Dense", p->in), d = p->out;
    if (const auto* norm = std::get_if<RowNorm>(&m)) expect("LayerNorm", static_cast<index_t>(norm->gamma.size()));
  }
  return d;
}

inline index_t TextEncoder::dim(const EmbedOptions& o) const {
  if (o.layers >= 0 && layer_mean())
    throw Error(Code::kBadArgument, "layers: the WeightedLayerPooling of this model reads all of them");
  const index_t d = full_dim(o);
  if (o.dims < 0 || o.dims > d)
    throw Error(Code::kBadArgument,
                {"dims ", std::to_string(o.dims), ": this model's embeddings have ", std::to_string(d), " numbers"});
  if (o.dims == 0) return matryoshka_.cut > 0 && matryoshka_.cut < d ? matryoshka_.cut : d;
  if (o.dims < d && !o.force_dims && !matryoshka_.fits(o.dims))
    throw Error(
        Code::kBadArgument,
        {"dims ", std::to_string(o.dims), ": ",
         (matryoshka_.declared
              ? "the folder says that its embeddings may be cut to " + matryoshka_.shown() + " (" + matryoshka_.where + ")"
              : std::string("nothing in the folder says that its embeddings may be cut (Matryoshka)")),
         "; force_dims (--force-dims) cuts all the same"});
  return o.dims;
}

inline TokenizedTexts TextEncoder::tokenize(Context& ctx, std::span<const std::string_view> texts,
                                            const EmbedOptions& o) const {
  const index_t most = base_.length_of(o.max_length);
  const std::string prompt = base_.prompt_of(o.prompt, o.prompt_name);
  const std::optional<TextHead>& head = base_.model.head;
  TokenizedTexts t;
  for (auto& row : base_.ids_of(ctx, texts, prompt, most)) {
    if (head && head->pad >= 0 && static_cast<index_t>(row.size()) < most)
      row.insert(head->pad_left ? row.begin() : row.end(), static_cast<std::size_t>(most) - row.size(), head->pad);
    t.add(row);
  }
  if (!pooling().include_prompt && !prompt.empty()) {
    // sentence-transformers counts the prompt's own tokens without the final special one.
    std::vector<std::int32_t> own;
    base_.tokenizer->encode_ids(prompt, own, most);
    t.prompt_tokens.assign(texts.size(), own.empty() ? 0 : static_cast<index_t>(own.size()) - 1);
  }
  return t;
}

namespace detail {
inline void expect_no_projection(const Transformer& stack) {
  if (stack.config().output_width > 0)
    throw Error(Code::kUnsupported, "embed: states of earlier layers are of another width than this model's last one");
}
}  // namespace detail

inline std::vector<Buffer> TextEncoder::hidden_states(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o,
                                                      std::span<const index_t> layers) const {
  const Transformer& stack = *base_.model.transformer;
  const index_t tokens = t.cu_seqlens.back(), c = stack.width();
  std::vector<Buffer> states;
  for (std::size_t i = 0; i < layers.size(); ++i) states.emplace_back(static_cast<std::size_t>(tokens * c) * sizeof(float));
  const auto view = [&](std::size_t i) { return View<float, 2>(states[i].as<float>(), tokens, c); };
  const auto depth = [&](std::size_t i) { return layers[i] < 0 ? stack.config().layers : layers[i]; };
  std::size_t deepest = 0;
  for (std::size_t i = 1; i < layers.size(); ++i)
    if (depth(i) > depth(deepest)) deepest = i;
  detail::LayerStates copies{o.taps, c, {}};
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (depth(i) < depth(deepest)) copies.wanted.emplace_back(depth(i), view(i).data);
  if (!copies.wanted.empty()) detail::expect_no_projection(stack);
  const Taps taps{"*", detail::LayerStates::sink, &copies};
  ForwardOptions forward;
  forward.layers = layers[deepest];
  forward.taps = copies.wanted.empty() ? o.taps : &taps;
  forward.attention = o.attention;
  stack.forward(ctx, t.inputs(), view(deepest), forward);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i == deepest) continue;
    if (depth(i) == depth(deepest))
      detail::LayerStates::copy(view(deepest), view(i).data, c);
    else if (stack.config().final_norm)  // which follows whatever layer is the last one
      ops::block_norm(ctx, stack.config().block, stack.final_norm(), view(i), view(i));
  }
  return states;
}

// A mean over tokens is one over layers where the layers of a token lie side by side.
inline Buffer TextEncoder::mean_of_layers(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o) const {
  const LayerMean& mean = *layer_mean();
  const Transformer& stack = *base_.model.transformer;
  detail::expect_no_projection(stack);
  const index_t tokens = t.cu_seqlens.back(), c = stack.width(), n = static_cast<index_t>(mean.weights.size());
  const Buffer all(static_cast<std::size_t>(tokens * n * c) * sizeof(float));
  Buffer out(static_cast<std::size_t>(tokens * c) * sizeof(float));
  const View<float, 2> last(out.as<float>(), tokens, c);
  detail::LayerStates copies{o.taps, n * c, {}};
  for (index_t i = 0; i + 1 < n; ++i) copies.wanted.emplace_back(mean.first + i, all.as<float>() + i * c);
  const Taps taps{"*", detail::LayerStates::sink, &copies};
  ForwardOptions forward;
  forward.taps = &taps;
  forward.attention = o.attention;
  stack.forward(ctx, t.inputs(), last, forward);
  detail::LayerStates::copy(last, all.as<float>() + (n - 1) * c, n * c);
  std::vector<index_t> cu(static_cast<std::size_t>(tokens) + 1);
  for (std::size_t i = 0; i < cu.size(); ++i) cu[i] = static_cast<index_t>(i) * n;
  std::vector<float> weights;
  for (index_t i = 0; i < tokens; ++i) weights.insert(weights.end(), mean.weights.begin(), mean.weights.end());
  ops::pool(ctx, ops::Pooling::weighted_mean, View<const float, 2>(all.as<float>(), tokens * n, c), detail::offsets_of(cu),
            View<const float, 1>(weights.data(), tokens * n), last);
  return out;
}

inline void TextEncoder::pool_tokens(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o, View<const float, 2> rows,
                                     View<float, 2> out) const {
  const index_t n = t.texts(), c = rows.extent[1];
  std::vector<index_t> cu = t.cu_seqlens;
  std::vector<float> without_prompt, weights;
  if (!t.prompt_tokens.empty()) {  // tokens of the prompt take no part in pooling
    for (index_t b = 0; b < n; ++b) {
      const auto at = static_cast<std::size_t>(b);
      const index_t skip = std::min(t.prompt_tokens[at], t.cu_seqlens[at + 1] - t.cu_seqlens[at] - 1);
      const float* from = rows.data + (t.cu_seqlens[at] + skip) * c;
      without_prompt.insert(without_prompt.end(), from, rows.data + t.cu_seqlens[at + 1] * c);
      cu[at + 1] = static_cast<index_t>(without_prompt.size()) / c;
      // weightedmean goes on counting where the prompt's tokens were.
      for (index_t k = cu[at]; k < cu[at + 1]; ++k) weights.push_back(static_cast<float>(skip + 1 + k - cu[at]));
    }
    rows = View<const float, 2>(without_prompt.data(), cu.back(), c);
  }
  const std::vector<ops::Pooling> modes = o.pooling ? std::vector<ops::Pooling>{*o.pooling} : pooling().modes;
  for (std::size_t m = 0; m < modes.size(); ++m) {
    View<float, 2> part = out;
    part.data += static_cast<index_t>(m) * c;
    part.extent[1] = c;
    const View<const float, 1> given(weights.data(), static_cast<index_t>(weights.size()));
    ops::pool(ctx, modes[m], rows, detail::offsets_of(cu), weights.empty() ? View<const float, 1>() : given, part);
  }
}

inline void TextEncoder::embed_hidden(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o,
                                      View<const float, 2> hidden, View<float, 2> out) const {
  std::vector<float> rows, next;
  View<const float, 2> x = hidden;  // rows of tokens, then of texts
  const auto make = [&](index_t n, index_t width) {
    next.resize(static_cast<std::size_t>(n * width));
    return View<float, 2>(next.data(), n, width);
  };
  const auto take = [&](View<float, 2> made) { rows.swap(next), x = made; };
  bool unit = false;
  for (const SentenceModule& module : modules_) {
    if (const auto* p = std::get_if<TokenPooling>(&module)) {
      const bool head = uses_head(o);
      const index_t parts = o.pooling ? 1 : static_cast<index_t>(p->modes.size());
      const auto y = make(t.texts(), head ? base_.model.head->projection.linear.weight.n() : x.extent[1] * parts);
      if (head)
        base_.model.embed(ctx, x, t.inputs().ids, detail::offsets_of(t.cu_seqlens), y);
      else
        pool_tokens(ctx, t, o, x, y);
      take(y);
    } else if (const auto* dense = std::get_if<Projection>(&module)) {
      const auto y = make(x.extent[0], dense->out);
      apply(ctx, *dense, x, y);
      take(y);
    } else if (const auto* norm = std::get_if<RowNorm>(&module)) {
      const auto vector = [](const std::vector<float>& v) {
        return View<const float, 1>(v.data(), static_cast<index_t>(v.size()));
      };
      const auto y = make(x.extent[0], x.extent[1]);
      ops::layer_norm(ctx, x, vector(norm->gamma), vector(norm->beta), 1e-5f, y);
      take(y);
    } else if (const auto* length = std::get_if<UnitLength>(&module); length && (length->of_tokens || o.normalize)) {
      const auto y = make(x.extent[0], x.extent[1]);
      ops::l2_normalize(ctx, x, y);
      take(y);
      unit = unit || !length->of_tokens;
    }
  }
  const index_t width = out.extent[1];
  View<float, 2> kept(rows.data(), x.extent[0], x.extent[1]);
  kept.extent[1] = width;
  if (width < x.extent[1] && unit && o.dims > 0) ops::l2_normalize(ctx, kept, kept);
  for (index_t b = 0; b < kept.extent[0]; ++b)
    __builtin_memcpy(out.data + b * width, kept[b].data, static_cast<std::size_t>(width) * sizeof(float));
}

inline void TextEncoder::embed_tokens(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o,
                                      std::span<const index_t> layers, std::span<const View<float, 2>> out) const {
  EmbedOptions each = o;
  if (layers.size() != out.size() || layers.empty())
    throw Error(Code::kShapeMismatch,
                {"embed: ", std::to_string(layers.size()), " layers, ", std::to_string(out.size()), " outputs"});
  for (const index_t layer : layers) {
    if (layer > base_.model.transformer->config().layers && layers.size() > 1)
      throw Error(Code::kBadArgument, {"layer ", std::to_string(layer), ": this model has ",
                                       std::to_string(base_.model.transformer->config().layers)});
    each.layers = layer;
    const index_t n = t.texts(), width = dim(each);
    for (const View<float, 2>& v : out)
      if (v.extent[0] != n || v.extent[1] != width || !v.packed())
        throw Error(Code::kShapeMismatch,
                    {"embed: out must be packed [", std::to_string(n), ", ", std::to_string(width), "]"});
  }
  if (t.texts() == 0) return;
  std::vector<Buffer> states;
  if (layer_mean())
    states.push_back(mean_of_layers(ctx, t, o));
  else
    states = hidden_states(ctx, t, o, layers);
  const index_t c = base_.model.transformer->width();
  for (std::size_t i = 0; i < out.size(); ++i)
    embed_hidden(ctx, t, o, View<const float, 2>(states[std::min(i, states.size() - 1)].as<float>(), t.cu_seqlens.back(), c),
                 out[i]);
}

inline void TextEncoder::embed_tokens(Context& ctx, const TokenizedTexts& t, const EmbedOptions& o,
                                      View<float, 2> out) const {
  embed_tokens(ctx, t, o, {&o.layers, 1}, {&out, 1});
}

inline std::vector<Embeddings> TextEncoder::embed_layers(Context& ctx, std::span<const std::string_view> texts,
                                                         std::span<const index_t> layers, const EmbedOptions& o) const {
  EmbedOptions whole = o;
  whole.layers = -1;
  const auto rows = static_cast<index_t>(texts.size());
  std::vector<Embeddings> all(layers.size(), Embeddings{{}, rows, dim(whole)});
  for (Embeddings& e : all) e.values.resize(static_cast<std::size_t>(e.rows * e.dim));
  const TokenizedTexts tokens = tokenize(ctx, texts, o);
  tokens.for_batches(o.batch_tokens, [&](index_t b, index_t end) {
    std::vector<View<float, 2>> out;
    out.reserve(all.size());
    for (Embeddings& e : all) out.emplace_back(e.values.data() + b * e.dim, end - b, e.dim);
    embed_tokens(ctx, tokens.slice(b, end), o, layers, out);
  });
  for (const Embeddings& e : all) detail::expect_finite(ctx, e, "text");
  return all;
}

inline Embeddings TextEncoder::embed(Context& ctx, std::span<const std::string_view> texts, const EmbedOptions& o) const {
  (void)dim(o);
  return std::move(embed_layers(ctx, texts, {&o.layers, 1}, o)[0]);
}

}  // namespace tessera::models
