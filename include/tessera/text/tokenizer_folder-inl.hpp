#pragma once
#include <filesystem>
#include <set>

#include <tessera/core/lfs_pointer.hpp>
#include <tessera/core/mmap.hpp>
#include <tessera/io/json.hpp>
#include <tessera/text/tokenizer_config-inl.hpp>
#include <tessera/text/tokenizer_load-inl.hpp>

namespace tessera::text {

namespace detail {

/// All bytes of a text file. \throws Error kFormat for a Git-LFS pointer and invalid UTF-8.
inline std::string read_text(const std::string& path) {
  const MappedFile file = MappedFile::open(path.c_str());
  std::string text(reinterpret_cast<const char*>(file.data()), file.bytes());
  refuse_lfs_pointer(text, path);
  std::size_t bad = 0;
  if (unicode::valid_prefix(text, 0, bad) != text.size()) throw Error(Code::kFormat, {path, ": not valid UTF-8"});
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

/// The tokenizer.json, without its tables, of a class whose folders hold vocab.json and merges.txt.
/// Source: transformers, convert_slow_tokenizer.py.
inline io::Json layout_of_class(std::string type, const io::Json& config, const Vocabulary& vocabulary) {
  if (type.ends_with("Fast")) type.resize(type.size() - 4);
  const bool clip = type == "CLIPTokenizer", qwen2 = type == "Qwen2Tokenizer", roberta = type == "RobertaTokenizer";
  if (!clip && !qwen2 && !roberta && !type.empty() && type != "GPT2Tokenizer")
    throw Error(Code::kUnsupported, {"tokenizer: tokenizer_class '", type,
                                     "' with vocab.json and merges.txt alone is not supported; "
                                     "known: CLIPTokenizer, GPT2Tokenizer, Qwen2Tokenizer, RobertaTokenizer"});
  const char* const layout = clip      ? R"({
    "model": {"type": "BPE", "end_of_word_suffix": "</w>"},
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "behavior": "Removed", "invert": true}, {"type": "ByteLevel", "add_prefix_space": false}]},
    "post_processor": {"type": "RobertaProcessing", "add_prefix_space": false, "trim_offsets": false},
    "decoder": {"type": "ByteLevel"}})"
                             : qwen2   ? R"({
    "model": {"type": "BPE"},
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "use_regex": false}]},
    "post_processor": {"type": "ByteLevel", "trim_offsets": false},
    "decoder": {"type": "ByteLevel"}})"
                             : roberta ? R"({
    "model": {"type": "BPE"},
    "pre_tokenizer": {"type": "ByteLevel"},
    "post_processor": {"type": "RobertaProcessing", "trim_offsets": true},
    "decoder": {"type": "ByteLevel"}})"
                                       : R"({
    "model": {"type": "BPE"},
    "pre_tokenizer": {"type": "ByteLevel"},
    "post_processor": {"type": "ByteLevel", "trim_offsets": false},
    "decoder": {"type": "ByteLevel"}})";
  io::Json j = io::parse_json(layout, type);
  io::Json& before = j["pre_tokenizer"];
  io::Json& after = j["post_processor"];
  const bool space = io::get_bool(config, "add_prefix_space", false);
  if (clip || qwen2) {
    io::Json& steps = before["pretokenizers"];
    steps[0]["pattern"]["Regex"] = KnownPattern::kPatterns[clip ? KnownPattern::kClip : KnownPattern::kQwen2];
    if (qwen2) steps[1]["add_prefix_space"] = space;
  } else {
    before["add_prefix_space"] = space;
  }
  if (clip) j["model"]["unk_token"] = config_token(config, "unk_token", "<|endoftext|>");
  if (roberta) after["add_prefix_space"] = space;
  const auto end_token = [&](const char* in_layout, const char* key, const char* absent) {
    const std::string content = config_token(config, key, absent);
    const TokenId id = vocabulary.find(content);
    if (id < 0) throw Error(Code::kFormat, {"tokenizer: the special token '", content, "' is not in the vocabulary"});
    io::Json& pair = after[in_layout];
    pair = io::empty_list();
    pair.push_back(content);
    pair.push_back(id);
  };
  if (clip || roberta) {
    end_token("sep", clip ? "eos_token" : "sep_token", clip ? "<|endoftext|>" : "</s>");
    end_token("cls", clip ? "bos_token" : "cls_token", clip ? "<|startoftext|>" : "<s>");
  }
  return j;
}

}  // namespace detail

