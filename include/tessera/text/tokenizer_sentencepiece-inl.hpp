#pragma once
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include <tessera/core/lfs_pointer.hpp>
#include <tessera/core/mmap.hpp>
#include <tessera/io/json.hpp>
#include <tessera/text/sentencepiece_model.hpp>
#include <tessera/text/tokenizer.hpp>
#include <tessera/text/tokenizer_config-inl.hpp>

namespace tessera::text {

namespace detail {

/// A class of transformers that reads such a model.
struct SentencePieceClass {
  const char* name;
  const char* model_types[2];                      ///< of folders that name no class
  const char* special[std::size(kSpecialTokens)];  ///< its special tokens, where tokenizer_config.json names none
  enum Kind { kDebertaV2, kT5, kXlmRoberta } kind;
};
inline constexpr SentencePieceClass kSentencePieceClasses[] = {
    {"DebertaV2Tokenizer",
     {"deberta-v2", nullptr},
     {"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
     SentencePieceClass::kDebertaV2},
    {"T5Tokenizer", {"t5", "mt5"}, {nullptr, "</s>", "<unk>", nullptr, "<pad>", nullptr, nullptr}, SentencePieceClass::kT5},
    {"XLMRobertaTokenizer",
     {"xlm-roberta", nullptr},
     {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
     SentencePieceClass::kXlmRoberta}};

/// The class that tokenizer_config.json names, or that of config.json's model_type.
inline const SentencePieceClass& sentencepiece_class(const std::string& folder, const char* file, const io::Json& config) {
  std::string name = io::get_string(config, "tokenizer_class", ""), type;
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  std::error_code error;
  if (const std::string path = folder + "/config.json"; name.empty() && std::filesystem::exists(path, error))
    type = io::get_string(io::read_json(path), "model_type", "");
  for (const SentencePieceClass& c : kSentencePieceClasses)
    if (name == c.name || (name.empty() && std::any_of(std::begin(c.model_types), std::end(c.model_types),
                                                       [&](const char* t) { return t && type == t; })))
      return c;
  const std::string what = !name.empty()   ? "tokenizer_class '" + name + "'"
                           : !type.empty() ? "model_type '" + type + "'"
                                           : "no tokenizer_class and no model_type";
  throw Error(
      Code::kUnsupported,
      {folder, ": ", what, " with ", file, " and no tokenizer.json is not supported; known: DebertaV2Tokenizer, ",
       "T5Tokenizer, XLMRobertaTokenizer. transformers' AutoTokenizer writes a tokenizer.json with save_pretrained"});
}

/// T5's sentinels, the last one first: <extra_id_99> to <extra_id_0>.
inline std::vector<std::string> sentinels(const io::Json& config) {
  std::vector<std::string> out;
  for (std::int64_t i = io::get_int(config, "extra_ids", 0, 1 << 20, 100); i-- > 0;)
    out.push_back("<extra_id_" + std::to_string(i) + ">");
  return out;
}

/// The special token of that name. \throws Error kFormat where tokenizer_config.json says that there is none.
inline std::string needed_token(const io::Json& config, const char* key) {
  std::string token = config_token(config, key, "");
  if (token.empty()) throw Error(Code::kFormat, {"tokenizer_config.json has no ", key});
  return token;
}

/// The vocabulary of a class: sentencepiece's own, of T5 with its sentinels, of XLM-R with fairseq's first ones and the mask
/// at its end.
inline HostVector<ScoredPiece> pieces_of_class(const SentencePieceClass& c, const io::Json& config,
                                               HostVector<ScoredPiece> pieces) {
  if (c.kind == SentencePieceClass::kT5)
    for (std::string& token : sentinels(config)) pieces.push_back({std::move(token), 0});
  if (c.kind != SentencePieceClass::kXlmRoberta) return pieces;
  HostVector<ScoredPiece> out;
  out.reserve(pieces.size() + 2);
  for (const char* const key : {"bos_token", "pad_token", "eos_token", "unk_token"})
    out.push_back({needed_token(config, key), 0});
  for (std::size_t i = 3; i < pieces.size(); ++i) out.push_back(std::move(pieces[i]));
  out.push_back({needed_token(config, "mask_token"), 0});
  return out;
}

inline io::Json normalizer_of_deberta(bool lower) {
  io::Json j = io::parse_json(R"({"type": "Sequence", "normalizers": [
      {"type": "Replace", "pattern": {"Regex": "\\s{2,}|[\\n\\r\\t]"}, "content": " "}, {"type": "NFC"},
      {"type": "Strip", "strip_left": false, "strip_right": true}]})",
                              "DebertaV2Tokenizer");
  if (lower)
    j["normalizers"].insert(j["normalizers"].begin(), io::parse_json(R"({"type": "Lowercase"})", "DebertaV2Tokenizer"));
  return j;
}

}  // namespace detail

