// Tokens by id and ids by token.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <tessera/core/error.hpp>
#include <tessera/core/host_memory.hpp>

namespace tessera::text {

using TokenId = std::int32_t;

/// A token table: one pool of bytes and an open-addressed hash of it, so that a large vocabulary loads in milliseconds.
/// Ids need not be dense. Of equal tokens the last id wins a lookup.
class Vocabulary {
 public:
  void reserve(std::size_t tokens) {
    entries_.reserve(tokens);
    std::size_t slots = 16;
    while (slots < tokens * 2) slots *= 2;
    if (slots > slots_.size()) rehash(slots);
  }
  /// \throws Error kFormat for an id outside [0, 2^31 - 1) or one that another token has.
  void add(std::string_view token, std::int64_t id) { add(token, id, hash(token)); }
  /// Adds tokens with the ids 0, 1, 2 ... Each asks for its slot's memory a few tokens ahead: a large table is in no cache.
  void add_all(std::span<const std::string_view> tokens) {
    constexpr std::size_t kAhead = 8;
    reserve(tokens.size());
    std::size_t bytes = pool_.size();
    for (const std::string_view token : tokens) bytes += token.size();
    pool_.reserve(bytes);
    std::size_t hashes[kAhead];
    for (std::size_t i = 0; i < tokens.size() + kAhead; ++i) {
      std::size_t& h = hashes[i % kAhead];
      if (i >= kAhead) add(tokens[i - kAhead], static_cast<std::int64_t>(i - kAhead), h);
      if (i >= tokens.size()) continue;
      h = hash(tokens[i]);
      __builtin_prefetch(&slots_[h & (slots_.size() - 1)], 1);
    }
  }
  /// The id, or -1.
  TokenId find(std::string_view token) const noexcept {
    if (slots_.empty()) return -1;
    const std::uint32_t entry = slots_[find_slot(token, hash(token))];
    return entry == kFree ? -1 : entries_[entry].id;
  }
  /// The tokens so far are the model's; find_model() looks among them alone, find() also among those added later.
  void end_model() noexcept { model_ = entries_.size(); }
  std::size_t model_size() const noexcept { return model_; }
  TokenId find_model(std::string_view token) const noexcept {
    if (slots_.empty()) return -1;
    const std::uint32_t entry = slots_[find_slot(token, hash(token))];
    return entry == kFree || entry >= model_ ? -1 : entries_[entry].id;
  }
  /// Makes token() usable; call after the last add().
  void index_ids() {
    TokenId top = -1;
    for (const Entry& e : entries_) top = e.id > top ? e.id : top;
    // A sparse id space costs 4 bytes an id, which the limit of add() bounds.
    by_id_.assign(static_cast<std::size_t>(top) + 1, kFree);
    for (std::size_t i = 0; i < entries_.size(); ++i)
      by_id_[static_cast<std::size_t>(entries_[i].id)] = static_cast<std::uint32_t>(i);
    by_id_valid_ = true;
  }
  /// The token of an id, or an empty view with null data.
  std::string_view token(TokenId id) const noexcept {
    if (!by_id_valid_ || id < 0 || static_cast<std::size_t>(id) >= by_id_.size()) return {};
    const std::uint32_t e = by_id_[static_cast<std::size_t>(id)];
    return e == kFree ? std::string_view{} : std::string_view(pool_).substr(entries_[e].begin, entries_[e].size);
  }
  std::size_t size() const noexcept { return entries_.size(); }
  /// Bytes of the longest token.
  std::size_t longest() const noexcept { return longest_; }

 private:
  static constexpr std::uint32_t kFree = 0xffffffffu;
  struct Entry {
    std::size_t begin;
    std::uint32_t size;
    TokenId id;
    std::size_t hash;
  };
  void add(std::string_view token, std::int64_t id, std::size_t h) {
    constexpr std::int64_t kLargest = 1 << 28;  // ids index tables: a huge one would allocate them
    if (id < 0 || id >= kLargest)
      throw Error(Code::kFormat,
                  {"vocabulary: token '", std::string(token.substr(0, 40)), "' has the id ", std::to_string(id)});
    if (entries_.size() * 2 >= slots_.size()) rehash(slots_.empty() ? 16 : slots_.size() * 2);
    const std::size_t slot = find_slot(token, h);
    if (slots_[slot] != kFree) {
      entries_[slots_[slot]].id = static_cast<TokenId>(id);
    } else {
      slots_[slot] = static_cast<std::uint32_t>(entries_.size());
      entries_.push_back({pool_.size(), static_cast<std::uint32_t>(token.size()), static_cast<TokenId>(id), h});
      pool_.append(token);
      if (token.size() > longest_) longest_ = token.size();
    }
    by_id_valid_ = false;
  }
  // Eight bytes a step; multiplication and shifts as in wyhash's finish.
  static std::size_t hash(std::string_view s) noexcept {
    std::uint64_t h = 0x9e3779b97f4a7c15u ^ s.size();
    const char* p = s.data();
    std::size_t n = s.size();
    const auto mix = [&h](std::uint64_t v) {
      h = (h ^ v) * 0xd6e8feb86659fd93u;
      h ^= h >> 32;
    };
    for (; n >= 8; p += 8, n -= 8) {
      std::uint64_t v = 0;
      std::memcpy(&v, p, 8);
      mix(v);
    }
    if (n > 0) {
      std::uint64_t v = 0;
      for (std::size_t i = 0; i < n; ++i) v |= static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
      mix(v);
    }
    return static_cast<std::size_t>(h);
  }
  std::size_t find_slot(std::string_view token, std::size_t h) const noexcept {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = h & mask;; at = (at + 1) & mask) {
      const std::uint32_t e = slots_[at];
      if (e == kFree) return at;
      const Entry& entry = entries_[e];
      if (entry.hash == h && entry.size == token.size() &&
          std::memcmp(pool_.data() + entry.begin, token.data(), token.size()) == 0)
        return at;
    }
  }
  void rehash(std::size_t slots) {
    slots_.assign(slots, kFree);
    const std::size_t mask = slots - 1;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::size_t at = entries_[i].hash & mask;
      while (slots_[at] != kFree) at = (at + 1) & mask;
      slots_[at] = static_cast<std::uint32_t>(i);
    }
  }

  std::string pool_;
  HostVector<Entry> entries_;
  HostVector<std::uint32_t> slots_, by_id_;
  std::size_t longest_ = 0, model_ = ~std::size_t{0};
  bool by_id_valid_ = false;
};

}  // namespace tessera::text
