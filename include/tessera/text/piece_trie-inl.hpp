#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include <tessera/core/error.hpp>
#include <tessera/text/piece_trie.hpp>

namespace tessera::text {

class PieceTrie::Builder {
 public:
  Builder(PieceTrie& trie, std::span<const std::string_view> pieces) : trie_(trie) {
    HostVector<Sorted> sorted;
    sorted.reserve(pieces.size());
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].empty()) continue;
      bytes += pieces[i].size();
      if (bytes >> 31 != 0) throw Error(Code::kLimit, "vocabulary: its pieces are 2 GiB or more of text together");
      sorted.push_back({head(pieces[i], 0), head(pieces[i], 8), static_cast<std::uint32_t>(i),
                        static_cast<std::uint32_t>(pieces[i].size())});
    }
    sort(sorted, pieces);
    // All texts in order, one after another, for the passes to come; of equal ones the last piece.
    trie_.text_.resize(bytes);
    keys_.reserve(sorted.size());
    std::size_t at = 0;
    for (const Sorted& s : sorted) {
      char* const to = trie_.text_.data() + at;
      if (s.size <= 16 && bytes - at >= 16) {  // without a look at the piece, which lies anywhere
        put(s.head, to);
        put(s.next, to + 8);
      } else {
        std::memcpy(to, pieces[s.piece].data(), s.size);
      }
      const std::string_view text(to, s.size);
      if (!keys_.empty() && keys_.back().text == text) {
        keys_.back().piece = s.piece;
        continue;
      }
      keys_.push_back({text, s.piece});
      at += s.size;
    }
    trie_.text_.resize(at);
    trie_.tails_.resize(pieces.size());
    trie_.units_.reserve(keys_.size() * 4 + 512);  // memory that is never touched costs nothing, a move does
  }

  void run() {
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
  }

 private:
  struct Sorted {
    std::uint64_t head, next;  // the first bytes, so that most comparisons need no look at the text
    std::uint32_t piece, size;
  };
  struct Key {
    std::string_view text;  // in trie_.text_
    std::uint32_t piece;
  };
  struct Range {  // keys_[begin, end) share `depth` bytes, which lead to `node`
    std::uint32_t node;
    std::size_t begin, end;
    std::size_t depth;
  };
  // By radix on the first 8 bytes, a byte a pass, then by comparison where those are equal.
  static void sort(HostVector<Sorted>& v, std::span<const std::string_view> pieces) {
    HostVector<Sorted> other(v.size());
    for (int shift = 0; shift < 64; shift += 8) {
      std::array<std::size_t, 257> begin{};
      for (const Sorted& s : v) ++begin[(s.head >> shift & 255) + 1];
      if (std::find(begin.begin(), begin.end(), v.size()) != begin.end()) continue;  // one value only
      for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
      for (const Sorted& s : v) other[begin[s.head >> shift & 255]++] = s;
      v.swap(other);
    }
    for (auto first = v.begin(); first != v.end();) {
      const auto last = std::find_if(first, v.end(), [&](const Sorted& s) { return s.head != first->head; });
      std::sort(first, last, [&](const Sorted& a, const Sorted& b) {
        if (a.next != b.next) return a.next < b.next;
        if (a.size <= 16 || b.size <= 16) return a.size != b.size ? a.size < b.size : a.piece < b.piece;
        const int order = pieces[a.piece].compare(pieces[b.piece]);
        return order != 0 ? order < 0 : a.piece < b.piece;
      });
      first = last;
    }
  }
  static std::uint64_t head(std::string_view s, std::size_t from) noexcept {
    std::uint64_t h = 0;
    for (std::size_t i = from; i < from + 8; ++i) h = h << 8 | (i < s.size() ? static_cast<unsigned char>(s[i]) : 0u);
    return h;
  }
  static void put(std::uint64_t head, char* to) noexcept {
    for (int i = 0; i < 8; ++i) to[i] = static_cast<char>(head >> (56 - 8 * i) & 255);
  }
  unsigned char byte(std::size_t key, std::size_t depth) const noexcept {
    return static_cast<unsigned char>(keys_[key].text[depth]);
  }

  // Places the children of a node; `below` gets their ranges.
  void children(Range r, std::vector<Range>& below) {
    below.clear();
    if (r.begin < r.end && keys_[r.begin].text.size() == r.depth) trie_.units_[r.node].piece = keys_[r.begin++].piece;
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
    const Key& key = keys_[r.begin];
    const auto at = static_cast<std::size_t>(key.text.data() - trie_.text_.data());
    trie_.units_[r.node].piece = key.piece;
    trie_.tails_[key.piece] = {static_cast<std::uint32_t>(at + r.depth),
                               static_cast<std::uint32_t>(key.text.size() - r.depth)};
    return true;
  }

  // A base from which all labels are free. A search starts where the last one for as many labels (one, or more) got to and
  // ends after some tries beyond all that is taken: building stays linear.
  std::size_t find_base() {
    if (labels_.empty()) return 0;
    constexpr int kTries = 64;
    const std::size_t first = labels_.front();
    std::size_t& start = start_[labels_.size() > 1];
    while (start < free_.size() && free_[start] == 0) ++start;
    int tries = 0;
    for (std::size_t word = start; word < free_.size(); ++word, ++tries) {
      for (std::uint64_t bits = free_[word]; bits != 0; bits &= bits - 1) {
        const std::size_t place = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        if (place < first) continue;
        const std::size_t base = place - first;
        if (std::all_of(labels_.begin() + 1, labels_.end(), [&](unsigned char l) { return is_free(base + l); })) return base;
        ++tries;
      }
      if (tries > kTries) {
        start = word;
        break;
      }
    }
    return last_ + 1 > first ? last_ + 1 - first : 1;
  }
  bool is_free(std::size_t place) const noexcept {
    return place / 64 >= free_.size() || (free_[place / 64] >> (place % 64) & 1) != 0;
  }
  void take(std::size_t place, std::uint32_t parent) {
    if (place / 64 >= free_.size()) free_.resize(place / 64 + 8, ~std::uint64_t{0});
    free_[place / 64] &= ~(std::uint64_t{1} << (place % 64));
    if (place >= trie_.units_.size()) trie_.units_.resize(place + 1024);
    trie_.units_[place].parent = parent;
    last_ = std::max(last_, place);
  }

  PieceTrie& trie_;
  HostVector<Key> keys_;
  std::vector<unsigned char> labels_;
  std::vector<std::uint64_t> free_;
  std::size_t start_[2] = {0, 0}, last_ = 0;
};

inline PieceTrie::PieceTrie(std::span<const std::string_view> pieces) { Builder(*this, pieces).run(); }

}  // namespace tessera::text