// Tokens that tokenizer.json does not have: tokenizer_config.json's added_tokens_decoder, added_tokens.json, and the special
// tokens that the configuration names.
// Source: transformers, tokenization_utils_tokenizers.py; its ids for the last are those of the tokenizers package.
inline void Tokenizer::add_missing_tokens(const std::string& folder, const io::Json& config) {
  const std::size_t before = added_.size();
  if (const io::Json& table = io::member(config, "added_tokens_decoder"); table.is_object())
    for (const auto& [id, item] : table.items()) {
      if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != id.npos)
        throw Error(Code::kFormat,
                    {folder, "/tokenizer_config.json: added_tokens_decoder has the id '", id.substr(0, 40), "'"});
      io::Json with_id = item;
      if (!item.is_object() || vocabulary_->find(io::get_string(item, "content")) >= 0) continue;
      with_id["id"] = std::stoll(id);
      io::Json list = io::empty_list();
      list.push_back(std::move(with_id));
      read_added_tokens(list);
    }
  std::vector<AddedToken> named = detail::named_tokens(config);
  std::set<std::string> names, known;  // either list may be long
  for (const AddedToken& t : named) names.insert(t.content);
  std::error_code error;
  const std::string more = folder + "/added_tokens.json";
  if (std::filesystem::exists(more, error)) {
    const io::Json table = io::read_json(more);
    if (!table.is_object()) throw Error(Code::kFormat, {more, ": not an object of tokens and ids"});
    for (const auto& entry : table.items()) {
      const std::string& content = entry.key();
      if (vocabulary_->find(content) >= 0) continue;
      const auto id = static_cast<TokenId>(io::get_int(table, content.c_str(), 0, 1 << 28));
      const bool special = names.count(content) != 0;
      add_token({content, id, false, false, false, !special, special});
    }
  }
  TokenId next = static_cast<TokenId>(vocabulary_->model_size());
  for (const AddedToken& t : added_) next = std::max(next, t.id + 1), known.insert(t.content);
  for (AddedToken& t : named) {
    if (!known.insert(t.content).second) continue;
    t.id = next;
    add_token(std::move(t));
    next = std::max(next, added_.back().id + 1);
  }
  if (added_.size() > before) finish();
}

inline Tokenizer Tokenizer::from_merges_txt(const std::string& folder, const io::Json& config, const LoadOptions& options) {
  Tokenizer t;
  const std::string vocab = folder + "/vocab.json", merges = folder + "/merges.txt";
  const io::Json table = io::read_json(vocab);
  if (!table.is_object()) throw Error(Code::kFormat, {vocab, ": not an object of tokens and ids"});
  t.vocabulary_->reserve(table.size());
  for (const auto& [token, id] : table.items()) {
    if (!id.is_number_integer())
      throw Error(Code::kFormat, {vocab, ": the id of '", token.substr(0, 40), "' is not an integer"});
    t.vocabulary_->add(token, id.get<std::int64_t>());
  }
  try {
    ModelTables tables;
    bool first = true;
    detail::each_line(detail::read_text(merges), [&](std::string_view line) {
      const bool heading = std::exchange(first, false) && line.starts_with("#version");
      if (!heading && !line.empty()) tables.merges.add_line(line);
    });
    t.build(detail::layout_of_class(io::get_string(config, "tokenizer_class", ""), config, *t.vocabulary_), tables, options);
    for (AddedToken& token : detail::named_tokens(config, true))
      if (t.vocabulary_->find(token.content) >= 0) t.add_token(std::move(token));
    t.finish();
  } catch (const Error& e) {
    throw Error(e.code(), {folder, ": ", e.what()});
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
  const auto special = [&](const char* key, const char* absent) { return detail::config_token(config, key, absent); };
  const std::string names[] = {special("pad_token", "[PAD]"), special("unk_token", "[UNK]"), special("cls_token", "[CLS]"),
                               special("sep_token", "[SEP]"), special("mask_token", "[MASK]")};
  for (const std::string& name : names) {
    const TokenId known = t.vocabulary_->find(name);
    if (known < 0) throw Error(Code::kFormat, {path, ": the special token '", name, "' is not in it"});
    t.add_token({name, known, false, false, false, false, true});
  }
  const bool lower = io::get_bool(config, "do_lower_case", true) || options.lowercase;
  t.model_.reset(new WordPiece(*t.vocabulary_, names[1], "##", 100));
  t.normalizer_ = bert_normalizer(true, io::get_bool(config, "tokenize_chinese_chars", true),
                                  io::get_bool(config, "strip_accents", lower), lower);
  t.pre_tokenizer_ = make_pre_tokenizer(io::parse_json(R"({"type": "BertPreTokenizer"})", path));
  t.post_ = PostProcessor::bert(t.vocabulary_->find(names[2]), t.vocabulary_->find(names[3]));
  t.decoder_ = make_decoder(io::parse_json(R"({"type": "WordPiece"})", path));
  t.finish();
  t.add_missing_tokens(folder, config);
  return t;
}

}  // namespace tessera::text
