// A folder of sentence-transformers, or a plain one, before its weights are read.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json.hpp>
#include <tessera/io/model_folder.hpp>
#include <tessera/models/sentence_modules.hpp>

namespace tessera::models {

/// A folder before its weights are read.
struct SentenceFolder {
  /// A line of modules.json.
  struct Module {
    std::string type;  ///< the last component of its class: "Pooling"
    std::string path;  ///< "1_Pooling/", or "" for the folder itself
  };
  io::ModelFolder folder, inner;        ///< `inner` is where the transformer lies: the folder itself, or one inside it
  bool listed = false;                  ///< there is a modules.json
  std::vector<Module> modules;          ///< behind the transformer, in order
  bool fill_mask = false;               ///< the transformer is used with its head for masked tokens
  io::Json saved = io::empty_object();  ///< config_sentence_transformers.json
  std::optional<io::Json> limits;       ///< sentence_bert_config.json, or the older names of it

  /// \param path a folder, or org/name in an existing Hugging Face cache. \throws Error.
  static SentenceFolder open(const std::string& path);
  const Module* find(std::string_view type) const noexcept;
  /// config.json of a module; empty for one that has none.
  io::Json config_of(const Module& module) const;
  std::string config_path(const Module& module) const { return folder.path(module.path + "config.json"); }
};

/// What sentence-transformers 6.2.0 runs, read by its rules: `module_input_name` "token_embeddings" makes a Dense or
/// Normalize one of tokens, an activation_function of other code than torch's is Tanh, WeightedLayerPooling does nothing
/// unless the model's output_hidden_states is set, Dropout does nothing. `reasons` gets a sentence each.
/// \throws Error kUnsupported naming a module or option that is not known; kFormat, kNotFound, kShapeMismatch.
std::vector<SentenceModule> read_sentence_modules(Context& ctx, const SentenceFolder& folder, const LoadOptions& options,
                                                  std::vector<std::string>& reasons);
/// A Dense module, of tokens where its config.json does not say otherwise and `of_tokens` does.
Projection read_projection(Context& ctx, const SentenceFolder& folder, const SentenceFolder::Module& module,
                           const LoadOptions& options, bool of_tokens = false);

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/sentence_folder-inl.hpp>
#endif
