// Tokens that are cut out of the text before the model sees it.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

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

/// Finds added tokens: leftmost, then longest, without overlap.
class AddedTokenMatcher {
 public:
  /// \param pattern what to look for; empty patterns are ignored, of equal ones the last counts.
  void add(std::string_view pattern, const AddedToken& token) {
    if (pattern.empty()) return;
    std::size_t node = 0;
    for (const char c : pattern) {
      const auto [at, found] = edge(node, c);
      if (found) {
        node = nodes_[node].edges[at].second;
      } else {
        auto& edges = nodes_[node].edges;
        edges.insert(edges.begin() + static_cast<std::ptrdiff_t>(at), {c, nodes_.size()});
        node = nodes_.size();
        nodes_.emplace_back();
      }
    }
    nodes_[node].token = static_cast<int>(tokens_.size());
    tokens_.push_back(token);
    starts_[static_cast<unsigned char>(pattern.front())] = true;
  }
  bool empty() const noexcept { return tokens_.empty(); }

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
  struct Node {
    std::vector<std::pair<char, std::size_t>> edges;  // sorted
    int token = -1;
  };
  std::pair<std::size_t, bool> edge(std::size_t node, char c) const {
    const auto& edges = nodes_[node].edges;
    const auto at = std::lower_bound(edges.begin(), edges.end(), c, [](const auto& e, char x) { return e.first < x; });
    return {static_cast<std::size_t>(at - edges.begin()), at != edges.end() && at->first == c};
  }
  const AddedToken* longest_at(std::string_view text, std::size_t i, std::size_t& length) const {
    const AddedToken* best = nullptr;
    for (std::size_t node = 0, k = i; k < text.size(); ++k) {
      const auto [at, found] = edge(node, text[k]);
      if (!found) break;
      node = nodes_[node].edges[at].second;
      if (nodes_[node].token >= 0) best = &tokens_[static_cast<std::size_t>(nodes_[node].token)], length = k + 1 - i;
    }
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

  std::vector<Node> nodes_{1};
  std::vector<AddedToken> tokens_;
  bool starts_[256] = {};
};

}  // namespace tessera::text
