#pragma once
#include <algorithm>
#include <array>
#include <bit>

#include <tessera/io/json_reader-inl.hpp>
#include <tessera/text/bpe.hpp>
#include <tessera/text/byte_alphabet.hpp>

namespace tessera::text {

inline void MergeList::add_line(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == line.npos || line.find(' ', blank + 1) != line.npos)
    throw Error(Code::kFormat, {"tokenizer: merge ", std::to_string(parts.size() + 1), ", '",
                                std::string(line.substr(0, 60)), "', is not two tokens with a space between"});
  add(line.substr(0, blank), line.substr(blank + 1));
}

inline BpeSettings bpe_settings(const io::Json& json) {
  if (io::get_number(json, "dropout", 0) > 0)
    throw Error(Code::kUnsupported, "tokenizer: BPE dropout is for training; set it to null to encode");
  BpeSettings s;
  s.unk_token = io::get_string(json, "unk_token", "");
  s.has_unk = io::member(json, "unk_token").is_string();
  s.prefix = io::get_string(json, "continuing_subword_prefix", "");
  s.suffix = io::get_string(json, "end_of_word_suffix", "");
  s.fuse_unk = io::get_bool(json, "fuse_unk", false);
  s.byte_fallback = io::get_bool(json, "byte_fallback", false);
  s.ignore_merges = io::get_bool(json, "ignore_merges", false);
  return s;
}

inline Bpe::Bpe(const Vocabulary& vocabulary, const MergeList& merges, BpeSettings settings)
    : vocabulary_(vocabulary), settings_(std::move(settings)) {
  if (merges.parts.size() > kMostMerges)
    throw Error(Code::kLimit,
                {"tokenizer: ", std::to_string(merges.parts.size()), " merges, the limit is ", std::to_string(kMostMerges)});
  if (settings_.has_unk) unk_ = vocabulary_.find_model(settings_.unk_token);
  std::string joined;
  for (std::size_t i = 0; i < merges.parts.size(); ++i) {
    const std::string_view left = merges.left(i), right = merges.right(i);
    const TokenId a = vocabulary_.find_model(left), b = vocabulary_.find_model(right);
    TokenId whole = -1;
    if (settings_.prefix.empty()) {
      whole = vocabulary_.find_model(merges.whole(i));
    } else if (right.size() >= settings_.prefix.size()) {
      joined.assign(left).append(right.substr(settings_.prefix.size()));
      whole = vocabulary_.find_model(joined);
    }
    if (a < 0 || b < 0 || whole < 0)
      throw Error(Code::kFormat,
                  {"tokenizer: merge ", std::to_string(i + 1), " of '", std::string(left.substr(0, 40)), "' and '",
                   std::string(right.substr(0, 40)), "': a part or the result is not in the vocabulary"});
    merges_.put(static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b),
                {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(whole)});
  }
  all_fallback_ = settings_.byte_fallback;
  for (unsigned b = 0; b < 256; ++b) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    const char name[] = {'<', '0', 'x', kHex[b >> 4], kHex[b & 15], '>'};
    fallback_[b] = vocabulary_.find_model({name, sizeof name});
    all_fallback_ = all_fallback_ && fallback_[b] >= 0;
  }
  std::string buffer;
  for (const bool first : {false, true})
    for (const bool last : {false, true})
      for (unsigned c = 0; c < 256; ++c) {
        const char ascii = static_cast<char>(c);
        if (c < 128) ascii_[first][last][c] = character({&ascii, 1}, first, last, buffer);
        bytes_[first][last][c] =
            character(detail::ByteAlphabet::get().of(static_cast<unsigned char>(c)), first, last, buffer);
      }
  index_meetings(merges);
}

inline bool Bpe::take_raw_bytes() {
  // Where a byte has no token, an unknown one stands for a character of one or two bytes, and lengths would differ.
  const TokenId* all = &bytes_[0][0][0];
  raw_ = !settings_.byte_fallback && std::all_of(all, all + 4 * 256, [](TokenId id) { return id >= 0; });
  if (raw_ && settings_.prefix.empty()) index_bytes();
  return raw_;
}

inline void Bpe::index_bytes() {
  PairTable<std::uint8_t> byte_of;
  for (std::uint32_t b = 0; b < 256; ++b) {
    const auto id = static_cast<std::uint32_t>(bytes_[0][0][b]);
    if (byte_of.find(id, 0)) return;  // two bytes of one id: an odd vocabulary, which goes the slower way
    byte_of.put(id, 0, static_cast<std::uint8_t>(b));
  }
  byte_merges_.assign(256 * 256, Merge{kNoRank, 0});
  merges_.each([&](std::uint32_t left, std::uint32_t right, const Merge& m) {
    const std::uint8_t *const l = byte_of.find(left, 0), *const r = l ? byte_of.find(right, 0) : nullptr;
    if (r) byte_merges_[static_cast<std::size_t>(*l) << 8 | *r] = m;
  });
}

