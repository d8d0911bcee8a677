// WordLevel: a table of words.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text/model.hpp>

namespace tessera::text {

/// Whole pieces or unknown.
class WordLevel : public Model {
 public:
  WordLevel(const Vocabulary& vocabulary, const std::string& unk) : vocabulary_(vocabulary), unk_(vocabulary.find(unk)) {}
  void tokenize(std::string_view piece, ModelScratch&, std::vector<PieceToken>& out) const override {
    const TokenId id = vocabulary_.find_model(piece);
    if (id < 0 && unk_ < 0)
      throw Error(Code::kBadArgument, "tokenizer: a word is unknown and the vocabulary has no unknown token");
    out.push_back({id < 0 ? unk_ : id, 0, piece.size()});
  }

 private:
  const Vocabulary& vocabulary_;
  TokenId unk_;
};

}  // namespace tessera::text