// Source: transformers 5.24, tokenization_utils_tokenizers.py, convert_slow_tokenizer.py, and the files of the three
// classes. DeBERTa-v2's has rules of its own in place of the model's charsmap.
inline Tokenizer Tokenizer::from_sentencepiece(const std::string& folder, const char* file, io::Json config,
                                               const LoadOptions& options) {
  using Class = detail::SentencePieceClass;
  const std::string path = folder + "/" + file;
  const Class& c = detail::sentencepiece_class(folder, file, config);
  const bool deberta = c.kind == Class::kDebertaV2, t5 = c.kind == Class::kT5;
  for (std::size_t i = 0; i < std::size(detail::kSpecialTokens); ++i)
    if (const char* const key = detail::kSpecialTokens[i]; c.special[i] && !io::has(config, key)) config[key] = c.special[i];
  const MappedFile mapped = MappedFile::open(path.c_str());
  const std::string_view bytes(reinterpret_cast<const char*>(mapped.data()), mapped.bytes());
  refuse_lfs_pointer(bytes, path);
  Tokenizer t;
  try {
    SentencePieceModel model = SentencePieceModel::parse(bytes);
    if (!model.unigram) throw Error(Code::kUnsupported, "its model is not Unigram");
    if ((t5 && model.unk != 2) || (c.kind == Class::kXlmRoberta && model.unk > 2))
      throw Error(Code::kFormat,
                  {"its piece ", std::to_string(model.unk), " is the unknown one, which is no ", c.name, "'s"});
    std::vector<AddedToken> own;
    for (const auto* const places : {&model.control, &model.user_defined})
      for (const std::size_t i : *places)
        own.push_back({model.pieces[i].text, static_cast<TokenId>(i), false, false, false, false, places == &model.control});
    const HostVector<ScoredPiece> pieces = detail::pieces_of_class(c, config, std::move(model.pieces));
    t.model_ = make_unigram(pieces, {c.kind == Class::kXlmRoberta ? 3 : t5 ? 2 : model.unk, false}, *t.vocabulary_);
    t.vocabulary_->end_model();
    const bool lower = deberta && io::get_bool(config, "do_lower_case", false);
    if (deberta)
      t.normalizer_ = make_normalizer(detail::normalizer_of_deberta(lower));
    else if (!model.charsmap.empty())
      t.normalizer_ = charsmap_normalizer(model.charsmap, {options.longest_charsmap_match});
    if (options.lowercase && !lower) t.normalizer_ = lowercase_then(std::move(t.normalizer_));
    io::Json split = io::parse_json(R"({"type": "Sequence", "pretokenizers": [
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true}]})",
                                    c.name);
    io::Json& steps = split["pretokenizers"];
    if (!t5 && !io::get_bool(config, "add_prefix_space", true)) steps[0]["prepend_scheme"] = deberta ? "first" : "never";
    t.decoder_ = make_decoder(steps[0]);
    if (!deberta) steps.insert(steps.begin(), io::parse_json(R"({"type": "WhitespaceSplit"})", c.name));
    if (deberta && io::get_bool(config, "split_by_punct", false))
      steps.insert(steps.begin(), io::parse_json(R"({"type": "Punctuation", "behavior": "Isolated"})", c.name));
    t.pre_tokenizer_ = make_pre_tokenizer(split);
    for (AddedToken& token : own) t.add_token(std::move(token));
    if (t5)
      for (std::string& token : detail::sentinels(config))
        t.add_token({std::move(token), -1, false, false, false, false, true});
    t.finish();
  } catch (const Error& e) {
    throw Error(e.code(), {path, ": ", e.what()});
  }
  t.add_missing_tokens(folder, config);
  const auto id = [&](const char* key) { return t.vocabulary_->find(detail::needed_token(config, key)); };
  using Part = PostProcessor::Part;
  if (deberta) t.post_ = PostProcessor::bert(id("cls_token"), id("sep_token"));
  if (c.kind == Class::kXlmRoberta) t.post_ = PostProcessor::roberta(id("bos_token"), id("eos_token"));
  if (t5) {
    const Part end{Part::kSpecial, 0, {id("eos_token")}};
    t.post_ = {{{Part::kFirst, 0, {}}, end}, {{Part::kFirst, 0, {}}, end, {Part::kSecond, 0, {}}, end}};
  }
  return t;
}

}  // namespace tessera::text
