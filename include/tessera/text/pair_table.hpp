// Values by two numbers.
#pragma once
#include <cstdint>
#include <vector>

namespace tessera::text {

/// An open-addressed hash table, at most half full. The pair of two 0xffffffff is not a key.
template <class V>
class PairTable {
 public:
  PairTable() : PairTable(0) {}
  /// \param most how many pairs may be put in
  explicit PairTable(std::size_t most) {
    std::size_t slots = 16;
    while (slots < most * 2) slots *= 2;
    slots_.assign(slots, {kFree, {}});
  }
  /// Of equal pairs the last counts.
  void put(std::uint32_t left, std::uint32_t right, V value) {
    const std::uint64_t k = key(left, right);
    std::size_t at = place(k);
    while (slots_[at].key != kFree && slots_[at].key != k) at = next(at);
    slots_[at] = {k, value};
  }
  /// Null where there is none.
  const V* find(std::uint32_t left, std::uint32_t right) const noexcept {
    const std::uint64_t k = key(left, right);
    for (std::size_t at = place(k);; at = next(at)) {
      if (slots_[at].key == k) return &slots_[at].value;
      if (slots_[at].key == kFree) return nullptr;
    }
  }
  /// Calls f(left, right, value) for each, in no order.
  template <class F>
  void each(const F& f) const {
    for (const Slot& s : slots_)
      if (s.key != kFree) f(static_cast<std::uint32_t>(s.key >> 32), static_cast<std::uint32_t>(s.key), s.value);
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key;
    V value;
  };
  static std::uint64_t key(std::uint32_t left, std::uint32_t right) noexcept {
    return static_cast<std::uint64_t>(left) << 32 | right;
  }
  std::size_t place(std::uint64_t k) const noexcept {
    return static_cast<std::size_t>((k * 0x9e3779b97f4a7c15u) >> 32) & (slots_.size() - 1);
  }
  std::size_t next(std::size_t at) const noexcept { return (at + 1) & (slots_.size() - 1); }
  std::vector<Slot> slots_;
};

}  // namespace tessera::text
