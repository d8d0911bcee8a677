#pragma once
#include <algorithm>
#include <memory>
#include <variant>

#include <tessera/text/byte_alphabet.hpp>
#include <tessera/text/normalized_text.hpp>
#include <tessera/text/normalizer_replacing.hpp>
#include <tessera/text/regex.hpp>

namespace tessera::text::detail {

/// Changes characters one at a time, without context: `f(c, put)` calls put(code point) any number of times.
template <class F>
class EachCharacter : public Normalizer {
 public:
  explicit EachCharacter(F f) : f_(std::move(f)) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    for (std::size_t i = 0, n = 0; i < in.bytes.size(); i += n) {
      const unicode::CodePoint c = unicode::decode(in.bytes, i, n);
      const Span from = in.at(i);
      f_(c, [&](unicode::CodePoint d) { out.append(d, from); });
    }
  }

 private:
  F f_;
};

template <class F>
std::unique_ptr<Normalizer> each_character_normalizer(F f) {
  return std::make_unique<EachCharacter<F>>(std::move(f));
}

inline std::unique_ptr<Normalizer> make_lowercase() {
  return each_character_normalizer([](unicode::CodePoint c, const auto& put) { unicode::lower(c, put); });
}

inline std::unique_ptr<Normalizer> make_strip_accents() {
  return each_character_normalizer([](unicode::CodePoint c, const auto& put) {
    if (!unicode::is_accent(c)) put(c);
  });
}

/// The clean-up of sentencepiece's nmt rules: controls go, odd blanks become spaces.
inline std::unique_ptr<Normalizer> make_nmt() {
  return each_character_normalizer([](unicode::CodePoint c, const auto& put) {
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
    const bool blank = (c >= 9 && c <= 0xD) || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                       c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    put(blank ? ' ' : c);
  });
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

/// A string to look for, as Regex::find would.
struct Literal {
  std::string text;
  bool find(std::string_view in, std::size_t from, std::size_t& begin, std::size_t& end) const {
    begin = in.find(text, from);
    end = begin + text.size();
    return begin != in.npos;
  }
};

/// Every match becomes a text, whose origin is that of the match's last character.
class Replace : public Normalizer {
 public:
  Replace(std::variant<Literal, Regex> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    out.begin_like(in);
    if (in.bytes.empty()) return;
    std::visit([&](const auto& finder) { replace(finder, in, out); }, pattern_);
  }

 private:
  template <class Finder>
  void replace(const Finder& finder, const NormalizedText& in, NormalizedText& out) const {
    std::size_t done = 0;
    each_match(finder, in.bytes, [&](std::size_t begin, std::size_t end) {
      out.append(in, done, begin);
      out.append(content_, in.at(end == 0 ? 0 : end - 1));
      done = end;
    });
    out.append(in, done, in.bytes.size());
  }
  std::variant<Literal, Regex> pattern_;
  std::string content_;
};

}  // namespace tessera::text::detail
