// Values by two numbers.
#pragma once
#include <cstdint>

#include <tessera/core/error.hpp>
#include <tessera/core/host_memory.hpp>

namespace tessera::text {

/// An open-addressed hash table, at most half full. Its slots hold a few bits of the hash beside the place of the pair, so
/// that looking for what is not there, the usual case, reads a slot and nothing else.
template <class V>
class PairTable {
 public:
  PairTable() : slots_(16, 0) {}
  /// Of equal pairs the last counts. \throws Error kLimit for 2^24 different ones.
  void put(std::uint32_t left, std::uint32_t right, V value) {
    const std::uint64_t k = key(left, right), h = hash(k);
    std::size_t at = first_slot(h);
    for (; slots_[at] != 0; at = next_slot(at))
      if (Pair& p = pairs_[slots_[at] % kPlaces - 1]; p.key == k) {
        p.value = value;
        return;
      }
    if (pairs_.size() + 1 == kPlaces) throw Error(Code::kLimit, "a table of 2^24 pairs or more");
    pairs_.push_back({k, value});
    if (pairs_.size() * 2 > slots_.size())
      grow();
    else
      slots_[at] = tag(h) | static_cast<std::uint32_t>(pairs_.size());
  }
  /// Null where there is none.
  const V* find(std::uint32_t left, std::uint32_t right) const noexcept {
    const std::uint64_t k = key(left, right), h = hash(k);
    for (std::size_t at = first_slot(h); slots_[at] != 0; at = next_slot(at)) {
      if ((slots_[at] & ~(kPlaces - 1)) != tag(h)) continue;
      if (const Pair& p = pairs_[slots_[at] % kPlaces - 1]; p.key == k) return &p.value;
    }
    return nullptr;
  }
  /// Calls f(left, right, value) for each, in the order in which they were put in.
  template <class F>
  void each(const F& f) const {
    for (const Pair& p : pairs_) f(static_cast<std::uint32_t>(p.key >> 32), static_cast<std::uint32_t>(p.key), p.value);
  }

 private:
  static constexpr std::uint32_t kPlaces = 1u << 24;
  struct Pair {
    std::uint64_t key;
    V value;
  };
  void grow() {
    slots_.assign(slots_.size() * 2, 0);
    for (std::uint32_t i = 0; i < pairs_.size(); ++i) {
      const std::uint64_t h = hash(pairs_[i].key);
      std::size_t at = first_slot(h);
      while (slots_[at] != 0) at = next_slot(at);
      slots_[at] = tag(h) | (i + 1);
    }
  }
  static std::uint64_t key(std::uint32_t left, std::uint32_t right) noexcept {
    return static_cast<std::uint64_t>(left) << 32 | right;
  }
  static std::uint64_t hash(std::uint64_t k) noexcept { return k * 0x9e3779b97f4a7c15u; }
  static std::uint32_t tag(std::uint64_t h) noexcept { return static_cast<std::uint32_t>(h >> 56) << 24; }
  std::size_t first_slot(std::uint64_t h) const noexcept { return static_cast<std::size_t>(h >> 28) & (slots_.size() - 1); }
  std::size_t next_slot(std::size_t at) const noexcept { return (at + 1) & (slots_.size() - 1); }
  HostVector<std::uint32_t> slots_;  // 0: free; else the tag, then the place in pairs_ and 1
  HostVector<Pair> pairs_;
};

}  // namespace tessera::text