// A symbol's text is that of its characters, so a merge joins two of them only if they meet in the texts of its parts. That
// does not hold for byte fallback tokens, nor for unknown ones, nor where characters have a prefix or suffix.
inline void Bpe::index_meetings(const MergeList& merges) {
  if (!all_fallback_ || settings_.ignore_merges || !settings_.prefix.empty() || !settings_.suffix.empty()) return;
  const auto is_fallback = [](std::string_view text) { return text.size() == 6 && text.starts_with("<0x"); };
  for (std::size_t i = 0; i < merges.parts.size(); ++i) {
    const std::string_view left = merges.left(i), right = merges.right(i);
    if (left.empty() || right.empty()) continue;  // no piece has an empty symbol
    if (is_fallback(left) || is_fallback(right)) return;
    std::size_t bytes = 0;
    meetings_.put(unicode::decode_before(left, left.size(), bytes), unicode::decode(right, 0, bytes), true);
  }
  falls_apart_ = true;
}

inline std::size_t Bpe::first_part(std::string_view piece) const {
  if (!falls_apart_) return piece.size();
  std::size_t bytes = 0;
  unicode::CodePoint before = unicode::decode(piece, 0, bytes);
  bool alone = true;  // so far, characters that meet no other
  for (std::size_t at = bytes, begin = 0; at < piece.size(); at += bytes) {
    const unicode::CodePoint c = unicode::decode(piece, at, bytes);
    if (meetings_.find(before, c)) {
      if (alone && begin > 0) return begin;
      alone = false;
    } else {
      if (!alone) return at;
      begin = at;
    }
    before = c;
  }
  return piece.size();
}

inline TokenId Bpe::character(std::string_view c, bool first, bool last, std::string& buffer) const {
  if ((first || settings_.prefix.empty()) && (!last || settings_.suffix.empty())) return vocabulary_.find_model(c);
  buffer.clear();
  if (!first) buffer += settings_.prefix;
  buffer += c;
  if (last) buffer += settings_.suffix;
  return vocabulary_.find_model(buffer);
}

// Characters, byte fallbacks and unknowns. An unknown one that waits to be fused is not flushed before fallback bytes: it
// comes after them, as in the tokenizers package.
inline void Bpe::read_characters(std::string_view piece, ModelScratch& s) const {
  auto& symbols = s.symbols;
  symbols.clear();
  if (raw_) {
    for (std::size_t i = 0; i < piece.size(); ++i)
      symbols.push_back({bytes_[i == 0][i + 1 == piece.size()][static_cast<unsigned char>(piece[i])], 1});
    return;
  }
  std::uint32_t unknown = 0;  // bytes of a waiting unknown token
  const auto flush = [&] {
    if (unknown > 0) symbols.push_back({unk_, unknown});
    unknown = 0;
  };
  for (std::size_t i = 0, n = 0; i < piece.size(); i += n) {
    n = unicode::width(piece[i]);
    const bool first = i == 0, last = i + n == piece.size();
    const TokenId id = n == 1 ? ascii_[first][last][static_cast<unsigned char>(piece[i])]
                              : character(piece.substr(i, n), first, last, s.buffer);
    if (id >= 0) {
      flush();
      symbols.push_back({id, static_cast<std::uint32_t>(n)});
      continue;
    }
    if (settings_.byte_fallback) {
      s.buffer.clear();
      if (!first) s.buffer += settings_.prefix;
      s.buffer.append(piece.substr(i, n));
      if (last) s.buffer += settings_.suffix;
      if (all_fallback_ || std::all_of(s.buffer.begin(), s.buffer.end(),
                                       [&](char c) { return fallback_[static_cast<unsigned char>(c)] >= 0; })) {
        for (const char c : s.buffer) symbols.push_back({fallback_[static_cast<unsigned char>(c)], 1});
        continue;
      }
    }
    if (!settings_.has_unk) continue;
    if (unk_ < 0)
      throw Error(Code::kBadArgument,
                  {"tokenizer: a character is unknown, and the unknown token '", settings_.unk_token, "' as well"});
    if (!settings_.fuse_unk) flush();
    unknown += static_cast<std::uint32_t>(n);
  }
  flush();
}

