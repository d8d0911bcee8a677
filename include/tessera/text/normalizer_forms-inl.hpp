#pragma once
#include <algorithm>

#include <tessera/text/combining_marks.hpp>
#include <tessera/text/normalized_text.hpp>
#include <tessera/text/normalizer_replacing.hpp>

namespace tessera::text::detail {

/// NFC, NFD, NFKC or NFKD of Unicode 9, the version that the tokenizers package has.
/// Source: Unicode Standard Annex 15.
class UnicodeForm : public Normalizer {
 public:
  UnicodeForm(bool compose, bool compatible) : compose_(compose), compatible_(compatible) {}

  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    using namespace unicode;
    Replacing to(in, out);
    const std::string& text = in.bytes;
    Segment segment;
    // Text is kept up to the last character before a change: a mark may combine with it.
    std::size_t done = 0, last = 0;
    for (std::size_t i = 0, n = 1; i < text.size(); i += n) {
      n = 1;
      if (static_cast<unsigned char>(text[i]) < 128 || is_inert(decode(text, i, n))) {
        last = i;
        continue;
      }
      const std::size_t begin = last < done ? done : last;
      to.keep(done, begin);
      segment.clear();
      for (std::size_t j = begin; j < i; j += n) add(decode(text, j, n), segment);
      for (done = i; done < text.size(); done += n) {
        const CodePoint c = decode(text, done, n);
        if (is_inert(c)) break;
        add(c, segment);
      }
      finish(segment, to);
      i = last = done;
      n = 0;
    }
    to.keep(done, text.size());
  }

 private:
  struct Segment {
    std::vector<Decomposed> items, blocked;
    void clear() { items.clear(), blocked.clear(); }
  };

  // Such a character stays as it is and so does what stands before it.
  bool is_inert(unicode::CodePoint c) const noexcept {
    using namespace unicode;
    if (c < 128) return true;
    if (compatible_ && is_compatible(c)) return false;
    if (compose_) return is_composed(c);
    return combining_class(c) == 0 && !is_decomposable(c);
  }

  void add(unicode::CodePoint c, Segment& s) const {
    int change = 0;
    const auto put = [&](unicode::CodePoint d) {
      s.items.push_back({d, change, unicode::combining_class(d)});
      change = 1;
    };
    if (compatible_)
      unicode::decompose_compatibly(c, put);
    else
      unicode::decompose(c, put);
  }

  void finish(Segment& s, Replacing& to) const {
    auto& items = s.items;
    for (std::size_t i = 0; i < items.size();) {
      std::size_t end = i;
      while (end < items.size() && items[end].order != 0) ++end;
      sort_marks(items.data() + i, items.data() + end);
      i = std::max(end, i + 1);
    }
    if (compose_) return recompose(s, to);
    for (const Decomposed& item : items) to.put(item.c, item.change);
  }

  static void recompose(Segment& s, Replacing& to) {
    bool starter = false;
    Decomposed composed{};
    int last = -1;  // class of the last mark that did not combine
    const auto flush = [&] {
      if (starter) to.put(composed.c, composed.change);
      for (const Decomposed& item : s.blocked) to.put(item.c, item.change);
      s.blocked.clear();
      last = -1;
    };
    for (const Decomposed& item : s.items) {
      if (!starter && item.order != 0) {
        to.put(item.c, item.change);
        continue;
      }
      if (starter && last < static_cast<int>(item.order)) {
        if (const unicode::CodePoint c = unicode::compose(composed.c, item.c)) {
          composed.c = c;
          composed.change += item.change - 1;
          continue;
        }
      }
      if (item.order == 0) {
        flush();
        starter = true;
        composed = item;
      } else {
        s.blocked.push_back(item);
        last = item.order;
      }
    }
    flush();
  }

  bool compose_, compatible_;
};

}  // namespace tessera::text::detail
