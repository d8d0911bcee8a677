// Tokens that are cut out of the text before the model sees it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/text/piece_trie.hpp>
#include <tessera/text/unicode.hpp>
#include <tessera/text/vocabulary.hpp>

namespace tessera::text {

/// One entry of a tokenizer.json's "added_tokens".
struct AddedToken {
  std::string content;
  TokenId id = -1;
  bool single_word = false;  ///< only between characters that are no word characters
  bool lstrip = false;       ///< takes the whitespace before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalised text, by its normalised content
  bool special = false;      ///< left out by decode, and not recognised under split_special_tokens
};

/// How decode shows the id of an added token.
struct DecodedToken {
  std::string content;      ///< in place of the token, if normalized
  bool normalized = false;  ///< shown as it is matched
  bool skipped = false;     ///< when special tokens are
};

/// Finds added tokens: leftmost, then longest, without overlap.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  /// \param patterns what to look for: patterns[i] is tokens[i]. Empty ones are ignored, of equal ones the last counts.
  AddedTokenMatcher(const std::vector<std::string_view>& patterns, std::vector<AddedToken> tokens)
      : trie_(patterns), tokens_(std::move(tokens)) {
    for (const std::string_view p : patterns)
      if (!p.empty()) starts_[static_cast<unsigned char>(p.front())] = true;
  }

  /// Calls f(begin, end, token) for consecutive parts of the text, token null for text between matches. Parts may overlap
  /// where a match swallowed whitespace that the next one begins with, as in the tokenizers package.
  template <class F>
  void split(std::string_view text, bool skip_special, const F& f) const {
    std::size_t done = 0;
    for (std::size_t i = 0; !tokens_.empty() && i < text.size();) {
      if (!starts_[static_cast<unsigned char>(text[i])]) {
        ++i;
        continue;
      }
      std::size_t length = 0;
      const AddedToken* token = longest_at(text, i, length);
      if (!token) {
        ++i;
        continue;
      }
      std::size_t begin = i, end = i + length;
      i = end;
      if (skip_special && token->special) continue;
      if (token->single_word && (word_before(text, begin) || word_after(text, end))) continue;
      if (token->lstrip) begin = std::max(spaces_before(text, begin), done);
      if (token->rstrip) end = spaces_after(text, end);
      if (done < begin) f(done, begin, static_cast<const AddedToken*>(nullptr));
      f(begin, end, token);
      done = end;
    }
    if (done < text.size()) f(done, text.size(), static_cast<const AddedToken*>(nullptr));
  }

 private:
  const AddedToken* longest_at(std::string_view text, std::size_t i, std::size_t& length) const {
    const AddedToken* best = nullptr;
    trie_.find(text.substr(i), [&](std::uint32_t token, std::size_t n) { best = &tokens_[token], length = n; });
    return best;
  }
  static bool word_before(std::string_view s, std::size_t at) {
    std::size_t n = 0;
    return at > 0 && unicode::is(unicode::decode_before(s, at, n), unicode::kWord);
  }
  static bool word_after(std::string_view s, std::size_t at) {
    std::size_t n = 0;
    return at < s.size() && unicode::is(unicode::decode(s, at, n), unicode::kWord);
  }
  static std::size_t spaces_before(std::string_view s, std::size_t at) {
    for (std::size_t n = 0; at > 0; at -= n)
      if (!unicode::is(unicode::decode_before(s, at, n), unicode::kWhitespace)) break;
    return at;
  }
  static std::size_t spaces_after(std::string_view s, std::size_t at) {
    for (std::size_t n = 0; at < s.size(); at += n)
      if (!unicode::is(unicode::decode(s, at, n), unicode::kWhitespace)) break;
    return at;
  }

  PieceTrie trie_;
  std::vector<AddedToken> tokens_;
  bool starts_[256] = {};
};

}  // namespace tessera::text
