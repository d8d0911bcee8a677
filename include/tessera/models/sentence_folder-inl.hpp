#pragma once
#include <tessera/models/sentence_folder.hpp>
#include <tessera/models/sentence_modules-inl.hpp>  // names of pooling, which compiled builds do not declare elsewhere

namespace tessera::models {

namespace detail {

/// The last component of a dotted class name: "torch.nn.modules.activation.Tanh" is "Tanh".
inline std::string class_name(const std::string& dotted) { return dotted.substr(dotted.rfind('.') + 1); }

/// The name of sentence_bert_config.json in this folder, which older ones call otherwise; null: it has none.
inline const char* limits_name(const io::ModelFolder& folder, const std::string& sub) {
  for (const char* name : {"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
                           "sentence_camembert_config.json", "sentence_albert_config.json",
                           "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json"})
    if (folder.has(sub + name)) return name;
  return nullptr;
}
inline std::optional<io::Json> read_limits(const io::ModelFolder& folder, const std::string& sub) {
  const char* const name = limits_name(folder, sub);
  return name ? std::optional<io::Json>(folder.json(sub + name)) : std::nullopt;
}

}  // namespace detail

inline SentenceFolder SentenceFolder::open(const std::string& path) {
  SentenceFolder f;
  f.folder = f.inner = io::ModelFolder::open(path);
  f.folder.naming([&] {
    const char* const settings = "config_sentence_transformers.json";
    if (f.folder.has(settings)) f.saved = f.folder.json(settings);
    f.listed = f.folder.has("modules.json");
    std::string root;
    if (f.listed) {
      const io::Json list = f.folder.json("modules.json");
      if (!list.is_array() || list.empty())
        throw Error(Code::kFormat, {f.folder.path("modules.json"), ": expected a list of modules"});
      bool transformer = false;
      for (const io::Json& m : list) {
        Module module{detail::class_name(io::get_string(m, "type")), io::get_string(m, "path", "")};
        while (module.path.ends_with("/")) module.path.pop_back();
        if (!module.path.empty()) module.path += "/";
        if (!transformer && (module.type == "Transformer" || module.type == "MLMTransformer")) {
          transformer = true, root = module.path, f.fill_mask = module.type == "MLMTransformer";
        } else {
          f.modules.push_back(std::move(module));
        }
      }
      if (!transformer) {
        const std::string& first = f.modules.front().type;
        throw Error(Code::kUnsupported, {f.folder.path("modules.json"), ": the first module is ", first,
                                         ", which is not supported; expected a Transformer and what follows it"});
      }
      if (!root.empty()) f.inner = f.folder.sub(root);
    }
    f.limits = detail::read_limits(f.folder, root);
    if (f.limits && io::get_string(*f.limits, "transformer_task", "") == "fill-mask") f.fill_mask = true;
  });
  return f;
}

inline const SentenceFolder::Module* SentenceFolder::find(std::string_view type) const noexcept {
  for (const Module& m : modules)
    if (m.type == type) return &m;
  return nullptr;
}

inline io::Json SentenceFolder::config_of(const Module& module) const {
  const std::string name = module.path + "config.json";
  if (module.path.empty() || !folder.has(name)) return io::empty_object();
  return folder.json(name);
}

namespace detail {

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

}  // namespace tessera::models
