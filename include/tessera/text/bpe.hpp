// Byte pair encoding: the model of GPT-2, RoBERTa, CLIP, Llama, Mistral, Qwen and others.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/io/json_reader.hpp>
#include <tessera/text/model.hpp>
#include <tessera/text/pair_table.hpp>

namespace tessera::text {

/// Merges as read: left and right parts, the first has rank 0.
struct MergeList {
  std::string pool;
  std::vector<std::array<std::uint32_t, 3>> parts{};  // begin, begin of the right part, end
  void add(std::string_view left, std::string_view right) {
    const auto at = static_cast<std::uint32_t>(pool.size());
    pool.append(left).append(right);
    parts.push_back({at, at + static_cast<std::uint32_t>(left.size()), static_cast<std::uint32_t>(pool.size())});
  }
  std::string_view left(std::size_t i) const { return text(parts[i][0], parts[i][1]); }
  std::string_view right(std::size_t i) const { return text(parts[i][1], parts[i][2]); }
  std::string_view whole(std::size_t i) const { return text(parts[i][0], parts[i][2]); }
  std::string_view text(std::uint32_t begin, std::uint32_t end) const {
    return std::string_view(pool).substr(begin, end - begin);
  }
  /// One line of a merges.txt, "left right". \throws Error kFormat for other than two parts.
  void add_line(std::string_view line);
};

struct BpeSettings {
  std::string unk_token{};  ///< empty: unknown characters vanish
  bool has_unk = false;
  std::string prefix{}, suffix{};  ///< of characters that are not the first of a piece, and of the last
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
};

/// Merges the best-ranked pair, leftmost first, until none is left; O(n log n) in the piece's length.
/// Source: Sennrich, Haddow, Birch, arXiv:1508.07909, section 3.2.
class Bpe : public Model {
 public:
  /// \throws Error kFormat for a merge whose parts or result the vocabulary lacks, kLimit for 2^24 merges or more.
  Bpe(const Vocabulary& vocabulary, const MergeList& merges, BpeSettings settings);
  void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<PieceToken>& out) const override;
  /// Up to where two characters meet that no merge brings together.
  std::size_t first_part(std::string_view piece) const override;

  /// Takes pieces as raw bytes instead of their byte-level characters, where every byte has a token. \return whether it
  /// does.
  bool take_raw_bytes();

 private:
  struct Merge {
    std::uint32_t rank, id;
  };
  static constexpr std::uint32_t kNoRank = 0xffffffffu;
  static constexpr std::size_t kShort = 64;  // symbols that merge_short() takes
  // Repeated ones count: with it, rank and one of kShort places fit in 31 bits.
  static constexpr std::size_t kMostMerges = (std::size_t{1} << 24) - 1;
  const Merge* find(TokenId left, TokenId right) const noexcept {
    return merges_.find(static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(right));
  }
  void index_bytes();
  void index_meetings(const MergeList& merges);
  TokenId character(std::string_view c, bool first, bool last, std::string& buffer) const;
  void read_characters(std::string_view piece, ModelScratch& scratch) const;
  void merge_short(std::string_view piece, std::vector<BpeSymbol>& symbols) const;
  void merge_long(std::vector<BpeSymbol>& symbols, std::vector<std::pair<std::uint64_t, std::uint32_t>>& heap) const;

  const Vocabulary& vocabulary_;
  BpeSettings settings_;
  TokenId unk_ = -1;
  TokenId fallback_[256];
  TokenId bytes_[2][2][256];  // raw bytes by first, last
  TokenId ascii_[2][2][128];  // characters by first, last
  bool raw_ = false, all_fallback_ = false;
  PairTable<Merge> merges_;         // by the ids of the parts
  std::vector<Merge> byte_merges_;  // raw bytes, by the left, then the right one; neither is the last of a piece
  PairTable<bool> meetings_;        // of the last character of a left part with the first of its right part
  bool falls_apart_ = false;        // whether meetings_ tells where
};

/// From a tokenizer.json's "model". \throws Error kFormat, kUnsupported for dropout.
BpeSettings bpe_settings(const io::Json& json);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/bpe-inl.hpp>
#endif