// Few symbols: the best of all pairs by a scan. Symbols keep their places; a bit of `live` says which are still there.
inline void Bpe::merge_short(std::string_view piece, std::vector<BpeSymbol>& symbols) const {
  constexpr std::uint32_t kNone = 0x7fffffffu, kPlaces = kShort;  // signed: that is what SSE2 compares
  std::int32_t order[kShort];                                     // rank, then place, of the pair that begins here
  std::uint32_t whole[kShort];
  const std::size_t n = symbols.size();
  std::fill(order, order + kShort, static_cast<std::int32_t>(kNone));
  const auto note = [&](std::size_t at, std::uint32_t rank, std::uint32_t id) {
    order[at] = static_cast<std::int32_t>(rank * kPlaces + at);
    whole[at] = id;
  };
  const auto look = [&](std::size_t at, std::size_t next) {
    order[at] = static_cast<std::int32_t>(kNone);
    if (const Merge* m = find(symbols[at].id, symbols[next].id)) note(at, m->rank, m->id);
  };
  std::size_t first = 0;
  if (!byte_merges_.empty())
    for (const std::size_t end = n - !settings_.suffix.empty(); first + 1 < end; ++first) {
      const Merge& m = byte_merges_[static_cast<std::size_t>(static_cast<unsigned char>(piece[first])) << 8 |
                                    static_cast<unsigned char>(piece[first + 1])];
      if (m.rank != kNoRank) note(first, m.rank, m.id);
    }
  for (; first + 1 < n; ++first) look(first, first + 1);
  std::uint64_t live = n < 64 ? (std::uint64_t{1} << n) - 1 : ~std::uint64_t{0};
  for (;;) {
    std::int32_t best = static_cast<std::int32_t>(kNone);
    for (std::size_t from = 0; from < n; from += 16)
      for (std::size_t i = from; i < from + 16; ++i) best = order[i] < best ? order[i] : best;
    if (best == static_cast<std::int32_t>(kNone)) break;
    const std::size_t at = static_cast<std::uint32_t>(best) % kPlaces;
    const std::uint64_t behind = live & (~std::uint64_t{1} << at), before = live & ((std::uint64_t{1} << at) - 1);
    const auto right = static_cast<std::size_t>(std::countr_zero(behind));
    symbols[at].id = static_cast<TokenId>(whole[at]);
    symbols[at].bytes += symbols[right].bytes;
    live &= ~(std::uint64_t{1} << right);
    order[right] = static_cast<std::int32_t>(kNone);
    if (const std::uint64_t rest = behind & (behind - 1); rest != 0)
      look(at, static_cast<std::size_t>(std::countr_zero(rest)));
    else
      order[at] = static_cast<std::int32_t>(kNone);
    if (before != 0) look(static_cast<std::size_t>(63 - std::countl_zero(before)), at);
  }
  std::size_t kept = 0;
  for (; live != 0; live &= live - 1) symbols[kept++] = symbols[static_cast<std::size_t>(std::countr_zero(live))];
  symbols.resize(kept);
}

// Many: a heap of pairs by rank, then place, over a linked list. A pair of the heap that is no longer there is passed over.
inline void Bpe::merge_long(std::vector<BpeSymbol>& symbols,
                            std::vector<std::pair<std::uint64_t, std::uint32_t>>& heap) const {
  heap.clear();
  const std::uint32_t n = static_cast<std::uint32_t>(symbols.size());
  for (std::uint32_t i = 0; i < n; ++i) symbols[i].next = i + 1, symbols[i].before = i - 1;
  const auto later = [](const auto& a, const auto& b) { return a.first > b.first; };
  const auto candidate = [&](std::uint32_t at, bool push) {
    const Merge* m = find(symbols[at].id, symbols[symbols[at].next].id);
    if (!m) return;
    heap.push_back({static_cast<std::uint64_t>(m->rank) << 32 | at, m->id});
    if (push) std::push_heap(heap.begin(), heap.end(), later);
  };
  for (std::uint32_t i = 0; i + 1 < n; ++i) candidate(i, false);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const auto [order, id] = heap.back();
    heap.pop_back();
    const auto at = static_cast<std::uint32_t>(order);
    BpeSymbol& left = symbols[at];
    if (left.bytes == 0 || left.next >= n) continue;
    BpeSymbol& right = symbols[left.next];
    const Merge* now = find(left.id, right.id);
    if (!now || now->id != id) continue;
    left.id = static_cast<TokenId>(id);
    left.bytes += right.bytes;
    left.next = right.next;
    right.bytes = 0;
    if (left.next < n) {
      symbols[left.next].before = at;
      candidate(at, true);
    }
    if (at > 0) candidate(left.before, true);
  }
  std::erase_if(symbols, [](const BpeSymbol& s) { return s.bytes == 0; });
}

inline void Bpe::tokenize(std::string_view piece, ModelScratch& s, std::vector<PieceToken>& out) const {
  if (settings_.ignore_merges) {
    std::string_view whole = piece;
    if (raw_) {
      s.buffer.clear();
      detail::ByteAlphabet::get().append(s.buffer, piece);
      whole = s.buffer;
    }
    if (const TokenId id = vocabulary_.find_model(whole); id >= 0) return out.push_back({id, 0, piece.size()});
  }
  read_characters(piece, s);
  if (s.symbols.size() <= kShort)
    merge_short(piece, s.symbols);
  else
    merge_long(s.symbols, s.heap);
  std::size_t at = 0;
  for (const BpeSymbol& symbol : s.symbols) {
    const std::size_t begin = std::min(at, piece.size());
    at += symbol.bytes;
    out.push_back({symbol.id, begin, std::min(at, piece.size())});
  }
}

}  // namespace tessera::text
