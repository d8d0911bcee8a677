#pragma once
#include <algorithm>

#include <tessera/text/encoding.hpp>

namespace tessera::text {

namespace detail {

inline Encoding slice(const Encoding& e, std::size_t begin, std::size_t end) {
  const auto part = [&](const auto& v) {
    return std::remove_cvref_t<decltype(v)>(v.begin() + static_cast<std::ptrdiff_t>(begin),
                                            v.begin() + static_cast<std::ptrdiff_t>(end));
  };
  return {part(e.ids),
          part(e.type_ids),
          part(e.attention_mask),
          part(e.special_tokens_mask),
          part(e.offsets),
          {},
          e.blanks.empty() ? e.blanks : part(e.blanks)};
}

inline void join(Encoding& a, const Encoding& b) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(a.ids, b.ids), add(a.type_ids, b.type_ids), add(a.attention_mask, b.attention_mask);
  add(a.special_tokens_mask, b.special_tokens_mask), add(a.offsets, b.offsets);
}

}  // namespace detail

inline void truncate(Encoding& e, std::size_t max_length, std::size_t stride, bool left) {
  const std::size_t n = e.size();
  if (max_length >= n) return;
  if (max_length == 0) {
    Encoding all;
    std::swap(all, e);
    e.overflowing.push_back(std::move(all));
    return;
  }
  if (stride >= max_length)
    throw Error(Code::kBadArgument, {"tokenizer: truncation stride ", std::to_string(stride), " must be below the length ",
                                     std::to_string(max_length)});
  const std::size_t step = max_length - stride;
  std::vector<Encoding> windows;
  if (left) {
    for (std::size_t end = n;; end -= step) {
      const std::size_t begin = end < max_length ? 0 : end - max_length;
      windows.push_back(detail::slice(e, begin, end));
      if (begin == 0 || end <= step) break;
    }
  } else {
    for (std::size_t begin = 0;; begin += step) {
      const std::size_t end = std::min(begin + max_length, n);
      windows.push_back(detail::slice(e, begin, end));
      if (end == n) break;
    }
  }
  e = std::move(windows.front());
  e.overflowing.assign(std::make_move_iterator(windows.begin() + 1), std::make_move_iterator(windows.end()));
}

inline std::array<std::size_t, 2> longest_first(std::size_t first, std::size_t second, std::size_t most) {
  if (first + second <= most) return {first, second};
  std::size_t n1 = std::min(first, second), n2 = n1 > most ? n1 : std::max(n1, most - n1);
  if (n1 + n2 > most) n1 = most / 2, n2 = n1 + most % 2;
  if (first > second) std::swap(n1, n2);
  return {n1, n2};
}

inline void truncate_pair(Encoding& first, Encoding* second, const Truncation& t, std::size_t added) {
  if (t.max_length < added)
    throw Error(Code::kBadArgument, {"tokenizer: max_length ", std::to_string(t.max_length), " leaves no room for the ",
                                     std::to_string(added), " special tokens"});
  const std::size_t most = t.max_length - added;
  if (most == 0) {
    truncate(first, 0, t.stride, t.left);
    if (second) truncate(*second, 0, t.stride, t.left);
    return;
  }
  const std::size_t total = first.size() + (second ? second->size() : 0);
  if (total <= most) return;
  using Strategy = Truncation::Strategy;
  if (t.strategy == Strategy::longest_first) {
    if (!second) return truncate(first, most, t.stride, t.left);
    const auto [n1, n2] = longest_first(first.size(), second->size(), most);
    truncate(first, n1, t.stride, t.left);
    truncate(*second, n2, t.stride, t.left);
    return;
  }
  Encoding* target = t.strategy == Strategy::only_first ? &first : second;
  if (!target) throw Error(Code::kBadArgument, "tokenizer: truncation of the second text, and there is none");
  const std::size_t surplus = total - most;
  if (target->size() <= surplus)
    throw Error(Code::kBadArgument, {"tokenizer: the text that may be cut has ", std::to_string(target->size()), " tokens, ",
                                     std::to_string(surplus), " would have to go"});
  truncate(*target, target->size() - surplus, t.stride, t.left);
}

inline void append(Encoding& a, const Encoding& b) {
  std::vector<Encoding> overflow;
  const auto both = [&](const Encoding& x, const Encoding& y) {
    Encoding e = detail::slice(x, 0, x.size());
    detail::join(e, y);
    overflow.push_back(std::move(e));
  };
  for (const Encoding& mine : a.overflowing) {
    both(mine, b);
    for (const Encoding& theirs : b.overflowing) both(mine, theirs);
  }
  for (const Encoding& theirs : b.overflowing) both(a, theirs);
  detail::join(a, b);
  a.overflowing = std::move(overflow);
}

inline void pad(Encoding& e, std::size_t length, const Padding& p) {
  for (Encoding& o : e.overflowing) pad(o, length, p);  // windows have no overflow of their own
  if (e.size() >= length) return;
  const std::size_t n = length - e.size();
  const auto fill = [&](auto& v, auto value) { v.insert(p.left ? v.begin() : v.end(), n, value); };
  fill(e.ids, p.id);
  fill(e.type_ids, p.type_id);
  fill(e.attention_mask, 0);
  fill(e.special_tokens_mask, 1);
  fill(e.offsets, std::array<std::int64_t, 2>{0, 0});
}

inline std::size_t padded_length(const std::vector<Encoding>& batch, const Padding& p) {
  std::size_t length = p.length;
  if (length == 0)
    for (const Encoding& e : batch) length = std::max(length, e.size());
  if (p.multiple_of > 0 && length % p.multiple_of > 0) length += p.multiple_of - length % p.multiple_of;
  return length;
}

}  // namespace tessera::text
