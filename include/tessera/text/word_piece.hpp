// WordPiece, the model of BERT.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text/model.hpp>
#include <tessera/text/unicode.hpp>

namespace tessera::text {

/// Greedy longest match from the left; a word that cannot be matched to its end is one unknown token.
/// Source: Schuster, Nakajima, "Japanese and Korean voice search", 2012; Wu et al., arXiv:1609.08144, section 4.1.
class WordPiece : public Model {
 public:
  WordPiece(const Vocabulary& vocabulary, const std::string& unk, std::string prefix, std::size_t max_chars)
      : vocabulary_(vocabulary), prefix_(std::move(prefix)), unk_(vocabulary.find(unk)), max_chars_(max_chars) {
    if (unk_ < 0) throw Error(Code::kFormat, {"tokenizer: the unknown token '", unk, "' is not in the vocabulary"});
  }

  void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<PieceToken>& out) const override {
    std::size_t characters = 0;
    for (std::size_t i = 0; i < piece.size() && characters <= max_chars_; ++characters) i += unicode::width(piece[i]);
    if (characters > max_chars_) {
      out.push_back({unk_, 0, piece.size()});
      return;
    }
    // The prefix is written over what has been matched before, so that no candidate is copied.
    std::string& buffer = scratch.buffer;
    const std::size_t shift = prefix_.size(), longest = vocabulary_.longest(), first = out.size();
    buffer.assign(prefix_).append(piece);
    for (std::size_t begin = 0; begin < piece.size();) {
      std::size_t from = shift + begin;
      if (begin > 0) {
        from -= shift;
        buffer.replace(from, shift, prefix_);
      }
      std::size_t end = shift + piece.size();
      if (end - from > longest) {
        end = from + longest;
        while (end > shift + begin && is_continuation(buffer, end)) --end;
      }
      TokenId id = -1;
      for (; end > shift + begin; end = previous(buffer, end)) {
        id = vocabulary_.find_model(std::string_view(buffer).substr(from, end - from));
        if (id >= 0) break;
      }
      if (id < 0) {
        out.resize(first);
        out.push_back({unk_, 0, piece.size()});
        return;
      }
      out.push_back({id, begin, end - shift});
      begin = end - shift;
    }
  }

 private:
  static bool is_continuation(const std::string& s, std::size_t i) noexcept {
    return i < s.size() && (static_cast<unsigned char>(s[i]) & 0xc0u) == 0x80;
  }
  static std::size_t previous(const std::string& s, std::size_t i) noexcept {
    do --i;
    while (is_continuation(s, i));
    return i;
  }
  const Vocabulary& vocabulary_;
  std::string prefix_;
  TokenId unk_;
  std::size_t max_chars_;
};

}  // namespace tessera::text
