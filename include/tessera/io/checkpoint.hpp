// The weights of a model folder: one safetensors file, or shards with their index.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/safetensors.hpp>

namespace tessera::io {

namespace detail {
/// What to do with a folder whose weights are of another format; "" when there are none of a format that is known.
std::string other_weights(const std::string& folder);
}  // namespace detail

/// Named tensors of model.safetensors or, without it, of the shards that model.safetensors.index.json lists. The index is
/// an allow-list: a tensor is taken from the shard that the index names for it, and from no other. Shard names are plain
/// `*.safetensors` names of regular files in the folder itself; a link is followed only inside a Hugging Face cache.
class Checkpoint {
 public:
  /// \throws Error kNotFound naming what is missing and, for a folder of .bin, .onnx or .gguf files, what to do; kFormat.
  static Checkpoint open(const std::string& folder);
  /// One safetensors file of the folder, by its name. \throws Error kNotFound, kFormat.
  static Checkpoint open_file(const std::string& folder, const std::string& name);

  const AnyView* find(std::string_view name) const;
  /// \throws Error kNotFound naming folder and tensor.
  const AnyView& at(std::string_view name) const;
  std::vector<std::string> names() const;
  /// Gives the pages of a tensor of this checkpoint back until they are touched again.
  void drop(const AnyView& tensor) const noexcept;
  const std::vector<std::string>& files() const noexcept { return files_; }
  const std::vector<std::unique_ptr<SafeTensors>>& shards() const noexcept { return shards_; }  ///< beside files()

 private:
  std::vector<std::unique_ptr<SafeTensors>> shards_;
  std::vector<std::string> files_;
  std::map<std::string, std::size_t, std::less<>> shard_of_;  // empty for a single file
  std::string folder_;
};

/// Checks `folder/name`: `name` has no way out of the folder (no "..", no absolute path, no link that leaves it
/// except into the blobs/ of the same repository of a Hugging Face cache). \returns the path to open.
/// \throws Error kFormat naming the escape, kNotFound.
std::string contained_path(const std::string& folder, const std::string& name);
/// The same, mapped: the very file that was checked. \throws Error also kIo.
MappedFile open_contained(const std::string& folder, const std::string& name);

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/checkpoint-inl.hpp>
#endif
