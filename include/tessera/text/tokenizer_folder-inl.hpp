#pragma once
#include <filesystem>

#include <tessera/core/mmap.hpp>
#include <tessera/text/tokenizer_load-inl.hpp>

namespace tessera::text {

namespace detail {

/// All bytes of a text file. \throws Error kFormat for a Git-LFS pointer and invalid UTF-8.
inline std::string read_text(const std::string& path) {
  const MappedFile file = MappedFile::open(path.c_str());
  std::string text(reinterpret_cast<const char*>(file.data()), file.bytes());
  if (text.starts_with("version https://git-lfs"))
    throw Error(Code::kFormat, path + ": a Git-LFS pointer, not the file itself; run 'git lfs pull' in the model folder");
  std::size_t bad = 0;
  if (unicode::valid_prefix(text, 0, bad) != text.size()) throw Error(Code::kFormat, path + ": not valid UTF-8");
  return text;
}
template <class F>
void each_line(std::string_view text, const F& f) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.find('\n', at);
    if (end == text.npos) end = text.size();
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    f(line);
    at = end + 1;
  }
}

/// A token of tokenizer_config.json: a string, or an object with "content".
inline std::string config_token(const io::Json& config, const char* key, const char* absent) {
  const io::Json& v = member(config, key);
  return v.is_object() ? io::get_string(v, "content", absent) : io::get_string(config, key, absent);
}

/// The tokenizer.json, without its tables, of a class whose folders hold vocab.json and merges.txt.
/// Source: transformers, convert_slow_tokenizer.py.
inline io::Json layout_of_class(const std::string& type, const io::Json& config, const Vocabulary& vocabulary) {
  const auto token = [&](const char* key, const char* absent) { return config_token(config, key, absent); };
  const auto with_id = [&](const std::string& content) {
    const TokenId id = vocabulary.find(content);
    if (id < 0) throw Error(Code::kFormat, "tokenizer: the special token '" + content + "' is not in the vocabulary");
    return io::Json::array({content, id});
  };
  const bool space = io::get_bool(config, "add_prefix_space", false);
  const auto byte_level = [&](bool prefix, bool trim, bool regex) {
    return io::Json{{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"trim_offsets", trim}, {"use_regex", regex}};
  };
  const auto split = [](std::string_view pattern, const char* behavior, bool invert) {
    return io::Json{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behavior}, {"invert", invert}};
  };
  io::Json j{
      {"model", {{"type", "BPE"}}}, {"decoder", {{"type", "ByteLevel"}}}, {"pre_tokenizer", byte_level(space, true, true)}};
  if (type == "CLIPTokenizer" || type == "CLIPTokenizerFast") {
    const std::string begin = token("bos_token", "<|startoftext|>"), end = token("eos_token", "<|endoftext|>");
    j["model"]["end_of_word_suffix"] = "</w>";
    j["model"]["unk_token"] = token("unk_token", "<|endoftext|>");
    j["normalizer"] = {{"type", "Sequence"},
                       {"normalizers",
                        {{{"type", "NFC"}},
                         {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
                         {{"type", "Lowercase"}}}}};
    j["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {split(KnownPattern::kPatterns[KnownPattern::kClip], "Removed", true), byte_level(false, true, true)}}};
    j["post_processor"] = {{"type", "RobertaProcessing"},
                           {"sep", with_id(end)},
                           {"cls", with_id(begin)},
                           {"add_prefix_space", false},
                           {"trim_offsets", false}};
  } else if (type == "Qwen2Tokenizer" || type == "Qwen2TokenizerFast") {
    j["normalizer"] = {{"type", "NFC"}};
    j["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {split(KnownPattern::kPatterns[KnownPattern::kQwen2], "Isolated", false), byte_level(space, true, false)}}};
    j["post_processor"] = byte_level(true, false, true);
  } else if (type == "RobertaTokenizer" || type == "RobertaTokenizerFast") {
    j["post_processor"] = {{"type", "RobertaProcessing"},
                           {"sep", with_id(token("sep_token", "</s>"))},
                           {"cls", with_id(token("cls_token", "<s>"))},
                           {"add_prefix_space", space},
                           {"trim_offsets", true}};
  } else if (type == "GPT2Tokenizer" || type == "GPT2TokenizerFast" || type.empty()) {
    j["post_processor"] = byte_level(true, false, true);
  } else {
    throw Error(Code::kUnsupported, "tokenizer: tokenizer_class '" + type +
                                        "' with vocab.json and merges.txt alone is not supported; "
                                        "known: CLIPTokenizer, GPT2Tokenizer, Qwen2Tokenizer, RobertaTokenizer");
  }
  return j;
}

}  // namespace detail

// Tokens that tokenizer.json does not have: tokenizer_config.json's added_tokens_decoder, and added_tokens.json.
inline void Tokenizer::add_missing_tokens(const std::string& folder, const io::Json& config) {
  const std::size_t before = added_.size();
  const io::Json none = io::Json::object();
  if (const io::Json& table = detail::member(config.is_object() ? config : none, "added_tokens_decoder"); table.is_object())
    for (const auto& [id, item] : table.items()) {
      if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != id.npos)
        throw Error(Code::kFormat,
                    folder + "/tokenizer_config.json: added_tokens_decoder has the id '" + id.substr(0, 40) + "'");
      io::Json with_id = item;
      if (!item.is_object() || vocabulary_->find(io::get_string(item, "content")) >= 0) continue;
      with_id["id"] = std::stoll(id);
      read_added_tokens(io::Json::array({std::move(with_id)}));
    }
  std::error_code error;
  const std::string more = folder + "/added_tokens.json";
  if (std::filesystem::exists(more, error)) {
    const io::Json table = io::read_json(more);
    if (!table.is_object()) throw Error(Code::kFormat, more + ": not an object of tokens and ids");
    for (const auto& [content, id] : table.items())
      if (vocabulary_->find(content) < 0)
        read_added_tokens(io::Json::array({{{"content", content}, {"id", id}, {"normalized", true}}}));
  }
  if (added_.size() > before) finish();
}

