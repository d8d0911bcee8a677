// Named sets of code points, and sets without regard to case, as the regular expressions of tokenizer.json have them.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <tessera/text/code_set.hpp>

namespace tessera::text::detail {

/// What named_set() finds out, from all code points.
inline bool make_named_set(const std::string& name, bool bracket, unicode::CodeSet& out) {
  using namespace unicode;
  const auto where = [&](const auto& f) { return out = CodeSet::where(f), true; };
  const auto categories = [&](CategoryMask m) { return where([m](CodePoint c) { return has_category(c, m); }); };
  if (name == "alpha" || (!bracket && name == "alphabetic")) return where(is_alphabetic);
  if (name == "alnum") return where([](CodePoint c) { return is_alphabetic(c) || has_category(c, kNd); });
  if (name == "digit") return categories(kNd);
  if (name == "upper") return where(is_uppercase);
  if (name == "lower") return where(is_lowercase);
  if (name == "space" || (!bracket && name == "whitespace")) return where([](CodePoint c) { return is(c, kWhitespace); });
  if (name == "blank") return where([](CodePoint c) { return c == '\t' || has_category(c, kZs); });
  if (name == "cntrl") return categories(kCc);
  if (name == "graph") return categories(~(kCn | kCc | kZ));
  if (name == "print") return categories(~(kCn | kCc | kZl | kZp));
  if (name == "word") return where(is_posix_word);
  if (name == "\\w") return where(is_onig_word);
  if (name == "xdigit") return out = CodeSet('0', '9').add(CodeSet('A', 'F')).add(CodeSet('a', 'f')), true;
  if (name == "ascii") return out = CodeSet(0, 127), true;
  if (name == "punct") return categories(bracket ? kP | kS : kP);
  if (bracket) return false;
  if (name == "any") return out = CodeSet(0, CodeSet::kLast), true;
  if (name == "assigned") return categories(~kCn);
  if (const auto mask = category_by_name(name)) return categories(*mask);
  const int number = script_by_name(name);
  return number >= 0 && where([number](CodePoint c) { return script(c) == number; });
}

/// The set of a property or POSIX name, lower case without blanks, '_' and '-'; false for an unknown one.
inline bool named_set(const std::string& name, bool bracket, unicode::CodeSet& out) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, bool>, unicode::CodeSet> known;  // a pattern names the same few many times
  const std::lock_guard lock(mutex);
  const auto at = known.find({name, bracket});
  if (at != known.end()) return out = at->second, true;
  if (!make_named_set(name, bracket, out)) return false;
  known.emplace(std::pair{name, bracket}, out);
  return true;
}

/// Adds what single members match under (?i). \return a member that matches several characters there, or 0.
inline unicode::CodePoint fold_set(unicode::CodeSet& set) {
  unicode::CodeSet more;
  for (const auto& [first, last] : set.ranges()) {
    unicode::CodePoint begin = 1, end = 0;  // a run to add at once
    for (unicode::CodePoint c = first; c <= last; ++c)
      unicode::each_case(c, [&](unicode::CodePoint same) {
        if (set.contains(same)) return;
        if (begin <= end && same == end + 1)
          ++end;
        else {
          if (begin <= end) more.add(unicode::CodeSet(begin, end));
          begin = end = same;
        }
      });
    if (begin <= end) more.add(unicode::CodeSet(begin, end));
  }
  set.add(more);
  const auto& many = unicode::kManyFolds;
  for (std::size_t i = 0; i < std::size(many); i += 2 + many[i + 1])
    if (set.contains(many[i])) return many[i];
  return 0;
}

/// The character that the last of these letters, each the least of those it matches, match as a whole under (?i), or 0.
inline unicode::CodePoint folded_from(const std::vector<unicode::CodePoint>& letters) {
  const auto& table = unicode::kManyFolds;
  for (std::size_t i = 0; i < std::size(table); i += 2 + table[i + 1]) {
    const std::size_t n = table[i + 1];
    if (letters.size() < n) continue;
    bool same = true;
    for (std::size_t k = 0; k < n && same; ++k) {
      unicode::CodeSet letter(table[i + 2 + k], table[i + 2 + k]);
      fold_set(letter);
      same = letter.ranges().front().first == letters[letters.size() - n + k];
    }
    if (same) return table[i];
  }
  return 0;
}

}  // namespace tessera::text::detail
