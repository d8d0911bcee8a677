// Words, as full-text search has them.
#pragma once
#include <string>
#include <string_view>

#include <tessera/text/unicode.hpp>

namespace tessera::text {

/// Calls f(word) for each word of a text: a letter or number and the letters, numbers and marks behind it, as many as there
/// are, in lower case. That is the expression [\p{L}\p{N}][\p{L}\p{N}\p{M}]*. Characters become lower case one by one (no
/// final sigma); nothing is composed or decomposed. Whatever else there is parts words, bytes that are not UTF-8 too. A
/// script without spaces is one word between two marks of punctuation: search it by the tokens of a model instead. \param f
/// (std::string_view); its argument lasts until f returns.
template <class F>
void each_word(std::string_view text, const F& f) {
  using namespace unicode;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) f(std::string_view(word));
    word.clear();
  };
  const auto ascii = [](char c) {  // its lower case, or 0
    const auto low = static_cast<char>(c | 0x20);
    return low >= 'a' && low <= 'z' ? low : c >= '0' && c <= '9' ? c : '\0';
  };
  for (std::size_t at = 0, bad = 0; at < text.size(); at += bad) {
    const std::size_t end = valid_prefix(text, at, bad);
    for (std::size_t n = 0; at < end; at += n) {
      char low = '\0';
      for (; at < end && (low = ascii(text[at])); ++at) word.push_back(low);  // most of most texts
      if (at == end) break;
      const CodePoint c = decode(text, at, n);
      if (has_category(c, word.empty() ? kL | kN : kL | kN | kM))
        lower(c, [&](CodePoint l) { append(word, l); });
      else
        end_word();
    }
    end_word();
  }
}

}  // namespace tessera::text
