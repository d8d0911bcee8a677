// Special tokens around the texts: templates, what BertProcessing and RobertaProcessing are as templates, and trimmed
// offsets.
#pragma once
#include <string>
#include <vector>

#include <tessera/io/json_reader.hpp>
#include <tessera/text/encoding.hpp>

namespace tessera::text {

/// A list of parts: the first text, the second, or special tokens, each with a type id.
class PostProcessor {
 public:
  struct Part {
    enum Kind { kFirst, kSecond, kSpecial } kind = kFirst;
    std::int32_t type_id = 0;
    std::vector<TokenId> ids;  ///< of a special part
  };
  /// Texts without special tokens; the second has type 1.
  PostProcessor() : single_{{Part::kFirst, 0, {}}}, pair_{{Part::kFirst, 0, {}}, {Part::kSecond, 1, {}}} {}
  PostProcessor(std::vector<Part> single, std::vector<Part> pair) : single_(std::move(single)), pair_(std::move(pair)) {}

  /// From a tokenizer.json's "post_processor", null included. \throws Error kUnsupported naming an unknown type, kFormat.
  static PostProcessor from_json(const io::Json& json);
  /// [CLS] A [SEP], and [CLS] A [SEP] B [SEP].
  static PostProcessor bert(TokenId cls, TokenId sep);
  /// <s> A </s>, and <s> A </s> </s> B </s>, all of type 0.
  static PostProcessor roberta(TokenId cls, TokenId sep);

  /// Whether process() needs Encoding::blanks.
  bool trims() const noexcept { return !trims_.empty(); }
  /// Special tokens that process() adds.
  std::size_t added(bool pair) const noexcept;
  /// \param second null for a single text.
  Encoding process(const Encoding& first, const Encoding* second, bool add_special_tokens) const;
  const std::vector<Part>& single() const noexcept { return single_; }
  const std::vector<Part>& pair() const noexcept { return pair_; }

 private:
  void add(const io::Json& json, bool& has_template);
  void trim(Encoding& e) const;
  std::vector<Part> single_, pair_;
  std::vector<bool> trims_;  // offsets are drawn in over white space; true: a first blank may be one that was added
};

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/post_processor-inl.hpp>
#endif
