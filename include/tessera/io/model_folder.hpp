// A model as Hugging Face lays it out: config.json, weights, tokenizer, sub-folders of modules.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include <tessera/io/checkpoint.hpp>
#include <tessera/io/json_reader.hpp>

namespace tessera::io {

/// A local folder, read-only. Every file name that comes out of a file of the folder is contained in it.
class ModelFolder {
 public:
  /// \param path a folder, or org/name looked up in the Hugging Face cache of this machine (HF_HUB_CACHE, HF_HOME,
  ///             ~/.cache/huggingface/hub); nothing is ever downloaded.
  /// \throws Error kNotFound saying where was looked and which command downloads the model.
  static ModelFolder open(const std::string& path);

  const std::string& root() const noexcept { return root_; }
  /// root/name, for messages; not checked.
  std::string path(const std::string& name) const { return root_ + "/" + name; }
  bool has(const std::string& name) const;
  /// A JSON file of the folder. \throws Error kNotFound, kFormat.
  Json json(const std::string& name) const;
  /// config.json. \throws Error kNotFound saying that the folder is no model folder.
  Json config() const;
  /// The weights, opened on each call.
  std::shared_ptr<const Checkpoint> checkpoint() const;
  /// A folder inside this one ("1_Pooling/").
  ModelFolder sub(const std::string& name) const;
  /// f(); the sentence of an Error that does not begin with this folder gets it put before.
  template <class F>
  auto naming(const F& f) const -> decltype(f()) {
    try {
      return f();
    } catch (const Error& e) {
      if (std::string_view(e.what()).starts_with(root_)) throw;
      throw Error(e.code(), {root_, ": ", e.what()});
    }
  }

 private:
  std::string root_;
};

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/model_folder-inl.hpp>
#endif
