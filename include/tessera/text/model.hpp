// The models that cut a piece into tokens: WordPiece and WordLevel.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json.hpp>
#include <tessera/text/unicode.hpp>
#include <tessera/text/vocabulary.hpp>

namespace tessera::text {

/// A token and its bytes within the piece.
struct PieceToken {
  TokenId id;
  std::size_t begin, end;
};

/// The best way to reach a place in a piece, by its last entry (Unigram).
struct LatticeNode {
  double score;
  std::uint32_t begin;
  TokenId id;
};

/// Memory that a thread reuses between pieces.
struct ModelScratch {
  std::string buffer;
  std::vector<LatticeNode> lattice;
};

class Model {
 public:
  virtual ~Model() = default;
  /// Appends the tokens of one piece, in order. Const and safe to share; each thread has its own scratch.
  virtual void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<PieceToken>& out) const = 0;
};

/// From a tokenizer.json's "model", whose "vocab" is already in `vocabulary`. Without a "type" it is inferred from the
/// fields, as the tokenizers package does. \throws Error kUnsupported naming an unknown type, kFormat.
std::unique_ptr<Model> make_model(const io::Json& json, const Vocabulary& vocabulary);
/// WordPiece as BERT's vocab.txt implies it.
std::unique_ptr<Model> wordpiece(const Vocabulary& vocabulary, const std::string& unk, const std::string& prefix,
                                 std::size_t max_chars);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/model-inl.hpp>
#endif
