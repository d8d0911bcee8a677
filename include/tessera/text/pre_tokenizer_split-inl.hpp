#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json_reader-inl.hpp>
#include <tessera/text/finder.hpp>
#include <tessera/text/pre_tokens.hpp>

namespace tessera::text::detail {

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

/// Runs of word characters, and runs of what is neither word nor whitespace.
class Whitespace : public PreTokenizer {
 public:
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    constexpr std::uint8_t kBoth = unicode::kWord | unicode::kWhitespace;
    std::size_t start = begin;
    std::uint8_t before = unicode::kWhitespace;
    for (std::size_t i = begin, n = 0; i < end; i += n) {
      const auto what = static_cast<std::uint8_t>(unicode::flags(unicode::decode(text, i, n)) & kBoth);
      if (what == before) continue;
      if (before != unicode::kWhitespace) out.push_back({start, i});
      start = i;
      before = what;
    }
    if (start < end && before != unicode::kWhitespace) out.push_back({start, end});
  }
};

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Cuts around what a finder finds.
class Split : public PreTokenizer {
 public:
  Split(std::unique_ptr<Finder> finder, Behavior behavior, bool invert)
      : finder_(std::move(finder)), behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    std::vector<Part> all;
    std::size_t done = 0;
    const std::size_t size = end - begin;
    const auto take = [&](std::size_t b, std::size_t e, bool match) {
      if (merges())
        all.push_back({b, e, match});
      else if (b < e && (!match || behavior_ == Behavior::isolated))
        out.push_back({begin + b, begin + e});
    };
    each_match(*finder_, text.substr(begin, size), [&](std::size_t b, std::size_t e) {
      if (done != b) take(done, b, invert_);
      take(b, e, !invert_);
      done = e;
    });
    if (done != size) take(done, size, invert_);
    if (merges()) merge(all, begin, out);
  }

 private:
  struct Part {
    std::size_t begin, end;
    bool match;
  };
  bool merges() const noexcept { return behavior_ != Behavior::isolated && behavior_ != Behavior::removed; }
  void merge(std::vector<Part>& all, std::size_t shift, std::vector<Piece>& out) const {
    const bool backwards = behavior_ == Behavior::merged_with_next;
    if (backwards) std::reverse(all.begin(), all.end());
    std::vector<Part> joined;
    bool before = false;  // whether the last part was a match
    for (const Part& p : all) {
      const bool joins = behavior_ == Behavior::contiguous ? p.match == before : p.match && !before;
      if (!joins || joined.empty())
        joined.push_back(p);
      else if (backwards)
        joined.back().begin = p.begin;
      else
        joined.back().end = p.end;
      before = p.match;
    }
    if (backwards) std::reverse(joined.begin(), joined.end());
    for (const Part& p : joined)
      if (p.begin < p.end) out.push_back({shift + p.begin, shift + p.end});
  }
  std::unique_ptr<Finder> finder_;
  Behavior behavior_;
  bool invert_;
};

/// Cuts where the script changes; what stands before the first character with a script is dropped, as the reference does.
class UnicodeScripts : public PreTokenizer {
 public:
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    std::size_t start = end;
    int last = -1;
    for (std::size_t i = begin, n = 0; i < end; i += n) {
      const int script = unicode::script_class(unicode::decode(text, i, n));
      if (script == 0 || script == last) continue;
      if (start < i) out.push_back({start, i});
      start = i;
      last = script;
    }
    if (start < end) out.push_back({start, end});
  }
};

class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(std::size_t length) : length_(length) {}
  void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const override {
    while (begin < end) {
      std::size_t at = begin;
      for (std::size_t n = 0; n < length_ && at < end; ++n) at += unicode::width(text[at]);
      out.push_back({begin, at});
      begin = at;
    }
  }

 private:
  std::size_t length_;
};

inline Behavior behavior_of(const io::Json& json, const char* absent) {
  const std::string name = absent ? io::get_string(json, "behavior", absent) : io::get_string(json, "behavior");
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  throw Error(Code::kFormat, {"tokenizer: a split behavior '", name, "'"});
}

/// Null for a type that is none of these.
inline std::unique_ptr<PreTokenizer> make_splitter(const std::string& type, const io::Json& json) {
  if (type == "BertPreTokenizer") return std::unique_ptr<PreTokenizer>(new BertPreTokenizer(true));
  if (type == "WhitespaceSplit") return std::unique_ptr<PreTokenizer>(new BertPreTokenizer(false));
  if (type == "Whitespace") return std::unique_ptr<PreTokenizer>(new Whitespace());
  if (type == "UnicodeScripts") return std::unique_ptr<PreTokenizer>(new UnicodeScripts());
  if (type == "FixedLength")
    return std::unique_ptr<PreTokenizer>(
        new FixedLength(static_cast<std::size_t>(io::get_int(json, "length", 1, std::int64_t{1} << 30, 5))));
  if (type == "Punctuation")
    return std::unique_ptr<PreTokenizer>(
        new Split(std::unique_ptr<Finder>(new FlagFinder(unicode::kPunctuation)), behavior_of(json, "Isolated"), false));
  if (type == "Digits")
    return std::unique_ptr<PreTokenizer>(
        new Split(std::unique_ptr<Finder>(new FlagFinder(unicode::kNumeric)),
                  io::get_bool(json, "individual_digits", false) ? Behavior::isolated : Behavior::contiguous, false));
  if (type == "CharDelimiterSplit") {
    const std::string delimiter = io::get_string(json, "delimiter");
    if (delimiter.empty() || unicode::width(delimiter[0]) != delimiter.size())
      throw Error(Code::kFormat, {"tokenizer: CharDelimiterSplit's delimiter '", delimiter, "' is not one character"});
    return std::unique_ptr<PreTokenizer>(
        new Split(std::unique_ptr<Finder>(new TextFinder(delimiter)), Behavior::removed, false));
  }
  if (type == "Split")
    return std::unique_ptr<PreTokenizer>(
        new Split(make_finder(json), behavior_of(json, nullptr), io::get_bool(json, "invert", false)));
  return nullptr;
}

}  // namespace tessera::text::detail