inline Tokenizer Tokenizer::from_merges_txt(const std::string& folder, const io::Json& config, const LoadOptions& options) {
  Tokenizer t;
  const std::string vocab = folder + "/vocab.json", merges = folder + "/merges.txt";
  const io::Json table = io::read_json(vocab);
  if (!table.is_object()) throw Error(Code::kFormat, vocab + ": not an object of tokens and ids");
  t.vocabulary_->reserve(table.size());
  for (const auto& [token, id] : table.items()) {
    if (!id.is_number_integer())
      throw Error(Code::kFormat, vocab + ": the id of '" + token.substr(0, 40) + "' is not an integer");
    t.vocabulary_->add(token, id.get<std::int64_t>());
  }
  try {
    ModelTables tables;
    bool first = true;
    detail::each_line(detail::read_text(merges), [&](std::string_view line) {
      const bool heading = std::exchange(first, false) && line.starts_with("#version");
      if (!heading && !line.empty()) tables.merges.add_line(line);
    });
    const io::Json& c = config.is_object() ? config : io::Json::object();
    t.build(detail::layout_of_class(io::get_string(c, "tokenizer_class", ""), c, *t.vocabulary_), tables, options);
    for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "cls_token", "pad_token", "mask_token"}) {
      const std::string content = detail::config_token(c, key, "");
      if (t.vocabulary_->find(content) < 0) continue;
      const io::Json& item = detail::member(c, key);
      AddedToken a{content, -1, false, std::string_view(key) == "mask_token", false, false, true};
      if (item.is_object())
        a.lstrip = io::get_bool(item, "lstrip", a.lstrip), a.rstrip = io::get_bool(item, "rstrip", false);
      t.add_token(std::move(a));
    }
    t.finish();
  } catch (const Error& e) {
    throw Error(e.code(), folder + ": " + e.what());
  }
  t.add_missing_tokens(folder, config);
  return t;
}

inline Tokenizer Tokenizer::from_vocab_txt(const std::string& folder, const io::Json& config, const LoadOptions& options) {
  const std::string path = folder + "/vocab.txt";
  Tokenizer t;
  std::int64_t id = 0;
  detail::each_line(detail::read_text(path), [&](std::string_view line) { t.vocabulary_->add(line, id++); });
  t.vocabulary_->end_model();
  const io::Json& c = config.is_object() ? config : io::Json::object();
  const auto special = [&](const char* key, const char* absent) { return detail::config_token(c, key, absent); };
  const std::string names[] = {special("pad_token", "[PAD]"), special("unk_token", "[UNK]"), special("cls_token", "[CLS]"),
                               special("sep_token", "[SEP]"), special("mask_token", "[MASK]")};
  for (const std::string& name : names) {
    const TokenId known = t.vocabulary_->find(name);
    if (known < 0) throw Error(Code::kFormat, path + ": the special token '" + name + "' is not in it");
    t.add_token({name, known, false, false, false, false, true});
  }
  const bool lower = io::get_bool(c, "do_lower_case", true) || options.lowercase;
  t.model_ = std::make_unique<WordPiece>(*t.vocabulary_, names[1], "##", 100);
  t.normalizer_ =
      bert_normalizer(true, io::get_bool(c, "tokenize_chinese_chars", true), io::get_bool(c, "strip_accents", lower), lower);
  t.pre_tokenizer_ = make_pre_tokenizer({{"type", "BertPreTokenizer"}});
  t.post_ = PostProcessor::bert(t.vocabulary_->find(names[2]), t.vocabulary_->find(names[3]));
  t.decoder_ = make_decoder({{"type", "WordPiece"}});
  t.finish();
  return t;
}

}  // namespace tessera::text
