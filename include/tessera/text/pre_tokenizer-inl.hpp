#pragma once
#include <tessera/io/json_reader-inl.hpp>
#include <tessera/text/byte_alphabet.hpp>
#include <tessera/text/pre_tokenizer.hpp>
#include <tessera/text/pre_tokenizer_split-inl.hpp>

namespace tessera::text {

namespace detail {

/// Copies pieces to a new text; put(piece) appends what it becomes to next_text and says where it is cut.
template <class F>
void rewrite(PreTokens& t, const F& put) {
  t.next.clear();
  t.next_text.clear();
  t.next_text.tracked = t.text.tracked;
  for (const Piece& p : t.pieces) put(p);
  std::swap(t.text, t.next_text);
  t.pieces.swap(t.next);
}

/// Words by GPT-2's pattern, then bytes in an alphabet of printable characters.
class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool prefix_space, bool words, bool raw_bytes) : prefix_space_(prefix_space), words_(words), raw_(raw_bytes) {}
  bool rewrites() const override { return prefix_space_ || !raw_; }
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    if (!words_) return out.push_back({begin, end});
    const KnownPattern gpt2(KnownPattern::kGpt2);
    each_match(gpt2, text.substr(begin, end - begin), [&](std::size_t b, std::size_t e) {
      out.push_back({begin + b, begin + e});
    });
  }
  void run(PreTokens& t) const override {
    if (prefix_space_)
      rewrite(t, [&](const Piece& p) {
        const std::size_t begin = t.next_text.bytes.size();
        if (t.text.bytes[p.begin] != ' ') t.next_text.append(" ", t.text.at(p.begin));
        t.next_text.append(t.text, p.begin, p.end);
        t.next.push_back({begin, t.next_text.bytes.size()});
      });
    PreTokenizer::run(t);
    if (raw_) return;
    const ByteAlphabet& alphabet = ByteAlphabet::get();
    rewrite(t, [&](const Piece& p) {
      const std::size_t begin = t.next_text.bytes.size();
      for (std::size_t i = p.begin; i < p.end; ++i)
        t.next_text.append(alphabet.of(static_cast<unsigned char>(t.text.bytes[i])), t.text.at(i));
      t.next.push_back({begin, t.next_text.bytes.size()});
    });
  }

 private:
  bool prefix_space_, words_, raw_;
};

/// Spaces become a mark, one stands before the text, and pieces begin at marks.
/// Source: Kudo, Richardson, arXiv:1808.06226.
class Metaspace : public PreTokenizer {
 public:
  enum Prepend { kAlways, kFirst, kNever };
  Metaspace(std::string mark, Prepend prepend, bool pieces) : mark_(std::move(mark)), prepend_(prepend), pieces_(pieces) {}
  bool rewrites() const override { return true; }
  bool needs_origin() const override { return prepend_ == kFirst; }
  void split(std::string_view, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    out.push_back({begin, end});
  }
  void run(PreTokens& t) const override {
    rewrite(t, [&](const Piece& p) {
      NormalizedText& to = t.next_text;
      std::size_t begin = to.bytes.size();
      const std::string_view piece = std::string_view(t.text.bytes).substr(p.begin, p.end - p.begin);
      const Span first = t.text.at(p.begin);
      const bool marked = piece[0] == ' ' || piece.starts_with(mark_);
      if (!marked && (prepend_ == kAlways || (prepend_ == kFirst && first.begin == 0))) to.append(mark_, first);
      for (std::size_t i = p.begin; i < p.end;) {
        std::size_t end = t.text.bytes.find(' ', i);
        if (end > p.end) end = p.end;
        to.append(t.text, i, end);
        if (end < p.end) to.append(mark_, t.text.at(end));
        i = end + 1;
      }
      if (!pieces_) return t.next.push_back({begin, to.bytes.size()});
      for (std::size_t at = begin + 1; (at = to.bytes.find(mark_, at)) != std::string::npos; ++at) {
        t.next.push_back({begin, at});
        begin = at;
      }
      t.next.push_back({begin, to.bytes.size()});
    });
  }

