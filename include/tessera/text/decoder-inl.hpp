#pragma once
#include <algorithm>

#include <tessera/io/json_reader-inl.hpp>
#include <tessera/text/byte_alphabet.hpp>
#include <tessera/text/decoder.hpp>
#include <tessera/text/finder.hpp>

namespace tessera::text {

inline std::string repaired(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t bad = 0;
    const std::size_t end = unicode::valid_prefix(bytes, at, bad);
    out.append(bytes.substr(at, end - at));
    if (end < bytes.size()) out += "\xef\xbf\xbd";
    at = end + bad;
  }
  return out;
}

namespace detail {

inline void replace_all(std::string& s, std::string_view what, std::string_view with) {
  if (what.empty()) return;
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = s.find(what, at)) != s.npos; at = found + what.size())
    out.append(s, at, found - at).append(with);
  if (at > 0) s = out.append(s, at);
}

/// The clean-up that the WordPiece and CTC decoders do to one token.
inline void clean_up(std::string& s) {
  static constexpr const char* kRules[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                              {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                              {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& rule : kRules) replace_all(s, rule[0], rule[1]);
}

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void run(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string& t = tokens[i];
      if (i > 0 && t.starts_with(prefix_))
        t.erase(0, prefix_.size());
      else if (i > 0)
        t.insert(0, " ");
      if (cleanup_) clean_up(t);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class ByteLevelDecoder : public Decoder {
 public:
  void run(std::vector<std::string>& tokens) const override {
    std::string all, bytes;
    for (const std::string& t : tokens) {
      bytes.clear();
      bool good = true;
      for (std::size_t i = 0, n = 0; good && i < t.size(); i += n) {
        const int b = ByteAlphabet::get().byte(unicode::decode(t, i, n));
        good = b >= 0;
        bytes += static_cast<char>(b);
      }
      all += good ? bytes : t;  // a token with other characters is text
    }
    tokens.assign(1, repaired(all));
  }
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string mark, bool drops_first) : mark_(std::move(mark)), drops_first_(drops_first) {}
  void run(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], mark_, i == 0 && drops_first_ ? "" : " ");
  }

 private:
  std::string mark_;
  bool drops_first_;
};

/// Runs of "<0xNN>" to the characters they spell, or one U+FFFD each.
class ByteFallbackDecoder : public Decoder {
 public:
  void run(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      std::size_t bad = 0;
      if (unicode::valid_prefix(bytes, 0, bad) == bytes.size()) {
        if (!bytes.empty()) out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      }
      bytes.clear();
    };
    for (std::string& t : tokens) {
      const int b = byte(t);
      if (b >= 0) {
        bytes += static_cast<char>(b);
        continue;
      }
      flush();
      out.push_back(std::move(t));
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static int byte(const std::string& t) {
    if (t.size() != 6 || !t.starts_with("<0x") || t[5] != '>') return -1;
    const auto digit = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    const int high = digit(t[3]), low = digit(t[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }
};

class FuseDecoder : public Decoder {
 public:
  void run(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& t : tokens) all += t;
    tokens.clear();
    tokens.push_back(std::move(all));
  }
};

/// Takes up to `start` and `stop` of a character off each token's ends.
class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void run(std::vector<std::string>& tokens) const override {
    for (std::string& t : tokens) {
      std::string_view s = t;
      for (std::size_t i = 0; i < start_ && s.starts_with(content_); ++i) s.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && s.ends_with(content_); ++i) s.remove_suffix(content_.size());
      t = std::string(s);
    }
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
};

class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void run(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(std::unique_ptr<Finder> finder, std::string content)
      : finder_(std::move(finder)), content_(std::move(content)) {}
  void run(std::vector<std::string>& tokens) const override {
    for (std::string& t : tokens) {
      std::string out;
      std::size_t done = 0;
      const auto put = [&](std::size_t b, std::size_t e) {
        out.append(t, done, b - done).append(content_);
        done = e;
      };
      each_match(*finder_, t, put);
      t = out.append(t, done);
    }
  }

 private:
  std::unique_ptr<Finder> finder_;
  std::string content_;
};

/// Equal neighbours once, without the padding token. Source: Graves et al., "Connectionist temporal classification", 2006.
class CtcDecoder : public Decoder {
 public:
  CtcDecoder(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}
  void run(std::vector<std::string>& tokens) const override {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& t : tokens) {
      replace_all(t, pad_, "");
      if (!cleanup_) continue;
      clean_up(t);
      replace_all(t, delimiter_, " ");
    }
    std::erase_if(tokens, [](const std::string& t) { return t.empty(); });
  }

 private:
  std::string pad_, delimiter_;
  bool cleanup_;
};

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<Decoder>> steps) : steps_(std::move(steps)) {}
  void run(std::vector<std::string>& tokens) const override {
    for (const auto& step : steps_) step->run(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
};

}  // namespace detail

inline std::unique_ptr<Decoder> make_decoder(const io::Json& json) {
  if (json.is_null()) return nullptr;
  const std::string type = io::get_string(json, "type");
  const auto size = [&](const char* key) {
    return static_cast<std::size_t>(io::get_int(json, key, 0, std::int64_t{1} << 30));
  };
  const auto character = [&](const char* key) {
    std::string c = io::get_string(json, key);
    if (c.empty() || unicode::width(c[0]) != c.size())
      throw Error(Code::kFormat, {"tokenizer: the decoder ", type, "'s ", key, " '", c, "' is not one character"});
    return c;
  };
  if (type == "WordPiece")
    return std::unique_ptr<Decoder>(
        new detail::WordPieceDecoder(io::get_string(json, "prefix", "##"), io::get_bool(json, "cleanup", true)));
  if (type == "ByteLevel") return std::unique_ptr<Decoder>(new detail::ByteLevelDecoder());
  if (type == "Metaspace")
    return std::unique_ptr<Decoder>(new detail::MetaspaceDecoder(
        character("replacement"),
        io::get_bool(json, "add_prefix_space", true) && io::get_string(json, "prepend_scheme", "always") != "never"));
  if (type == "ByteFallback") return std::unique_ptr<Decoder>(new detail::ByteFallbackDecoder());
  if (type == "Fuse") return std::unique_ptr<Decoder>(new detail::FuseDecoder());
  if (type == "Strip")
    return std::unique_ptr<Decoder>(new detail::StripDecoder(character("content"), size("start"), size("stop")));
  if (type == "BPEDecoder") return std::unique_ptr<Decoder>(new detail::BpeDecoder(io::get_string(json, "suffix", "</w>")));
  if (type == "Replace")
    return std::unique_ptr<Decoder>(new detail::ReplaceDecoder(detail::make_finder(json), io::get_string(json, "content")));
  if (type == "CTC")
    return std::unique_ptr<Decoder>(new detail::CtcDecoder(io::get_string(json, "pad_token", "<pad>"),
                                                           io::get_string(json, "word_delimiter_token", "|"),
                                                           io::get_bool(json, "cleanup", true)));
  if (type == "Sequence") {
    if (!io::member(json, "decoders").is_array())
      throw Error(Code::kFormat, "tokenizer: a decoder Sequence without its list");
    std::vector<std::unique_ptr<Decoder>> steps;
    for (const io::Json& step : json["decoders"])
      if (auto d = make_decoder(step)) steps.push_back(std::move(d));
    return std::unique_ptr<Decoder>(new detail::DecoderSequence(std::move(steps)));
  }
  throw Error(Code::kUnsupported, {"tokenizer: decoder '", type,
                                   "' is not supported; known: BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace, "
                                   "Replace, Sequence, Strip, WordPiece"});
}

}  // namespace tessera::text
