#pragma once
#include <algorithm>
#include <filesystem>

#include <tessera/core/fp_mode.hpp>
#include <tessera/core/lfs_pointer.hpp>
#include <tessera/core/mmap.hpp>
#include <tessera/io/json_reader-inl.hpp>        // strict reading, which compiled builds do not declare elsewhere
#include <tessera/text/normalizer_bert-inl.hpp>  // an override looks at BertNormalizer's settings
#include <tessera/text/tokenizer-inl.hpp>        // the pool
#include <tessera/text/tokenizer_config-inl.hpp>
#include <tessera/text/tokenizer_json.hpp>
#include <tessera/text/tokenizer_sentencepiece-inl.hpp>

namespace tessera::text {

inline Tokenizer Tokenizer::parse(std::string_view text, const std::string& name, const LoadOptions& options) {
  const FpModeScope mode;  // the scores of a Unigram vocabulary round as always
  Tokenizer t;
  io::Json json;
  refuse_lfs_pointer(text, name);
  const std::size_t entries = std::min<std::size_t>(text.size() / 16, std::size_t{1} << 20);
  t.vocabulary_->reserve(entries);
  ModelTables tables;
  tables.pieces.reserve(entries);  // costs nothing where it is not used
  detail::TokenizerJson handler(json, *t.vocabulary_, tables, 128);
  try {
    if (!handler.read(text)) throw Error(Code::kFormat, {"not a tokenizer.json: ", handler.problem()});
    t.build(json, tables, options);
  } catch (const Error& e) {
    throw Error(e.code(), {name, ": ", e.what()});
  }
  return t;
}

inline bool Tokenizer::is_in(const std::string& folder) {
  std::error_code error;
  const auto has = [&](const char* name) { return std::filesystem::exists(folder + "/" + name, error); };
  return has("tokenizer.json") || has("vocab.txt") || has("vocab.json") ||
         std::any_of(std::begin(detail::kSentencePieceFiles), std::end(detail::kSentencePieceFiles), has);
}

inline Tokenizer Tokenizer::load(const std::string& path, const LoadOptions& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  const std::string file = folder ? path + "/tokenizer.json" : path;
  if (folder && !fs::exists(file, error)) {
    const io::Json config = detail::read_config(path);
    if (fs::exists(path + "/vocab.txt", error)) return from_vocab_txt(path, config, options);
    if (fs::exists(path + "/vocab.json", error)) return from_merges_txt(path, config, options);
    for (const char* const model : detail::kSentencePieceFiles)
      if (fs::exists(path + "/" + model, error)) return from_sentencepiece(path, model, config, options);
    throw Error(Code::kNotFound, {path,
                                  ": no tokenizer.json, vocab.txt, vocab.json with merges.txt or sentencepiece model in it; "
                                  "the tokenizer's files belong beside the weights"});
  }
  const MappedFile mapped = MappedFile::open(file.c_str());
  const std::string_view text(reinterpret_cast<const char*>(mapped.data()), mapped.bytes());
  Tokenizer t = parse(text, file, options);
  if (!folder || options.strict_file) return t;
  const io::Json config = detail::read_config(path);
  t.add_missing_tokens(path, config);
  try {
    t.override_by(config);
  } catch (const Error& e) {
    throw Error(e.code(), {path, "/tokenizer_config.json: ", e.what()});
  }
  return t;
}

inline void Tokenizer::build(const io::Json& json, const ModelTables& tables, const LoadOptions& options) {
  if (!json.is_object()) throw Error(Code::kFormat, "the document is not an object");
  model_ = make_model(io::member(json, "model"), *vocabulary_, tables);
  vocabulary_->end_model();
  normalizer_ = make_normalizer(io::member(json, "normalizer"), {options.longest_charsmap_match});
  if (options.lowercase) normalizer_ = lowercase_then(std::move(normalizer_));
  const io::Json& pre = io::member(json, "pre_tokenizer");
  auto* bpe = dynamic_cast<Bpe*>(model_.get());
  pre_tokenizer_ = make_pre_tokenizer(pre, bpe && ends_in_byte_level(pre) && bpe->take_raw_bytes());
  post_ = PostProcessor::from_json(io::member(json, "post_processor"));
  read_limits(json);
  decoder_ = make_decoder(io::member(json, "decoder"));
  read_added_tokens(io::member(json, "added_tokens"));
  finish();
}

inline void Tokenizer::read_limits(const io::Json& json) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  const auto size = [](const io::Json& j, const char* key, std::int64_t absent) {
    return static_cast<std::size_t>(io::get_int(j, key, 0, kMost, absent));
  };
  if (const io::Json& t = io::member(json, "truncation"); !t.is_null()) {
    Truncation& out = truncation_.emplace();
    out.max_length = size(t, "max_length", 512);
    out.stride = size(t, "stride", 0);
    out.left = io::get_string(t, "direction", "Right") == "Left";
    const std::string strategy = io::get_string(t, "strategy", "LongestFirst");
    using Strategy = Truncation::Strategy;
    out.strategy = strategy == "OnlyFirst"    ? Strategy::only_first
                   : strategy == "OnlySecond" ? Strategy::only_second
                                              : Strategy::longest_first;
  }
  if (const io::Json& p = io::member(json, "padding"); !p.is_null()) {
    Padding& out = padding_.emplace();
    if (const io::Json& strategy = io::member(p, "strategy"); strategy.is_object()) out.length = size(strategy, "Fixed", 0);
    out.multiple_of = size(p, "pad_to_multiple_of", 0);
    out.left = io::get_string(p, "direction", "Right") == "Left";
    out.id = static_cast<TokenId>(io::get_int(p, "pad_id", 0, 1 << 28, 0));
    out.type_id = static_cast<std::int32_t>(io::get_int(p, "pad_type_id", 0, 1 << 28, 0));
  }
}

