// The tokens of pieces seen before: words repeat.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include <tessera/text/model.hpp>

namespace tessera::text {

/// Short pieces and their few tokens, a slot a hash value; a newer piece takes the slot. For one thread at a time.
class PieceCache {
 public:
  static constexpr std::size_t kBytes = 28, kTokens = 6;

  /// Appends what model.tokenize() would.
  void tokenize(const Model& model, std::string_view piece, ModelScratch& scratch, std::vector<PieceToken>& out) {
    if (slots_.empty()) slots_.resize(kSlots);
    if (piece.size() <= kBytes) return remembered(model, piece, 0, scratch, out);
    for (std::size_t at = 0, n = 0; at < piece.size(); at += n) {
      n = model.first_part(piece.substr(at));
      remembered(model, piece.substr(at, n), at, scratch, out);
    }
  }

 private:
  // `at`: where the part begins in its piece.
  void remembered(const Model& model, std::string_view part, std::size_t at, ModelScratch& scratch,
                  std::vector<PieceToken>& out) {
    const std::size_t before = out.size();
    Slot* const slot = part.size() <= kBytes ? &slots_[hash(part) & (kSlots - 1)] : nullptr;
    if (slot && slot->size == part.size() && std::memcmp(slot->bytes, part.data(), part.size()) == 0) {
      for (std::size_t i = 0; i < slot->count; ++i)
        out.push_back({slot->ids[i], at + slot->spans[i][0], at + slot->spans[i][1]});
      return;
    }
    model.tokenize(part, scratch, out);
    const std::size_t n = out.size() - before;
    if (slot && n <= kTokens) {
      std::memcpy(slot->bytes, part.data(), part.size());
      slot->size = static_cast<std::uint8_t>(part.size());
      slot->count = static_cast<std::uint8_t>(n);
      for (std::size_t i = 0; i < n; ++i) {
        const PieceToken& t = out[before + i];
        slot->ids[i] = t.id;
        slot->spans[i][0] = static_cast<std::uint8_t>(t.begin), slot->spans[i][1] = static_cast<std::uint8_t>(t.end);
      }
    }
    for (std::size_t i = before; i < out.size(); ++i) out[i].begin += at, out[i].end += at;
  }

  static constexpr std::size_t kSlots = 1 << 14;
  struct Slot {
    char bytes[kBytes];
    std::uint8_t size = 0, count = 0;  // size 0: free, as no piece is empty
    std::uint8_t spans[kTokens][2];
    TokenId ids[kTokens];
  };
  static std::size_t hash(std::string_view s) noexcept {
    std::uint64_t h = s.size();
    const auto mix = [&h](const char* p, std::size_t n) {
      std::uint64_t v = 0;
      std::memcpy(&v, p, n);
      h = (h ^ v) * 0x9e3779b97f4a7c15u;
      h ^= h >> 29;
    };
    std::size_t i = 0;
    for (; i + 8 <= s.size(); i += 8) mix(s.data() + i, 8);
    if (i < s.size()) mix(s.data() + i, s.size() - i);
    return static_cast<std::size_t>(h >> 20);
  }
  std::vector<Slot> slots_;
};

}  // namespace tessera::text
