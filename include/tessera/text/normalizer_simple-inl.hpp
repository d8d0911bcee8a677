#pragma once
#include <algorithm>
#include <memory>

#include <tessera/text/byte_alphabet.hpp>
#include <tessera/text/finder.hpp>
#include <tessera/text/normalized_text.hpp>
#include <tessera/text/normalizer_replacing.hpp>

namespace tessera::text::detail {

/// Changes characters one at a time, without context.
class EachCharacter : public Normalizer {
 public:
  /// Appends what c becomes, with the origin of c.
  using Change = void (*)(unicode::CodePoint c, Span from, NormalizedText& out);
  explicit EachCharacter(Change change) : change_(change) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    for (std::size_t i = 0, n = 0; i < in.bytes.size(); i += n) {
      const unicode::CodePoint c = unicode::decode(in.bytes, i, n);
      change_(c, in.at(i), out);
    }
  }

 private:
  Change change_;
};

inline void lowercase(unicode::CodePoint c, Span from, NormalizedText& out) {
  unicode::lower(c, [&](unicode::CodePoint l) { out.append(l, from); });
}
inline void strip_accent(unicode::CodePoint c, Span from, NormalizedText& out) {
  if (!unicode::is_accent(c)) out.append(c, from);
}
/// The clean-up of sentencepiece's nmt rules: controls go, odd blanks become spaces.
inline void nmt(unicode::CodePoint c, Span from, NormalizedText& out) {
  if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
  const bool blank = (c >= 9 && c <= 0xD) || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                     c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  out.append(blank ? ' ' : c, from);
}

/// Bytes as characters of the byte-level alphabet.
class ByteLevelText : public Normalizer {
 public:
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    const ByteAlphabet& alphabet = ByteAlphabet::get();
    for (std::size_t i = 0; i < in.bytes.size(); ++i)
      out.append(alphabet.of(static_cast<unsigned char>(in.bytes[i])), in.at(i));
  }
};

/// Whitespace at the ends goes.
class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    std::size_t begin = 0, end = in.bytes.size(), n = 0;
    for (; left_ && begin < end; begin += n)
      if (!unicode::is(unicode::decode(in.bytes, begin, n), unicode::kWhitespace)) break;
    for (; right_ && end > begin; end -= n)
      if (!unicode::is(unicode::decode_before(in.bytes, end, n), unicode::kWhitespace)) break;
    out.append(in, begin, end);
  }

 private:
  bool left_, right_;
};

/// Text before what is not empty; it shares the first character's origin.
class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    if (in.bytes.empty()) return;
    out.append(text_, in.at(0));
    out.append(in, 0, in.bytes.size());
  }

 private:
  std::string text_;
};

/// Every match becomes a text, whose origin is that of the match's last character.
class Replace : public Normalizer {
 public:
  Replace(std::unique_ptr<Finder> finder, std::string content) : finder_(std::move(finder)), content_(std::move(content)) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    if (in.bytes.empty()) return;
    std::size_t done = 0;
    each_match(*finder_, in.bytes, [&](std::size_t begin, std::size_t end) {
      out.append(in, done, begin);
      out.append(content_, in.at(end == 0 ? 0 : end - 1));
      done = end;
    });
    out.append(in, done, in.bytes.size());
  }

 private:
  std::unique_ptr<Finder> finder_;
  std::string content_;
};

}  // namespace tessera::text::detail
