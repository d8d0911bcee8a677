#pragma once
#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include <tessera/io/checkpoint.hpp>
#include <tessera/io/detail/printable.hpp>
#include <tessera/io/json.hpp>

namespace tessera::io {

namespace detail {

/// The file behind folder/name, links resolved.
inline std::filesystem::path contained_file(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  const auto escape = [&](const std::string& why) {
    return Error(Code::kFormat, {folder, ": refused file name '", printable(name), "': ", why});
  };
  const fs::path relative(name);
  if (name.empty() || name.find('\0') != name.npos || relative.is_absolute())
    throw escape("it must be a name inside the folder");
  for (const auto& part : relative)
    if (part == "..") throw escape("it leads out of the folder");
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) throw Error(Code::kNotFound, {folder, ": no such folder"});
  const fs::path path = fs::path(folder) / relative;
  fs::path real = fs::canonical(path, error);
  if (error)
    throw Error(Code::kNotFound, {path.string(), (fs::is_symlink(fs::symlink_status(path, error))
                                                      ? ": a link to a file that is not there; download the model again"
                                                      : ": no such file")});
  if (!fs::is_regular_file(real, error)) throw escape("not a regular file");
  const auto inside = [](const fs::path& p, const fs::path& base) {
    return std::mismatch(base.begin(), base.end(), p.begin(), p.end()).first == base.end();
  };
  if (inside(real, root)) return real;
  // models--org--name/snapshots/<revision>/file -> models--org--name/blobs/<hash>, the layout of a Hugging Face cache
  for (fs::path at = root; at.has_relative_path(); at = at.parent_path())
    if (at.filename() == "snapshots" && at.parent_path().filename().string().starts_with("models--") &&
        inside(real, at.parent_path() / "blobs"))
      return real;
  throw escape("a link that leaves the folder");
}

}  // namespace detail

inline std::string contained_path(const std::string& folder, const std::string& name) {
  (void)detail::contained_file(folder, name);
  return (std::filesystem::path(folder) / name).string();
}

inline MappedFile open_contained(const std::string& folder, const std::string& name) {
  const std::string real = detail::contained_file(folder, name).string();
  // What was checked is what is opened: a link put there in the meantime is not followed.
  return MappedFile::open_at(AT_FDCWD, real.c_str(), (std::filesystem::path(folder) / name).c_str());
}

namespace detail {

inline std::string other_weights(const std::string& folder) {
  static constexpr struct {
    const char *ending, *advice;
  } kOthers[] = {
      {".bin",
       "only PyTorch .bin weights; convert once in Python with model.save_pretrained(folder, safe_serialization=True)"},
      {".pt",
       "only PyTorch .pt weights; convert once in Python with model.save_pretrained(folder, safe_serialization=True)"},
      {".h5",
       "only TensorFlow weights; convert once in Python with from_pretrained(..., from_tf=True) and save_pretrained()"},
      {".msgpack",
       "only Flax weights; convert once in Python with from_pretrained(..., from_flax=True) and save_pretrained()"},
      {".onnx", "only an ONNX graph; get the model's safetensors files, tessera reads weights, not graphs"},
      {".gguf", "only GGUF weights; get the model's original safetensors files"}};
  std::error_code error;
  for (const auto& other : kOthers)
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
      if (entry.path().extension() == other.ending) return other.advice;
  return {};
}

}  // namespace detail

inline Checkpoint Checkpoint::open_file(const std::string& folder, const std::string& name) {
  Checkpoint c;
  c.folder_ = folder;
  c.shards_.push_back(std::make_unique<SafeTensors>(SafeTensors::open(open_contained(folder, name), folder + "/" + name)));
  c.files_.push_back(name);
  return c;
}

inline Checkpoint Checkpoint::open(const std::string& folder) {
  namespace fs = std::filesystem;
  Checkpoint c;
  c.folder_ = folder;
  const auto add = [&](const std::string& name) {
    c.shards_.push_back(std::make_unique<SafeTensors>(SafeTensors::open(open_contained(folder, name), folder + "/" + name)));
    c.files_.push_back(name);
    return c.shards_.size() - 1;
  };
  std::error_code error;
  const auto is_there = [&](const std::string& name) {  // a link that leads nowhere is there, and an error to name
    const auto type = fs::symlink_status(folder + "/" + name, error).type();
    return type != fs::file_type::not_found && type != fs::file_type::none;
  };
  if (is_there("model.safetensors")) {
    add("model.safetensors");
    return c;
  }
  const std::string index_name = "model.safetensors.index.json";
  if (is_there(index_name)) {
    const std::string path = folder + "/" + index_name;
    const MappedFile file = open_contained(folder, index_name);
    const Json index = parse_json({reinterpret_cast<const char*>(file.data()), file.bytes()}, path);
    if (!index.is_object() || !io::member(index, "weight_map").is_object() || index["weight_map"].empty())
      throw Error(Code::kFormat, {path, ": no weight_map, or an empty one"});
    std::map<std::string, std::size_t> opened;
    for (const auto& [tensor, shard] : index["weight_map"].items()) {
      const std::string name = shard.is_string() ? shard.get<std::string>() : "";
      if (!name.ends_with(".safetensors") || name.find('/') != name.npos || name.find('\\') != name.npos ||
          name.front() == '.')
        throw Error(Code::kFormat, {path, ": tensor '", detail::printable(tensor), "' is in '", detail::printable(name),
                                    "', expected a plain *.safetensors name"});
      if (!opened.count(name)) {
        if (!is_there(name))
          throw Error(Code::kNotFound, {folder, "/", detail::printable(name),
                                        ": this shard of the model is missing; download the whole model"});
        opened[name] = add(name);
      }
      c.shards_[opened[name]]->at(tensor);
      c.shard_of_[tensor] = opened[name];
    }
    return c;
  }
  if (!fs::is_directory(folder, error)) throw Error(Code::kNotFound, {folder, ": no such model folder"});
  if (const std::string other = detail::other_weights(folder); !other.empty())
    throw Error(Code::kNotFound, {folder, ": no model.safetensors, ", other});
  throw Error(Code::kNotFound,
              {folder, ": no model.safetensors and no model.safetensors.index.json in it; download the whole model"});
}

inline const AnyView* Checkpoint::find(std::string_view name) const {
  if (shard_of_.empty()) return shards_.empty() ? nullptr : shards_.front()->find(name);
  const auto at = shard_of_.find(name);
  return at == shard_of_.end() ? nullptr : shards_[at->second]->find(name);
}

inline const AnyView& Checkpoint::at(std::string_view name) const {
  if (const AnyView* v = find(name)) return *v;
  throw Error(Code::kNotFound, {folder_, ": no tensor '", detail::printable(name), "'"});
}

inline void Checkpoint::drop(const AnyView& tensor) const noexcept {
  for (const auto& shard : shards_) shard->drop(tensor);  // each knows its own
}

inline std::vector<std::string> Checkpoint::names() const {
  if (shard_of_.empty()) return shards_.empty() ? std::vector<std::string>{} : shards_.front()->names();
  std::vector<std::string> all;
  for (const auto& [name, shard] : shard_of_) all.push_back(name);
  return all;
}

}  // namespace tessera::io
