// The split patterns of well-known tokenizers by hand: what regex.hpp finds for them, several times faster.
#pragma once
#include <array>
#include <string_view>

#include <tessera/text/unicode.hpp>

namespace tessera::text {

/// One of the patterns kGpt2 .. kClip; finds what Regex::compile(pattern()) finds, which tests compare.
class KnownPattern {
 public:
  enum Id { kGpt2, kCl100k, kQwen2, kClip, kNone };
  static constexpr std::string_view kPatterns[] = {
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
      R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)"};

  explicit KnownPattern(Id id) : id_(id) {}
  /// kNone for a pattern that is not among them.
  static Id known(std::string_view pattern) noexcept {
    int i = 0;
    while (i < kNone && kPatterns[i] != pattern) ++i;
    return static_cast<Id>(i);
  }
  bool find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const noexcept {
    for (std::size_t at = from; at < text.size(); at += unicode::width(text[at])) {
      const std::size_t stop = id_ == kGpt2 ? gpt2(text, at) : id_ == kClip ? clip(text, at) : cl100k(text, at);
      if (stop == at) continue;
      begin = at, end = stop;
      return true;
    }
    return false;
  }

 private:
  enum Kind : std::uint8_t { kOther, kLetter, kNumber, kBlank };
  static Kind slow_kind(unicode::CodePoint c) noexcept {
    return unicode::has_category(c, unicode::kL)   ? kLetter
           : unicode::has_category(c, unicode::kN) ? kNumber
           : unicode::is(c, unicode::kWhitespace)  ? kBlank
                                                   : kOther;
  }
  static Kind kind(std::string_view s, std::size_t at, std::size_t& bytes) noexcept {
    static const std::array<Kind, 0x10000> table = [] {
      std::array<Kind, 0x10000> t{};
      for (unicode::CodePoint c = 0; c < t.size(); ++c) t[c] = slow_kind(c);
      return t;
    }();
    const auto first = static_cast<unsigned char>(s[at]);
    if (first < 0x80) return bytes = 1, table[first];
    const unicode::CodePoint c = unicode::decode(s, at, bytes);
    return c < table.size() ? table[c] : slow_kind(c);
  }
  static std::size_t run(std::string_view s, std::size_t at, Kind what) noexcept {
    for (std::size_t n = 0; at < s.size() && kind(s, at, n) == what; at += n) {}
    return at;
  }
  // 's 't 're 've 'm 'll 'd at an apostrophe; `at` when none.
  static std::size_t contraction(std::string_view s, std::size_t at, bool any_case) noexcept {
    const auto letter = [&](std::size_t i) -> char {
      if (i >= s.size()) return '\0';
      const char c = s[i];
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    const char a = letter(at + 1), b = letter(at + 2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if (((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
    if (any_case && s.substr(at + 1).starts_with("\xc5\xbf")) return at + 3;  // the long s
    return at;
  }
  // Blanks up to a word leave their last to it: \s+(?!\S)|\s+.
  static std::size_t blanks(std::string_view s, std::size_t at) noexcept {
    const std::size_t end = run(s, at, kBlank);
    if (end == s.size()) return end;
    std::size_t n = 0;
    unicode::decode_before(s, end, n);
    return end - n > at ? end - n : end;
  }
  static std::size_t gpt2(std::string_view s, std::size_t at) noexcept {
    if (s[at] == '\'')
      if (const std::size_t end = contraction(s, at, false); end > at) return end;
    const std::size_t word = s[at] == ' ' && at + 1 < s.size() ? at + 1 : at;
    std::size_t n = 0;
    const Kind k = kind(s, word, n);
    return k == kBlank ? blanks(s, at) : run(s, word + n, k);
  }
  std::size_t cl100k(std::string_view s, std::size_t at) const noexcept {
    if (s[at] == '\'')
      if (const std::size_t end = contraction(s, at, true); end > at) return end;
    std::size_t n = 0, m = 0;
    const Kind k = kind(s, at, n);
    if (k == kLetter) return run(s, at + n, kLetter);
    if (k == kNumber) {
      std::size_t end = at + n;
      for (int digits = id_ == kCl100k ? 3 : 1; --digits > 0 && end < s.size() && kind(s, end, m) == kNumber;) end += m;
      return end;
    }
    if (s[at] != '\r' && s[at] != '\n' && at + n < s.size() && kind(s, at + n, m) == kLetter)
      return run(s, at + n + m, kLetter);
    const std::size_t word = s[at] == ' ' && at + 1 < s.size() ? at + 1 : at;
    if (kind(s, word, m) == kOther) {
      std::size_t end = run(s, word + m, kOther);
      while (end < s.size() && (s[end] == '\r' || s[end] == '\n')) ++end;
      return end;
    }
    const std::size_t end = run(s, at, kBlank);
    for (std::size_t i = end; i > at; --i)
      if (s[i - 1] == '\r' || s[i - 1] == '\n') return i;
    return blanks(s, at);
  }
  static std::size_t clip(std::string_view s, std::size_t at) noexcept {
    if (s[at] == '<')
      for (const std::string_view special : {"<|startoftext|>", "<|endoftext|>"})
        if (s.substr(at).starts_with(special)) return at + special.size();
    if (s[at] == '\'')
      if (const std::size_t end = contraction(s, at, false); end > at) return end;
    std::size_t n = 0;
    const Kind k = kind(s, at, n);
    return k == kBlank ? at : k == kNumber ? at + n : run(s, at + n, k);
  }
  Id id_;
};

}  // namespace tessera::text
