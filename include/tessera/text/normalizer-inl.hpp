#pragma once
#include <tessera/io/json_reader-inl.hpp>  // strict reading, which compiled builds do not declare elsewhere
#include <tessera/text/charsmap-inl.hpp>   // decode_base64, which compiled builds do not declare elsewhere
#include <tessera/text/normalizer.hpp>
#include <tessera/text/normalizer_bert-inl.hpp>
#include <tessera/text/normalizer_charsmap-inl.hpp>
#include <tessera/text/normalizer_forms-inl.hpp>
#include <tessera/text/normalizer_simple-inl.hpp>

namespace tessera::text {

namespace detail {

class NormalizerSequence : public Normalizer {
 public:
  /// \param steps at least one.
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    steps_.front()->normalize(in, out);
    NormalizedText next;
    for (std::size_t i = 1; i < steps_.size(); ++i) {
      steps_[i]->normalize(out, next);
      std::swap(out, next);
    }
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

inline std::unique_ptr<Normalizer> in_sequence(std::vector<std::unique_ptr<Normalizer>> steps) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return std::move(steps.front());
  return std::unique_ptr<Normalizer>(new NormalizerSequence(std::move(steps)));
}

}  // namespace detail

inline std::unique_ptr<Normalizer> bert_normalizer(bool clean_text, bool chinese_chars, bool strip_accents, bool lowercase) {
  return std::unique_ptr<Normalizer>(
      new detail::BertNormalizer(detail::BertNormalizer::Settings{clean_text, chinese_chars, strip_accents, lowercase}));
}

inline std::unique_ptr<Normalizer> charsmap_normalizer(std::string_view bytes, const NormalizerOptions& options) {
  return std::unique_ptr<Normalizer>(new detail::Precompiled(Charsmap::parse(bytes), options.longest_charsmap_match));
}

inline std::unique_ptr<Normalizer> make_normalizer(const io::Json& json, const NormalizerOptions& options) {
  if (json.is_null()) return nullptr;
  const std::string type = io::get_string(json, "type");
  if (type == "BertNormalizer") {
    const bool lower = io::get_bool(json, "lowercase", true);
    return bert_normalizer(io::get_bool(json, "clean_text", true), io::get_bool(json, "handle_chinese_chars", true),
                           io::get_bool(json, "strip_accents", lower), lower);  // null: as lowercase
  }
  if (type == "NFC") return std::unique_ptr<Normalizer>(new detail::UnicodeForm(true, false));
  if (type == "NFD") return std::unique_ptr<Normalizer>(new detail::UnicodeForm(false, false));
  if (type == "NFKC") return std::unique_ptr<Normalizer>(new detail::UnicodeForm(true, true));
  if (type == "NFKD") return std::unique_ptr<Normalizer>(new detail::UnicodeForm(false, true));
  if (type == "Lowercase") return std::unique_ptr<Normalizer>(new detail::EachCharacter(detail::lowercase));
  if (type == "StripAccents") return std::unique_ptr<Normalizer>(new detail::EachCharacter(detail::strip_accent));
  if (type == "Nmt") return std::unique_ptr<Normalizer>(new detail::EachCharacter(detail::nmt));
  if (type == "ByteLevel") return std::unique_ptr<Normalizer>(new detail::ByteLevelText());
  if (type == "Strip")
    return std::unique_ptr<Normalizer>(
        new detail::Strip(io::get_bool(json, "strip_left", false), io::get_bool(json, "strip_right", false)));
  if (type == "Prepend") return std::unique_ptr<Normalizer>(new detail::Prepend(io::get_string(json, "prepend")));
  if (type == "Replace")
    return std::unique_ptr<Normalizer>(new detail::Replace(detail::make_finder(json), io::get_string(json, "content")));
  if (type == "Precompiled") {
    const std::string map = io::get_string(json, "precompiled_charsmap", "");
    if (map.empty()) return nullptr;
    return charsmap_normalizer(detail::decode_base64(map), options);
  }
  if (type == "Sequence") {
    if (!io::member(json, "normalizers").is_array())
      throw Error(Code::kFormat, "tokenizer: a normalizer Sequence without its list");
    std::vector<std::unique_ptr<Normalizer>> steps;
    for (const io::Json& step : json["normalizers"])
      if (auto n = make_normalizer(step, options)) steps.push_back(std::move(n));
    return detail::in_sequence(std::move(steps));
  }
  throw Error(Code::kUnsupported,
              {"tokenizer: normalizer '", type,
               "' is not supported; known: BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, "
               "Prepend, Replace, Sequence, Strip, StripAccents"});
}

inline std::unique_ptr<Normalizer> lowercase_then(std::unique_ptr<Normalizer> next) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  steps.emplace_back(new detail::EachCharacter(detail::lowercase));
  if (next) steps.push_back(std::move(next));
  return detail::in_sequence(std::move(steps));
}

}  // namespace tessera::text
