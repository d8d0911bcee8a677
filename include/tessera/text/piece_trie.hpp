// A prefix tree over the bytes of many pieces.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <tessera/core/host_memory.hpp>

namespace tessera::text {

/// Finds all pieces that a text begins with. A double array (Aoe, 1989): one memory access a byte. Branches with a single
/// piece are not spelled out, but compared with the piece at their end.
class PieceTrie {
 public:
  /// \param pieces what find() reports is the index in this list, of equal pieces the last. Empty ones are never found.
  /// \throws Error kLimit for 2^31 bytes or more together.
  explicit PieceTrie(std::span<const std::string_view> pieces);
  PieceTrie() = default;

  /// Calls f(index, length) for each piece that text begins with, shortest first.
  template <class F>
  void find(std::string_view text, const F& f) const {
    if (units_.empty()) return;
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::uint32_t next = units_[at].children + static_cast<unsigned char>(text[i]);
      const Unit& unit = units_[next];
      if (unit.parent != at) return;
      at = next;
      if (unit.piece == kNone) continue;
      if (unit.children != kNone) {
        f(unit.piece, i + 1);
        continue;
      }
      // A leaf: the rest of its piece, often none.
      const Tail& tail = tails_[unit.piece];
      if (text.substr(i + 1, tail.size) == std::string_view(text_).substr(tail.begin, tail.size))
        f(unit.piece, i + 1 + tail.size);
      return;
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffffu;
  struct Unit {
    std::uint32_t children = kNone;  ///< place of the child by byte 0; kNone for leaves
    std::uint32_t parent = kNone;    ///< kNone for free places
    std::uint32_t piece = kNone;     ///< that ends here, or the leaf's
  };
  struct Tail {
    std::uint32_t begin = 0, size = 0;
  };
  class Builder;
  HostVector<Unit> units_;  // 256 beyond the last child: no bounds check
  HostVector<Tail> tails_;  // of each piece
  std::string text_;
};

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/piece_trie-inl.hpp>
#endif
