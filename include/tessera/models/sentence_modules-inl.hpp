#pragma once
#include <tessera/io/json.hpp>
#include <tessera/models/sentence_folder-inl.hpp>  // class names, which compiled builds do not declare elsewhere
#include <tessera/models/sentence_folder.hpp>
#include <tessera/models/sentence_modules.hpp>

namespace tessera::models {

namespace detail {

struct PoolingName {
  const char *flag, *mode;
  ops::Pooling pooling;
};
/// In the order in which several stand side by side.
inline constexpr PoolingName kPoolingNames[] = {
    {"pooling_mode_cls_token", "cls", ops::Pooling::cls},
    {"pooling_mode_max_tokens", "max", ops::Pooling::max},
    {"pooling_mode_mean_tokens", "mean", ops::Pooling::mean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", ops::Pooling::mean_sqrt},
    {"pooling_mode_weightedmean_tokens", "weightedmean", ops::Pooling::weighted_mean},
    {"pooling_mode_lasttoken", "lasttoken", ops::Pooling::last}};

inline TokenPooling read_pooling(const io::Json& json, const std::string& file) {
  TokenPooling p;
  p.modes.clear();
  p.include_prompt = io::get_bool(json, "include_prompt", true);
  if (io::has(json, "pooling_mode")) {
    const auto take = [&](const io::Json& mode) {
      for (const auto& k : kPoolingNames)
        if (mode.is_string() && mode.get_ref<const std::string&>() == k.mode) return p.modes.push_back(k.pooling);
      throw Error(Code::kUnsupported, {file, ": pooling_mode ", io::shown(&mode), " is not supported"});
    };
    const io::Json& modes = json["pooling_mode"];
    if (!modes.is_array())
      take(modes);
    else
      for (const io::Json& mode : modes) take(mode);
  } else {
    for (const auto& k : kPoolingNames)
      if (io::get_bool(json, k.flag, false)) p.modes.push_back(k.pooling);
  }
  if (p.modes.empty()) p.modes.push_back(ops::Pooling::mean);
  return p;
}

/// Whether a module reads and writes tokens; else it is one of sentences. \throws Error kUnsupported for other names.
inline bool is_of_tokens(const io::Json& json, const std::string& file, bool absent) {
  const char *const tokens = "token_embeddings", *const sentence = "sentence_embedding";
  const std::string in = io::get_string(json, "module_input_name", absent ? tokens : sentence);
  const io::Json& out = io::member(json, "module_output_name");
  if ((in != tokens && in != sentence) || !(out.is_null() || out == in))
    throw Error(Code::kUnsupported, {file, ": a module from '", in, "' to ", (out.is_null() ? "there" : io::shown(&out)),
                                     " is not supported; known: ", sentence, " and ", tokens, ", in place"});
  return in == tokens;
}

inline Activation dense_activation(const io::Json& json, const std::string& file) {
  static constexpr struct {
    const char* name;
    Activation act;
  } kActivations[] = {{"Tanh", Activation::tanh},
                      {"Identity", Activation::identity},
                      {"ReLU", Activation::relu},
                      {"GELU", Activation::gelu_erf},
                      {"SiLU", Activation::silu}};
  const std::string name = io::get_string(json, "activation_function", "torch.nn.Tanh");
  if (!name.starts_with("torch.")) return Activation::tanh;  // code of others is not run, there as here
  const std::string act = class_name(name);
  for (const auto& k : kActivations)
    if (act == k.name) return k.act;
  throw Error(Code::kUnsupported,
              {file, ": activation_function '", act, "' is not supported; known: Tanh, Identity, ReLU, GELU, SiLU"});
}

/// config.output_hidden_states of transformers, which a folder may set in several places.
inline bool keeps_hidden_states(const SentenceFolder& f) {
  const auto says = [](const io::Json& json) {
    return json.is_object() && io::get_bool(json, "output_hidden_states", false);
  };
  if (says(f.inner.config())) return true;
  for (const char* arguments : {"config_args", "config_kwargs", "model_args", "model_kwargs"})
    if (f.limits && says(io::member(*f.limits, arguments))) return true;
  return false;
}

inline LayerMean read_layer_mean(Context& ctx, const SentenceFolder& f, const SentenceFolder::Module& module,
                                 const LoadOptions& options) {
  const io::Json json = f.config_of(module);
  LayerMean m;
  m.first = io::get_int(json, "layer_start", 0, 4096, 4);
  const index_t layers = io::get_int(json, "num_hidden_layers", 0, 4096, 12);
  TensorSource source(ctx, f.folder.sub(module.path).checkpoint(), {""}, "layer_weights", options);
  const auto weights = source.vector({"layer_weights"});
  if (weights.extent[0] != layers + 1 - m.first)
    throw Error(Code::kShapeMismatch, {f.config_path(module), ": layer_weights has ", std::to_string(weights.extent[0]),
                                       " numbers, for layers ", std::to_string(m.first), " to ", std::to_string(layers)});
  m.weights.assign(weights.data, weights.data + weights.extent[0]);
  return m;
}

inline RowNorm read_row_norm(Context& ctx, const SentenceFolder& f, const SentenceFolder::Module& module,
                             const LoadOptions& options) {
  const index_t n = io::get_int(f.config_of(module), "dimension", 1, 1 << 24);
  TensorSource source(ctx, f.folder.sub(module.path).checkpoint(), {""}, "norm.weight", options);
  RowNorm norm;
  for (auto& [name, into] : {std::pair("norm.weight", &norm.gamma), {"norm.bias", &norm.beta}}) {
    const auto v = source.vector({name});
    if (v.extent[0] != n)
      throw Error(Code::kShapeMismatch, {f.config_path(module), ": ", name, " has ", std::to_string(v.extent[0]),
                                         " numbers, dimension is ", std::to_string(n)});
    into->assign(v.data, v.data + n);
  }
  return norm;
}

/// Says what else reads a folder with this module, or that nothing does.
[[noreturn]] inline void refuse_module(const SentenceFolder& f, const std::string& type) {
  const std::string file = f.folder.path("modules.json");
  if (type == "SpladePooling" || type == "SparseAutoEncoder" || type == "CSRSparsity")
    throw Error(Code::kUnsupported, {file, ": module '", type, "' is not supported here: its embeddings are sparse; ",
                                     (type == "SpladePooling" ? "SparseEncoder reads it, tessera embed --sparse" : "")});
  if (type == "MultiVectorMask")
    throw Error(Code::kUnsupported,
                {file, ": module '", type, "' is not supported here: this model has an embedding a token; ",
                 "MultiVectorEncoder reads it, tessera embed --multi-vector"});
  for (const char* known :
       {"CNN", "LSTM", "BoW", "WordEmbeddings", "WordWeights", "StaticEmbedding", "CLIPModel", "Asym", "Router"})
    if (type == known)
      throw Error(Code::kUnsupported,
                  {file, ": module '", type, "' is not supported: it is no part of a transformer's head; ",
                   "known: Transformer, WeightedLayerPooling, Pooling, Dense, LayerNorm, Normalize, Dropout"});
  throw Error(Code::kUnsupported,
              {file, ": module '", type, "' is not supported; ",
               "known: Transformer, WeightedLayerPooling, Pooling, Dense, LayerNorm, Normalize, Dropout"});
}

}  // namespace detail

inline const char* pooling_name(ops::Pooling mode) noexcept {
  for (const auto& k : detail::kPoolingNames)
    if (k.pooling == mode) return k.mode;
  return "";
}

inline Projection read_projection(Context& ctx, const SentenceFolder& f, const SentenceFolder::Module& module,
                                  const LoadOptions& options, bool of_tokens) {
  const io::Json json = f.config_of(module);
  const std::string file = f.config_path(module);
  Projection p;
  p.in = io::get_int(json, "in_features", 1, 1 << 24);
  p.out = io::get_int(json, "out_features", 1, 1 << 24);
  p.adds_input = io::get_bool(json, "use_residual", false);
  p.of_tokens = detail::is_of_tokens(json, file, of_tokens);
  const Activation act = detail::dense_activation(json, file);
  TensorSource source(ctx, f.folder.sub(module.path).checkpoint(), {""}, "linear.weight", options);
  const auto weight = source.matrix({"linear.weight"});
  if (weight.extent[0] != p.out || weight.extent[1] != p.in)
    throw Error(Code::kShapeMismatch, {file, ": linear.weight is not [out_features, in_features]"});
  const bool biased = io::get_bool(json, "bias", true);
  if (source.has("linear.bias") != biased)
    throw Error(Code::kFormat,
                {file, ": bias is ", (biased ? "true, and the weights have none" : "false, and the weights have one")});
  p.layer = dense_layer(ctx, source, "linear", weight);
  p.layer.act = act;
  if (p.adds_input && p.in != p.out) p.residual = read_dense(ctx, source, "residual", p.out, p.in);
  return p;
}

inline std::vector<SentenceModule> read_sentence_modules(Context& ctx, const SentenceFolder& f, const LoadOptions& options,
                                                         std::vector<std::string>& reasons) {
  std::vector<SentenceModule> modules;
  bool pooled = false;
  for (const SentenceFolder::Module& m : f.modules) {
    const std::string from = ": " + (m.path.empty() ? std::string("modules.json") : m.path + "config.json");
    if (m.type == "Pooling") {
      if (pooled) throw Error(Code::kUnsupported, {f.folder.path("modules.json"), ": two modules of Pooling"});
      const TokenPooling p = detail::read_pooling(f.folder.json(m.path + "config.json"), f.config_path(m));
      std::string names;
      for (const ops::Pooling mode : p.modes) names += (names.empty() ? "" : " and ") + std::string(pooling_name(mode));
      reasons.push_back("pooling " + names + (p.include_prompt ? "" : " without the prompt's tokens") + from);
      modules.emplace_back(p), pooled = true;
    } else if (m.type == "WeightedLayerPooling") {
      const bool works = detail::keeps_hidden_states(f);
      LayerMean mean = detail::read_layer_mean(ctx, f, m, options);
      reasons.push_back(works ? "tokens are a mean of layers " + std::to_string(mean.first) + " and above" + from
                              : "WeightedLayerPooling does nothing: output_hidden_states of config.json is not set");
      if (works && pooled)
        throw Error(Code::kUnsupported, {f.folder.path("modules.json"), ": WeightedLayerPooling behind Pooling"});
      if (works) modules.emplace_back(std::move(mean));
    } else if (m.type == "Dense") {
      Projection p = read_projection(ctx, f, m, options);
      const bool used = p.of_tokens != pooled;  // tokens that nobody pools any more are not seen
      reasons.push_back("Dense " + shown(p) + (p.of_tokens ? " of tokens" : "") + (used ? "" : ", which nothing reads") +
                        from);
      if (!p.of_tokens && !pooled)
        throw Error(Code::kUnsupported,
                    {f.config_path(m), ": a Dense of sentences before Pooling; if this model has an embedding a ",
                     "token, MultiVectorEncoder reads it, tessera embed --multi-vector"});
      if (used) modules.emplace_back(std::move(p));
    } else if (m.type == "LayerNorm" || m.type == "Normalize") {
      bool of_tokens = false;
      if (m.type == "Normalize") of_tokens = detail::is_of_tokens(f.config_of(m), f.config_path(m), false);
      if (!of_tokens && !pooled)
        throw Error(Code::kUnsupported, {f.folder.path("modules.json"), ": ", m.type, " of sentences before Pooling"});
      reasons.push_back(m.type + (of_tokens ? " of tokens" : "") + from);
      if (m.type == "LayerNorm")
        modules.emplace_back(detail::read_row_norm(ctx, f, m, options));
      else if (of_tokens != pooled)
        modules.emplace_back(UnitLength{of_tokens});
    } else if (m.type != "Dropout") {
      detail::refuse_module(f, m.type);
    }
  }
  if (!pooled)
    throw Error(Code::kUnsupported, {f.folder.path("modules.json"), ": no module of Pooling: an embedding a token; ",
                                     "MultiVectorEncoder reads such models, tessera embed --multi-vector"});
  return modules;
}

inline void apply(Context& ctx, const Projection& p, View<const float, 2> x, View<float, 2> out) {
  ops::Epilogue e{.bias = p.layer.linear.bias, .act = p.layer.act};
  if (p.adds_input && p.residual.linear.weight.empty()) {
    e.residual = x;
  } else if (p.adds_input) {
    ops::linear(ctx, x, p.residual.linear.weight, {}, out);
    e.residual = out;
  }
  ops::linear(ctx, x, p.layer.linear.weight, e, out);
}

inline std::string shown(const Projection& p) {
  static constexpr const char* kNames[] = {"", " gelu", " gelu_tanh", " quick_gelu", " silu", " relu", " tanh"};
  return std::to_string(p.in) + " -> " + std::to_string(p.out) + kNames[static_cast<int>(p.layer.act)];
}

}  // namespace tessera::models
