#pragma once
#include <tessera/text/charsmap.hpp>
#include <tessera/text/grapheme.hpp>
#include <tessera/text/normalized_text.hpp>
#include <tessera/text/normalizer_replacing.hpp>

namespace tessera::text::detail {

/// A sentencepiece charsmap. By default as the tokenizers package applies it: a grapheme cluster of less than 6 bytes that
/// begins with a key is replaced as a whole, marks and all; in longer ones each character that begins with a key is.
class Precompiled : public Normalizer {
 public:
  Precompiled(Charsmap map, bool longest) : map_(std::move(map)), longest_(longest) {
    for (unsigned c = 0; c < 128; ++c) {
      const char one = static_cast<char>(c);
      plain_[c] = longest ? !map_.begins(one) : map_.shortest({&one, 1}).length == 0;
    }
    plain_[static_cast<unsigned char>('\r')] = false;  // of a cluster with a line feed
  }

  void normalize(const NormalizedText& in, NormalizedText& out) const override {
    const std::string_view text = in.bytes;
    Pending to{Replacing(in, out), text};
    for (std::size_t i = 0, end = 0; i < text.size(); i = end) {
      end = i;
      while (end < text.size() && is_plain(text[end])) ++end;
      // The last one may go together with what follows.
      if (end < text.size() && static_cast<unsigned char>(text[end]) >= 128 && end > i) --end;
      if (end > i) {
        to.keep(i, end);
      } else if (longest_) {
        end = replace_prefix(text, i, to);
      } else {
        end = unicode::cluster_end(text, i);
        replace_cluster(text, i, end, to);
      }
    }
    to.flush();
  }

 private:
  /// Characters removed are charged to the last character before them, which must therefore wait.
  struct Pending {
    Replacing to;
    std::string_view text;
    bool held = false;
    unicode::CodePoint c = 0;
    int change = 0;
    void put(unicode::CodePoint next, int next_change) {
      flush();
      held = true;
      c = next;
      change = next_change;
    }
    void flush() {
      if (held) to.put(c, change);
      held = false;
    }
    void keep(std::size_t begin, std::size_t end) {
      flush();
      to.keep(begin, end - 1);
      put(static_cast<unsigned char>(text[end - 1]), 0);  // plain ones have one byte
    }
    /// `olds` characters become this text.
    void replace(int olds, std::string_view by) {
      int news = 0;
      for (std::size_t i = 0, n = 0; i < by.size(); i += n) put(unicode::decode(by, i, n), news++ < olds ? 0 : 1);
      if (news < olds && held) change += news - olds;
    }
  };

  bool is_plain(char c) const noexcept {
    return static_cast<unsigned char>(c) < 128 && plain_[static_cast<unsigned char>(c)];
  }

  void replace_cluster(std::string_view text, std::size_t begin, std::size_t end, Pending& to) const {
    constexpr std::size_t kWhole = 6;
    if (end - begin < kWhole) {
      if (const auto match = map_.shortest(text.substr(begin, end - begin)); match.length > 0) {
        int characters = 0;
        for (std::size_t i = begin; i < end; i += unicode::width(text[i])) ++characters;
        return to.replace(characters, match.text);
      }
    }
    for (std::size_t i = begin, n = 0; i < end; i += n) {
      const unicode::CodePoint c = unicode::decode(text, i, n);
      const auto match = map_.shortest(text.substr(i, n));
      match.length > 0 ? to.replace(1, match.text) : to.put(c, 0);
    }
  }

  std::size_t replace_prefix(std::string_view text, std::size_t i, Pending& to) const {
    std::size_t n = 0;
    const unicode::CodePoint c = unicode::decode(text, i, n);
    const auto match = map_.longest(text.substr(i));
    if (match.length == 0) {
      to.put(c, 0);
      return i + n;
    }
    int characters = 0;
    std::size_t end = i;  // a key that ends within a character takes all of it
    for (; end < i + match.length; end += unicode::width(text[end])) ++characters;
    to.replace(characters, match.text);
    return end;
  }

  Charsmap map_;
  bool longest_;
  bool plain_[128];
};

}  // namespace tessera::text::detail
