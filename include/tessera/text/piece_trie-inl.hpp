#pragma once
#include <algorithm>
#include <bit>

#include <tessera/text/piece_trie.hpp>

namespace tessera::text {

class PieceTrie::Builder {
 public:
  Builder(PieceTrie& trie, const std::vector<std::string_view>& pieces) : trie_(trie), pieces_(pieces) {
    keys_.reserve(pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) keys_.push_back({head(pieces[i]), static_cast<std::uint32_t>(i)});
    std::sort(keys_.begin(), keys_.end(), [&](const Key& a, const Key& b) {
      return a.head != b.head ? a.head < b.head : pieces_[a.piece] < pieces_[b.piece];
    });
  }

  void run() {
    trie_.tails_.resize(pieces_.size());
    take(0, kNone);
    std::vector<Range> open{{0, 0, keys_.size(), 0}};
    std::vector<Range> below;
    while (!open.empty()) {
      const Range r = open.back();
      open.pop_back();
      children(r, below);
      for (const Range& child : below)
        if (!leaf(child)) open.push_back(child);
    }
    trie_.units_.resize(last_ + 257);
    trie_.units_.shrink_to_fit();
  }

 private:
  struct Key {
    std::uint64_t head;  // the first bytes, so that most comparisons need no look at the piece
    std::uint32_t piece;
  };
  struct Range {  // pieces keys_[begin, end) share `depth` bytes, which lead to `node`
    std::uint32_t node;
    std::size_t begin, end;
    std::size_t depth;
  };
  static std::uint64_t head(std::string_view s) noexcept {
    std::uint64_t h = 0;
    for (std::size_t i = 0; i < 8; ++i) h = h << 8 | (i < s.size() ? static_cast<unsigned char>(s[i]) : 0u);
    return h;
  }
  unsigned char byte(std::size_t key, std::size_t depth) const noexcept {
    return static_cast<unsigned char>(pieces_[keys_[key].piece][depth]);
  }

  // Places the children of a node; `below` gets their ranges.
  void children(Range r, std::vector<Range>& below) {
    below.clear();
    if (r.begin < r.end && pieces_[keys_[r.begin].piece].size() == r.depth)
      trie_.units_[r.node].piece = keys_[r.begin++].piece;
    labels_.clear();
    for (std::size_t i = r.begin; i < r.end;) {
      const unsigned char label = byte(i, r.depth);
      std::size_t end = i + 1;
      while (end < r.end && byte(end, r.depth) == label) ++end;
      labels_.push_back(label);
      below.push_back({0, i, end, r.depth + 1});
      i = end;
    }
    const std::size_t base = find_base();
    trie_.units_[r.node].children = static_cast<std::uint32_t>(base);
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      below[i].node = static_cast<std::uint32_t>(base + labels_[i]);
      take(below[i].node, r.node);
    }
  }

  bool leaf(const Range& r) {
    if (r.end - r.begin > 1) return false;
    const std::uint32_t piece = keys_[r.begin].piece;
    const std::string_view rest = pieces_[piece].substr(r.depth);
    trie_.units_[r.node].piece = piece;
    trie_.tails_[piece] = {static_cast<std::uint32_t>(trie_.text_.size()), static_cast<std::uint32_t>(rest.size())};
    trie_.text_.append(rest);
    return true;
  }

  // A base from which all labels are free. Gives up after some tries and goes beyond all: building stays linear.
  std::size_t find_base() {
    if (labels_.empty()) return 0;
    constexpr int kTries = 64;
    const std::size_t first = labels_.front();
    while (first_free_ < free_.size() && free_[first_free_] == 0) ++first_free_;
    int tries = 0;
    for (std::size_t word = first_free_; word < free_.size() && tries < kTries; ++word) {
      for (std::uint64_t bits = free_[word]; bits != 0 && tries < kTries; bits &= bits - 1, ++tries) {
        const std::size_t place = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        if (place < first) continue;
        const std::size_t base = place - first;
        if (std::all_of(labels_.begin() + 1, labels_.end(), [&](unsigned char l) { return is_free(base + l); })) return base;
      }
    }
    return last_ + 1;
  }
  bool is_free(std::size_t place) const noexcept {
    return place / 64 >= free_.size() || (free_[place / 64] >> (place % 64) & 1) != 0;
  }
  void take(std::size_t place, std::uint32_t parent) {
    if (place / 64 >= free_.size()) free_.resize(place / 64 + 8, ~std::uint64_t{0});
    free_[place / 64] &= ~(std::uint64_t{1} << (place % 64));
    if (place >= trie_.units_.size()) trie_.units_.resize(std::max(place + 1, trie_.units_.size() * 2));
    trie_.units_[place].parent = parent;
    last_ = std::max(last_, place);
  }

  PieceTrie& trie_;
  const std::vector<std::string_view>& pieces_;
  std::vector<Key> keys_;
  std::vector<unsigned char> labels_;
  std::vector<std::uint64_t> free_;
  std::size_t first_free_ = 0, last_ = 0;
};

inline PieceTrie::PieceTrie(const std::vector<std::string_view>& pieces) { Builder(*this, pieces).run(); }

}  // namespace tessera::text