 private:
  std::string mark_;
  Prepend prepend_;
  bool pieces_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {
    for (const auto& step : steps_) {
      rewrites_ = rewrites_ || step->rewrites();
      needs_origin_ = needs_origin_ || step->needs_origin();
    }
  }
  bool rewrites() const override { return rewrites_; }
  bool needs_origin() const override { return needs_origin_; }
  void run(PreTokens& t) const override {
    for (const auto& step : steps_) step->run(t);
  }
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    if (begin == end) return;
    if (steps_.size() == 1) return steps_[0]->split(text, begin, end, out);
    std::vector<Piece> now{{begin, end}}, next;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      next.clear();
      for (const Piece& p : now) steps_[i]->split(text, p.begin, p.end, i + 1 < steps_.size() ? next : out);
      now.swap(next);
    }
    if (steps_.empty()) out.push_back({begin, end});
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
  bool rewrites_ = false, needs_origin_ = false;
};

inline std::unique_ptr<PreTokenizer> make_metaspace(const io::Json& json) {
  const std::string mark = io::get_string(json, "replacement");
  if (mark.empty() || unicode::width(mark[0]) != mark.size())
    throw Error(Code::kFormat, {"tokenizer: Metaspace's replacement '", mark, "' is not one character"});
  const std::string scheme = io::get_string(json, "prepend_scheme", "always");
  // Not a throw in the last branch: of that clang 14 frees the exception at once when its sentence comes in parts.
  if (scheme != "always" && scheme != "first" && scheme != "never")
    throw Error(Code::kFormat, {"tokenizer: Metaspace's prepend_scheme is '", scheme, "', expected always, first or never"});
  const Metaspace::Prepend prepend = scheme == "always"  ? Metaspace::kAlways
                                     : scheme == "first" ? Metaspace::kFirst
                                                         : Metaspace::kNever;
  if (!io::get_bool(json, "add_prefix_space", true) && prepend != Metaspace::kNever)
    throw Error(Code::kFormat, {"tokenizer: Metaspace's add_prefix_space is false and its prepend_scheme '", scheme, "'"});
  return std::unique_ptr<PreTokenizer>(new Metaspace(mark, prepend, io::get_bool(json, "split", true)));
}

inline const io::Json& sequence_steps(const io::Json& json, const char* key) {
  if (!json.contains(key) || !json[key].is_array())
    throw Error(Code::kFormat, {"tokenizer: a Sequence without its list of ", key});
  return json[key];
}

}  // namespace detail

inline bool ends_in_byte_level(const io::Json& json) {
  if (!json.is_object()) return false;
  const std::string type = io::get_string(json, "type");
  if (type != "Sequence") return type == "ByteLevel";
  const io::Json& steps = detail::sequence_steps(json, "pretokenizers");
  return !steps.empty() && ends_in_byte_level(steps.back());
}

inline std::unique_ptr<PreTokenizer> make_pre_tokenizer(const io::Json& json, bool raw_bytes) {
  if (json.is_null()) return nullptr;
  const std::string type = io::get_string(json, "type");
  if (type == "ByteLevel")
    return std::unique_ptr<PreTokenizer>(new detail::ByteLevel(io::get_bool(json, "add_prefix_space", true),
                                                               io::get_bool(json, "use_regex", true), raw_bytes));
  if (type == "Metaspace") return detail::make_metaspace(json);
  if (type == "Sequence") {
    const io::Json& list = detail::sequence_steps(json, "pretokenizers");
    std::vector<std::unique_ptr<PreTokenizer>> steps;
    for (std::size_t i = 0; i < list.size(); ++i)
      if (auto p = make_pre_tokenizer(list[i], raw_bytes && i + 1 == list.size())) steps.push_back(std::move(p));
    return std::unique_ptr<PreTokenizer>(new detail::PreTokenizerSequence(std::move(steps)));
  }
  if (auto splitter = detail::make_splitter(type, json)) return splitter;
  throw Error(Code::kUnsupported,
              {"tokenizer: pre-tokenizer '", type,
               "' is not supported; known: BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, "
               "Punctuation, Sequence, Split, UnicodeScripts, Whitespace, WhitespaceSplit"});
}

}  // namespace tessera::text
