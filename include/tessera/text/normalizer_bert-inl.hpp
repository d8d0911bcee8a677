#pragma once

#include <tessera/text/combining_marks.hpp>
#include <tessera/text/normalized_text.hpp>

namespace tessera::text::detail {

/// Clean-up, spaces around CJK ideographs, accents off, lower case: the four steps of BERT, in one pass.
/// Source: google-research/bert, tokenization.BasicTokenizer, as the tokenizers package does it.
class BertNormalizer : public Normalizer {
 public:
  struct Settings {
    bool clean_text, chinese_chars, strip_accents, lowercase;
    bool operator==(const Settings&) const = default;
  };
  explicit BertNormalizer(const Settings& s)
      : clean_(s.clean_text), chinese_(s.chinese_chars), strip_(s.strip_accents), lower_(s.lowercase) {
    for (unsigned c = 0; c < 128; ++c) {
      const auto flags = unicode::flags(c);
      ascii_[c] = static_cast<char>(clean_ && (flags & unicode::kCleanRemoved)   ? 0
                                    : clean_ && (flags & unicode::kCleanToSpace) ? ' '
                                    : lower_ && c >= 'A' && c <= 'Z'             ? c + 32
                                                                                 : c);
    }
    drops_nul_ = ascii_[0] == 0 && clean_;
  }
  Settings settings() const { return {clean_, chinese_, strip_, lower_}; }

  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    using namespace unicode;
    out.begin_like(in);
    std::vector<Decomposed> marks;  // combining marks since the last starter, to be sorted by class
    std::vector<Span> origins;      // of the input characters that those marks came from
    Span last;
    const auto finish = [&](CodePoint c, Span from) {
      if (strip_ && is(c, kMarkNonspacing)) return;
      if (!lower_) return out.append(c, from);
      lower(c, [&](CodePoint l) { out.append(l, from); });
    };
    // Origins are dealt out by position, not carried along: the first mark after sorting has that of the first before it. A
    // mark that a decomposition added shares its predecessor's. So does the tokenizers package.
    const auto flush = [&] {
      sort_marks(marks.data(), marks.data() + marks.size());
      std::size_t next = 0;
      for (const Decomposed& m : marks) {
        if (m.change == 0) last = origins[next++];
        finish(m.c, last);
      }
      marks.clear();
      origins.clear();
    };
    const auto put = [&](CodePoint c, Span from) {
      if (!strip_) return finish(c, from);
      bool added = false;
      decompose(c, [&](CodePoint d) {
        const std::uint8_t order = combining_class(d);
        if (order != 0) {
          marks.push_back({d, added ? 1 : 0, order});
          if (!added) origins.push_back(from);
        } else {
          if (!marks.empty()) flush();
          last = from;
          finish(d, from);
        }
        added = true;
      });
    };
    for (std::size_t i = 0, n = 1; i < in.bytes.size(); i += n) {
      const auto first = static_cast<unsigned char>(in.bytes[i]);
      const Span from = in.at(i);
      if (first < 128) {
        n = 1;
        const char c = ascii_[first];
        if (c == 0 && (first != 0 || drops_nul_)) continue;
        if (!marks.empty()) flush();
        last = from;
        out.bytes += c;
        if (out.tracked) out.origin.push_back(from);
        continue;
      }
      CodePoint c = decode(in.bytes, i, n);
      const std::uint8_t what = flags(c);
      if (clean_ && (what & kCleanRemoved)) continue;
      if (clean_ && (what & kCleanToSpace)) c = ' ';
      if (chinese_ && (what & kChinese)) {
        put(' ', from);
        put(c, from);
        put(' ', from);
      } else {
        put(c, from);
      }
    }
    flush();
  }

 private:
  bool clean_, chinese_, strip_, lower_, drops_nul_ = false;
  char ascii_[128];
};

}  // namespace tessera::text::detail