inline void Tokenizer::read_added_tokens(const io::Json& list) {
  if (list.is_null()) return;
  if (!list.is_array()) throw Error(Code::kFormat, "tokenizer: added_tokens is not a list");
  for (const io::Json& item : list) {
    AddedToken t;
    t.content = io::get_string(item, "content");
    t.id = static_cast<TokenId>(io::get_int(item, "id", 0, 1 << 28));
    t.single_word = io::get_bool(item, "single_word", false);
    t.lstrip = io::get_bool(item, "lstrip", false);
    t.rstrip = io::get_bool(item, "rstrip", false);
    t.special = io::get_bool(item, "special", false);
    t.normalized = io::get_bool(item, "normalized", !t.special);
    add_token(std::move(t));
  }
}

inline void Tokenizer::add_token(AddedToken t) {
  if (t.content.empty()) return;
  const TokenId known = vocabulary_->find(t.content);
  if (known >= 0)
    t.id = known;  // the model's own id counts, as in the tokenizers package
  else
    vocabulary_->add(t.content, t.id);
  added_.push_back(std::move(t));
}

inline void Tokenizer::finish() {
  vocabulary_->index_ids();
  pool_ = std::make_shared<ScratchPool>();
  decoded_.clear();
  std::vector<AddedToken> tokens[2];  // looked for in the text as it is, and in the normalised text
  std::vector<std::string> contents[2];
  NormalizedText in, out;
  for (const AddedToken& t : added_) {
    DecodedToken& decoded = decoded_[t.id];
    std::string content = t.content;
    if (t.normalized && normalizer_) {
      in.assign(t.content, 0);
      normalizer_->normalize(in, out);
      content = decoded.content = out.bytes;
      decoded.normalized = true;
    }
    // Left out by its content, which normalisation may have changed.
    decoded.skipped = decoded.skipped || (t.special && content == t.content);
    tokens[t.normalized].push_back(t);
    contents[t.normalized].push_back(std::move(content));
  }
  raw_ = AddedTokenMatcher({contents[0].begin(), contents[0].end()}, std::move(tokens[0]));
  normalized_ = AddedTokenMatcher({contents[1].begin(), contents[1].end()}, std::move(tokens[1]));
}

// Classes whose transformers code rebuilds the normalizer from tokenizer_config.json, whatever tokenizer.json says.
inline void Tokenizer::override_by(const io::Json& config) {
  const std::string type = io::get_string(config, "tokenizer_class", "");
  if (type == "Siglip2Tokenizer") {  // lowercases before all else
    normalizer_ = lowercase_then(std::move(normalizer_));
    finish();
  }
  if (type != "BertTokenizer" && type != "BertTokenizerFast") return;
  const auto* bert = dynamic_cast<const detail::BertNormalizer*>(normalizer_.get());
  if (!bert) return;
  detail::BertNormalizer::Settings now = bert->settings();
  const detail::BertNormalizer::Settings file = now;
  now.lowercase = io::get_bool(config, "do_lower_case", now.lowercase);
  now.chinese_chars = io::get_bool(config, "tokenize_chinese_chars", now.chinese_chars);
  if (io::has(config, "strip_accents"))
    now.strip_accents = io::get_bool(config, "strip_accents", now.lowercase);
  else if (now.lowercase != file.lowercase)
    now.strip_accents = now.lowercase;
  if (now == file) return;
  notes_.push_back(
      "tokenizer_config.json overrides the normalizer of tokenizer.json: do_lower_case, strip_accents or "
      "tokenize_chinese_chars differ");
  normalizer_ = bert_normalizer(now.clean_text, now.chinese_chars, now.strip_accents, now.lowercase);
  finish();
}

}  // namespace tessera::text
