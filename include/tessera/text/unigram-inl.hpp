#pragma once
#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

#include <tessera/core/fp_mode.hpp>
#include <tessera/text/piece_trie.hpp>
#include <tessera/text/unicode.hpp>
#include <tessera/text/unigram.hpp>

namespace tessera::text {

namespace detail {

/// Viterbi over the bytes of a piece, scores summed in double from the left; of equally good ways the one found first, that
/// is, with the longest last entry, stays. Source: Kudo, arXiv:1804.10959; ties, the unknown score and fusing as the
/// tokenizers package.
class Unigram : public Model {
 public:
  Unigram(const HostVector<ScoredPiece>& pieces, const UnigramOptions& options, Vocabulary& vocabulary)
      : byte_fallback_(options.byte_fallback) {
    if (options.unk) {
      if (*options.unk >= pieces.size())
        throw Error(Code::kFormat, {"tokenizer: unk_id ", std::to_string(*options.unk), " of a Unigram vocabulary of ",
                                    std::to_string(pieces.size()), " pieces"});
      unk_ = static_cast<TokenId>(*options.unk);
    }
    std::size_t bytes = 0;
    double least = std::numeric_limits<double>::infinity();
    HostVector<std::string_view> texts;
    texts.reserve(pieces.size());
    scores_.reserve(pieces.size());
    for (const ScoredPiece& piece : pieces) {
      texts.push_back(piece.text);
      scores_.push_back(piece.score);
      bytes += piece.text.size();
      least = std::min(least, piece.score);
    }
    if (bytes > std::size_t{1} << 31) throw Error(Code::kLimit, "tokenizer: a vocabulary of more than 2 GiB");
    vocabulary.add_all(texts);
    unk_score_ = least - kUnknownPenalty;
    trie_ = PieceTrie(texts);
    for (unsigned b = 0; b < 256; ++b) {
      char name[8];
      (void)std::snprintf(name, sizeof name, "<0x%02X>", b);
      byte_ids_[b] = vocabulary.find(name);
    }
  }

  void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<PieceToken>& out) const override {
    const FpModeScope mode;  // which way is best must not depend on how the caller rounds
    auto& best = scratch.lattice;
    fill(piece, best);
    const std::size_t first = out.size();
    std::size_t unknown_end = 0;  // of the fused unknown run that is being walked, backwards
    const auto end_unknown = [&](std::size_t begin) {
      if (unknown_end > begin) put_unknown(piece, begin, unknown_end, out);
      unknown_end = 0;
    };
    for (std::size_t end = piece.size(); end > 0;) {
      const LatticeNode& node = best[end];
      if (unk_ >= 0 && node.id == unk_) {
        if (unknown_end == 0) unknown_end = end;
      } else {
        end_unknown(end);
        out.push_back({node.id, node.begin, end});
      }
      end = node.begin;
    }
    end_unknown(0);
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }

 private:
  static constexpr double kUnknownPenalty = 10.0;
  static constexpr std::uint32_t kUnreached = 0xffffffffu;

  // best[end]: the best way to reach `end`, by its last entry.
  void fill(std::string_view piece, std::vector<LatticeNode>& best) const {
    if (piece.size() >= kUnreached) throw Error(Code::kLimit, "tokenizer: a piece of more than 4 GiB");
    best.assign(piece.size() + 1, {0.0, kUnreached, -1});
    for (std::size_t begin = 0; begin < piece.size();) {
      const std::size_t width = unicode::width(piece[begin]);
      const double till_here = best[begin].score;
      bool single = false;
      const auto reach = [&](std::size_t end, double score, TokenId id) {
        LatticeNode& node = best[end];
        if (node.begin != kUnreached && !(score > node.score)) return;
        node = {score, static_cast<std::uint32_t>(begin), id};
      };
      trie_.find(piece.substr(begin), [&](std::uint32_t at, std::size_t length) {
        reach(begin + length, scores_[at] + till_here, static_cast<TokenId>(at));
        single = single || length == width;
      });
      if (!single) {
        if (unk_ < 0)
          throw Error(Code::kBadArgument,
                      "tokenizer: a character is unknown and the Unigram vocabulary has no unknown token");
        reach(begin + width, unk_score_ + till_here, unk_);
      }
      begin += width;
    }
  }

  // Appends backwards, as the walk goes. Fused unknown text is looked up again, like any other.
  void put_unknown(std::string_view piece, std::size_t begin, std::size_t end, std::vector<PieceToken>& out) const {
    const std::string_view text = piece.substr(begin, end - begin);
    TokenId known = -1;
    trie_.find(text, [&](std::uint32_t at, std::size_t length) {
      if (length == text.size()) known = static_cast<TokenId>(at);
    });
    const auto has_byte = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)] >= 0; };
    if (known < 0 && byte_fallback_ && std::all_of(text.begin(), text.end(), has_byte)) {
      for (std::size_t i = text.size(); i-- > 0;)
        out.push_back({byte_ids_[static_cast<unsigned char>(text[i])], begin, end});
      return;
    }
    out.push_back({known >= 0 ? known : unk_, begin, end});
  }

  PieceTrie trie_;
  HostVector<double> scores_;  // by id
  std::array<TokenId, 256> byte_ids_{};
  double unk_score_ = 0;
  TokenId unk_ = -1;
  bool byte_fallback_;
};

}  // namespace detail

inline std::unique_ptr<Model> make_unigram(const HostVector<ScoredPiece>& pieces, const UnigramOptions& options,
                                           Vocabulary& vocabulary) {
  return std::unique_ptr<Model>(new detail::Unigram(pieces, options, vocabulary));
}

}  // namespace tessera::text
