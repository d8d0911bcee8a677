#pragma once
#include <tessera/text/pre_tokenizer.hpp>

namespace tessera::text {

namespace detail {

/// Splits at whitespace, which goes away, and, if asked, around each punctuation mark, which stays.
class BertPreTokenizer : public PreTokenizer {
 public:
  explicit BertPreTokenizer(bool punctuation) : isolated_(punctuation ? unicode::kPunctuation : std::uint8_t{0}) {
    for (unsigned c = 0; c < 128; ++c) ascii_[c] = unicode::flags(c);
  }
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    std::size_t start = begin;
    for (std::size_t i = begin, n = 1; i < end; i += n) {
      const auto first = static_cast<unsigned char>(text[i]);
      std::uint8_t what = 0;
      if (first < 128) {
        n = 1;
        what = ascii_[first];
      } else {
        what = unicode::flags(unicode::decode(text, i, n));
      }
      if (!(what & (unicode::kWhitespace | isolated_))) continue;
      if (start < i) out.push_back({start, i});
      if (what & isolated_) out.push_back({i, i + n});
      start = i + n;
    }
    if (start < end) out.push_back({start, end});
  }

 private:
  std::uint8_t isolated_;
  std::uint8_t ascii_[128];
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {}
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    std::vector<Piece> now{{begin, end}}, next;
    if (begin == end) return;
    for (const auto& step : steps_) {
      next.clear();
      for (const Piece& p : now) step->split(text, p.begin, p.end, next);
      now.swap(next);
    }
    out.insert(out.end(), now.begin(), now.end());
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

}  // namespace detail

inline std::unique_ptr<PreTokenizer> make_pre_tokenizer(const io::Json& json) {
  if (json.is_null()) return nullptr;
  const std::string type = io::get_string(json, "type");
  if (type == "BertPreTokenizer") return std::make_unique<detail::BertPreTokenizer>(true);
  if (type == "WhitespaceSplit") return std::make_unique<detail::BertPreTokenizer>(false);
  if (type == "Sequence") {
    if (!json.contains("pretokenizers") || !json["pretokenizers"].is_array())
      throw Error(Code::kFormat, "tokenizer: a pre-tokenizer Sequence without its list");
    std::vector<std::unique_ptr<PreTokenizer>> steps;
    for (const io::Json& step : json["pretokenizers"])
      if (auto p = make_pre_tokenizer(step)) steps.push_back(std::move(p));
    return std::make_unique<detail::PreTokenizerSequence>(std::move(steps));
  }
  throw Error(Code::kUnsupported, "tokenizer: pre-tokenizer '" + type +
                                      "' is not supported; known: BertPreTokenizer, WhitespaceSplit, Sequence");
}

}  // namespace tessera::text
