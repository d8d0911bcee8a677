// What patterns of a tokenizer.json look for.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <tessera/io/json_reader.hpp>
#include <tessera/text/regex.hpp>
#include <tessera/text/split_patterns.hpp>

namespace tessera::text::detail {

class Finder {
 public:
  virtual ~Finder() = default;
  /// The leftmost match in text that begins at or after `from`.
  virtual bool find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const = 0;
};

/// A string.
class TextFinder : public Finder {
 public:
  explicit TextFinder(std::string what) : what_(std::move(what)) {}
  bool find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const override {
    begin = text.find(what_, from);
    end = begin + what_.size();
    return begin != text.npos;
  }

 private:
  std::string what_;
};

/// A character with one of these flags.
class FlagFinder : public Finder {
 public:
  explicit FlagFinder(std::uint8_t flags) : flags_(flags) {}
  bool find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const override {
    for (std::size_t n = 0; from < text.size(); from += n) {
      if (!unicode::is(unicode::decode(text, from, n), flags_)) continue;
      begin = from, end = from + n;
      return true;
    }
    return false;
  }

 private:
  std::uint8_t flags_;
};

/// A regular expression: Regex, or KnownPattern for one that is known.
template <class Pattern>
class PatternFinder : public Finder {
 public:
  explicit PatternFinder(Pattern pattern) : pattern_(std::move(pattern)) {}
  bool find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const override {
    return pattern_.find(text, from, begin, end);
  }

 private:
  Pattern pattern_;
};

/// The finder of a step's "pattern", {"String": ...} or {"Regex": ...}.
inline std::unique_ptr<Finder> make_finder(const io::Json& step) {
  const io::Json& pattern = io::member(step, "pattern");
  if (io::has(pattern, "String")) return std::unique_ptr<Finder>(new TextFinder(io::get_string(pattern, "String")));
  if (!io::has(pattern, "Regex"))
    throw Error(Code::kFormat,
                {"tokenizer: the pattern of a ", io::get_string(step, "type"), " has no String and no Regex"});
  const std::string regex = io::get_string(pattern, "Regex");
  const KnownPattern::Id known = KnownPattern::known(regex);
  if (known != KnownPattern::kNone) return std::unique_ptr<Finder>(new PatternFinder<KnownPattern>(KnownPattern(known)));
  return std::unique_ptr<Finder>(new PatternFinder<Regex>(Regex::compile(regex)));
}

}  // namespace tessera::text::detail
