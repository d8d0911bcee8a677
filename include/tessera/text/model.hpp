// What cuts a piece into tokens; make_model.hpp has the kinds.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/text/vocabulary.hpp>

namespace tessera::text {

/// A token and its bytes within the piece.
struct PieceToken {
  TokenId id;
  std::size_t begin, end;
};

/// A token of BPE while it merges, and its place in a list.
struct BpeSymbol {
  TokenId id;
  std::uint32_t bytes;
  std::uint32_t next = 0, before = 0;
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
  std::vector<BpeSymbol> symbols;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> heap;  // rank and place, result
  std::vector<LatticeNode> lattice;
};

class Model {
 public:
  virtual ~Model() = default;
  /// Appends the tokens of one piece, in order. Const and safe to share; each thread has its own scratch.
  virtual void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<PieceToken>& out) const = 0;
  /// How many bytes a piece that is not empty begins with whose tokens, and those of the rest, are the same when each is a
  /// piece of its own; all of them where that is not known.
  virtual std::size_t first_part(std::string_view piece) const { return piece.size(); }
};

}  // namespace tessera::text
