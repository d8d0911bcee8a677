#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <tessera/io/json.hpp>
#include <tessera/io/model_folder.hpp>

namespace tessera::io {

namespace detail {

inline std::string environment(const char* name) {
  const char* v = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return v ? v : "";
}

inline std::string hub_cache() {
  if (std::string hub = environment("HF_HUB_CACHE"); !hub.empty()) return hub;
  if (std::string home = environment("HF_HOME"); !home.empty()) return home + "/hub";
  if (std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/huggingface/hub";
  return environment("HOME") + "/.cache/huggingface/hub";
}

/// Whether the text is org/name in the characters that the hub allows.
inline bool is_repository_id(const std::string& s) {
  const std::size_t slash = s.find('/');
  if (slash == 0 || slash == s.npos || slash + 1 == s.size() || s.find('/', slash + 1) != s.npos || s.front() == '.')
    return false;
  for (const char c : s)
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.' &&
        c != '/')
      return false;
  return s.find("..") == s.npos;
}

}  // namespace detail

inline ModelFolder ModelFolder::open(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  ModelFolder folder;
  if (fs::is_directory(path, error)) {
    folder.root_ = path;
    while (folder.root_.size() > 1 && folder.root_.back() == '/') folder.root_.pop_back();
    return folder;
  }
  if (fs::exists(path, error))
    throw Error(Code::kNotFound, {path, ": a file, expected the folder of a model; name the folder it lies in"});
  if (!detail::is_repository_id(path))
    throw Error(Code::kNotFound, {path, ": no such model folder; check the path, or give org/name of a downloaded model"});
  std::string repository = "models--" + path;
  repository.replace(repository.find('/'), 1, "--");
  const fs::path base = fs::path(detail::hub_cache()) / repository;
  std::ifstream ref(base / "refs" / "main");
  std::string revision;
  if (ref && std::getline(ref, revision) && !revision.empty() && revision.find('/') == revision.npos &&
      revision.front() != '.' && fs::is_directory(base / "snapshots" / revision, error)) {
    folder.root_ = (base / "snapshots" / revision).string();
    return folder;
  }
  throw Error(Code::kNotFound, {path, ": neither a folder nor a model in ", detail::hub_cache(),
                                "; nothing is downloaded here, run: hf download ", path});
}

inline bool ModelFolder::has(const std::string& name) const {
  std::error_code error;
  return std::filesystem::exists(path(name), error);
}

inline Json ModelFolder::json(const std::string& name) const {
  const MappedFile file = open_contained(root_, name);
  return parse_json({reinterpret_cast<const char*>(file.data()), file.bytes()}, path(name));
}

inline Json ModelFolder::config() const {
  if (!has("config.json")) {
    const bool readable = has("model.safetensors") || has("model.safetensors.index.json");
    const std::string other = readable ? "" : detail::other_weights(root_);
    throw Error(Code::kNotFound, {root_, (other.empty() ? ": no config.json in it, so it is not a model folder; download "
                                                          "the whole model, or name the folder that holds config.json"
                                                        : ": no config.json and no model.safetensors, " + other)});
  }
  return json("config.json");
}

inline std::shared_ptr<const Checkpoint> ModelFolder::checkpoint() const {
  return std::make_shared<const Checkpoint>(Checkpoint::open(root_));
}

inline ModelFolder ModelFolder::sub(const std::string& name) const {
  std::string plain = name;
  while (!plain.empty() && plain.back() == '/') plain.pop_back();
  std::error_code error;
  const std::filesystem::path inner(plain);
  for (const auto& part : inner)
    if (part == ".." || inner.is_absolute()) throw Error(Code::kFormat, {root_, ": refused folder name '", name, "'"});
  if (plain.empty() || !std::filesystem::is_directory(path(plain), error))
    throw Error(Code::kNotFound, {path(plain), ": no such folder in the model"});
  const auto real = std::filesystem::canonical(path(plain), error), root = std::filesystem::canonical(root_, error);
  if (std::mismatch(root.begin(), root.end(), real.begin(), real.end()).first != root.end())
    throw Error(Code::kFormat, {root_, ": refused folder '", name, "': a link that leaves the model folder"});
  ModelFolder folder;
  folder.root_ = path(plain);
  return folder;
}

}  // namespace tessera::io
