#pragma once
#include <tessera/models/sentence_folder.hpp>

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

}  // namespace tessera::models
