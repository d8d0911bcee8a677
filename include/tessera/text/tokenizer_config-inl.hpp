#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json_reader-inl.hpp>
#include <tessera/text/added_tokens.hpp>

namespace tessera::text::detail {

/// What folders of classes with a sentencepiece model call it.
inline constexpr const char* kSentencePieceFiles[] = {"spm.model", "spiece.model", "sentencepiece.bpe.model"};

/// A token of tokenizer_config.json: a string, or an object with "content".
inline std::string config_token(const io::Json& config, const char* key, const char* absent) {
  const io::Json& v = io::member(config, key);
  return v.is_object() ? io::get_string(v, "content", absent) : io::get_string(config, key, absent);
}

/// tokenizer_config.json and, where that lists no added tokens, special_tokens_map.json over it, as in transformers.
inline io::Json read_config(const std::string& folder) {
  std::error_code error;
  io::Json config = io::empty_object();
  const std::string path = folder + "/tokenizer_config.json", map_path = folder + "/special_tokens_map.json";
  if (std::filesystem::exists(path, error)) config = io::read_json(path);
  if (!config.is_object()) throw Error(Code::kFormat, {path, ": not an object"});
  if (io::has(config, "added_tokens_decoder") || !std::filesystem::exists(map_path, error)) return config;
  const io::Json map = io::read_json(map_path);
  if (!map.is_object()) throw Error(Code::kFormat, {map_path, ": not an object"});
  config.update(map);
  return config;
}

/// The tokens that transformers has a name for.
inline constexpr const char* kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                 "pad_token", "cls_token", "mask_token"};

/// The special tokens that a configuration names, by string or by object.
/// \param mask_strips whether a mask token takes the whitespace before it along unless its object says otherwise, as in the
/// classes of vocab.json folders.
inline std::vector<AddedToken> named_tokens(const io::Json& config, bool mask_strips = false) {
  std::vector<AddedToken> named;
  const auto add = [&](const io::Json& v, bool strips) {
    AddedToken t;
    t.special = true;
    t.lstrip = strips;
    if (v.is_string()) {
      t.content = v.get<std::string>();
    } else if (v.is_object()) {
      t.content = io::get_string(v, "content");
      t.single_word = io::get_bool(v, "single_word", false);
      t.lstrip = io::get_bool(v, "lstrip", strips);
      t.rstrip = io::get_bool(v, "rstrip", false);
      t.normalized = io::get_bool(v, "normalized", false);
    }
    if (!t.content.empty()) named.push_back(std::move(t));
  };
  for (const char* key : kSpecialTokens) add(io::member(config, key), mask_strips && std::string_view(key) == "mask_token");
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"})
    if (const io::Json& list = io::member(config, key); list.is_array())
      for (const io::Json& v : list) add(v, false);
  return named;
}

}  // namespace tessera::text::detail
