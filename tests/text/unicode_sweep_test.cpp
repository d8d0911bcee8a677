// Every one of the 1,112,064 code points, through each component, against what the tokenizers package was seen to do with
// it.
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text/grapheme.hpp>
#include <tessera/text/normalizer.hpp>
#include <tessera/text/regex.hpp>
#include "support/gzip.hpp"

namespace tessera::text {
namespace {

using unicode::CodePoint;

constexpr CodePoint kEnd = 0x110000;

io::Json recorded(const char* name) {
  return io::Json::parse(test::read_gzip(std::string(TESSERA_TEST_DATA) + "/tokenizers/" + name + ".json.gz"));
}
const io::Json& oracle() {
  static const io::Json json = recorded("unicode_oracle");
  return json;
}
const io::Json& observed() {
  static const io::Json json = recorded("unicode_observed");
  return json;
}

template <class F>
void each_code_point(const F& f) {
  for (CodePoint c = 0; c < kEnd; ++c)
    if (c < 0xD800 || c > 0xDFFF) f(c);
}

std::vector<bool> members(const io::Json& ranges) {
  std::vector<bool> in(kEnd);
  for (const io::Json& r : ranges)
    for (CodePoint c = r[0].get<CodePoint>(); c <= r[1].get<CodePoint>(); ++c) in[c] = true;
  return in;
}

std::string utf8(const std::vector<CodePoint>& points) {
  std::string s;
  for (const CodePoint c : points) unicode::append(s, c);
  return s;
}

/// `f` says whether a code point is in the set.
template <class F>
void expect_set(const io::Json& ranges, const std::string& name, const F& f) {
  const std::vector<bool> want = members(ranges);
  int wrong = 0, inside = 0;
  each_code_point([&](CodePoint c) {
    inside += want[c];
    if (f(c) != want[c] && ++wrong <= 3)
      ADD_FAILURE() << name << ": U+" << std::hex << c << " should " << (want[c] ? "" : "not ") << "be in";
  });
  EXPECT_EQ(wrong, 0) << name;
  EXPECT_GT(inside, 0) << name;
}

/// A component's output for a text of one code point.
class One {
 public:
  explicit One(const io::Json& json) : normalizer_(make_normalizer(json)) {}
  const std::string& operator()(CodePoint c) {
    text_.clear();
    unicode::append(text_, c);
    in_.assign(text_, 0);
    normalizer_->normalize(in_, out_);
    return out_.bytes;
  }
  const std::string& text() const { return text_; }

 private:
  std::unique_ptr<Normalizer> normalizer_;
  std::string text_;
  NormalizedText in_, out_;
};

One bert(const char* on) {
  io::Json json = {{"type", "BertNormalizer"},
                   {"clean_text", false},
                   {"handle_chinese_chars", false},
                   {"strip_accents", false},
                   {"lowercase", false}};
  json[on] = true;
  return One(json);
}

void expect_map(const char* map, const io::Json& component) {
  One one(component);
  const io::Json& changed = oracle()["maps"][map];
  std::vector<std::string> want(kEnd);
  std::vector<bool> changes(kEnd);
  for (const auto& [code, text] : changed.items()) {
    const auto c = static_cast<CodePoint>(std::stoul(code, nullptr, 16));
    want[c] = utf8(text.get<std::vector<CodePoint>>());
    changes[c] = true;
  }
  int wrong = 0;
  each_code_point([&](CodePoint c) {
    const std::string& got = one(c);
    if (got != (changes[c] ? want[c] : one.text()) && ++wrong <= 3) ADD_FAILURE() << map << ": U+" << std::hex << c;
  });
  EXPECT_EQ(wrong, 0) << map;
}

TEST(UnicodeSweep, Maps) {
  expect_map("nfc", {{"type", "NFC"}});
  expect_map("nfd", {{"type", "NFD"}});
  expect_map("nfkc", {{"type", "NFKC"}});
  expect_map("nfkd", {{"type", "NFKD"}});
  expect_map("lowercase", {{"type", "Lowercase"}});
  expect_map("nmt", {{"type", "Nmt"}});
}

TEST(UnicodeSweep, NormalizerSets) {
  const io::Json& sets = oracle()["sets"];
  One clean = bert("clean_text"), chinese = bert("handle_chinese_chars"), accents = bert("strip_accents"),
      lower = bert("lowercase");
  One strip_accents(io::Json{{"type", "StripAccents"}});
  One strip(io::Json{{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
  One lowercase(io::Json{{"type", "Lowercase"}});
  expect_set(sets["bert_clean_removed"], "clean removes", [&](CodePoint c) { return clean(c).empty(); });
  expect_set(sets["bert_clean_to_space"], "clean blanks", [&](CodePoint c) { return clean(c) == " " && c != ' '; });
  expect_set(sets["bert_chinese"], "chinese", [&](CodePoint c) {
    const std::string& out = chinese(c);
    return out.size() > chinese.text().size() && out == " " + chinese.text() + " ";
  });
  expect_set(sets["bert_strip_accents_removed"], "accents of BERT",
             [&](CodePoint c) { return accents(c).empty() && !unicode::is_decomposable(c); });  // others go mark by mark
  expect_set(sets["stripaccents_removed"], "accents", [&](CodePoint c) { return strip_accents(c).empty(); });
  expect_set(sets["char_is_whitespace"], "stripped", [&](CodePoint c) { return strip(c).empty(); });
  int wrong = 0;
  each_code_point([&](CodePoint c) { wrong += lower(c) != lowercase(c); });
  EXPECT_EQ(wrong, 0) << "BERT's lower case is the same";
}

TEST(UnicodeSweep, Flags) {
  const io::Json& sets = oracle()["sets"];
  using namespace unicode;
  expect_set(sets["bert_punctuation"], "punctuation", [](CodePoint c) { return is(c, kPunctuation); });
  expect_set(sets["char_is_numeric"], "numeric", [](CodePoint c) { return is(c, kNumeric); });
  expect_set(sets["rust_regex_w"], "Rust's \\w", [](CodePoint c) { return is(c, kWord); });
  expect_set(sets["rust_regex_s"], "Rust's \\s", [](CodePoint c) { return is(c, kWhitespace); });
}

TEST(UnicodeSweep, RegexClasses) {
  const io::Json& sets = oracle()["sets"];
  std::map<std::string, io::Json> patterns;
  for (const auto& [name, ranges] : sets.items())
    if (name.starts_with("onig_"))
      patterns[name.size() == 6 && name[5] >= 'a' ? "\\" + name.substr(5) : "\\p{" + name.substr(5) + "}"] = ranges;
  for (const auto& [name, ranges] : observed()["onig"].items())
    patterns[name == "w"            ? "\\w"
             : name == "Alphabetic" ? "[[:alpha:]]"
             : name == "Uppercase"  ? "[[:upper:]]"
             : name == "Lowercase"  ? "[[:lower:]]"
                                    : "\\p{" + name + "}"] = ranges;
  for (const auto& [name, ranges] : observed()["scripts"].items()) patterns["\\p{" + name + "}"] = ranges;
  EXPECT_GT(patterns.size(), 200u);
  for (const auto& [pattern, ranges] : patterns) {
    const Regex regex = Regex::compile(pattern);
    std::string text;
    expect_set(ranges, pattern, [&](CodePoint c) {
      std::size_t begin = 0, end = 0;
      text.clear();
      unicode::append(text, c);
      return regex.find(text, 0, begin, end);
    });
  }
}

TEST(UnicodeSweep, Scripts) {
  const io::Json& classes = observed()["unicode_scripts"];
  for (std::size_t i = 0; i < classes.size(); ++i)
    expect_set(classes[i], "script class " + std::to_string(i),
               [&](CodePoint c) { return unicode::script_class(c) == static_cast<int>(i); });
  for (const auto& [alias, name] : observed()["script_aliases"].items()) {
    const auto folded = [](std::string s) {
      std::erase(s, '_');
      for (char& c : s) c = static_cast<char>(c | 0x20);
      return s;
    };
    EXPECT_EQ(unicode::script_by_name(folded(alias)), unicode::script_by_name(folded(name))) << alias;
    EXPECT_GT(unicode::script_by_name(folded(alias)), 0) << alias;
  }
}

/// How a code point joins its neighbours, by the probes of observe.py.
TEST(UnicodeSweep, Clusters) {
  const io::Json& seen = observed()["clusters"];
  const auto joined = [](std::vector<CodePoint> points) {
    const std::string s = utf8(points);
    return unicode::cluster_end(s, 0) == s.size();
  };
  const auto crlf = [](CodePoint c) { return c == '\r' || c == '\n'; };  // were left out
  expect_set(seen["attaches"], "attaches", [&](CodePoint c) { return joined({'a', c}); });
  expect_set(seen["prepends"], "prepends", [&](CodePoint c) { return joined({c, 'a'}); });
  expect_set(seen["control"], "control", [&](CodePoint c) { return c != 0 && !joined({c, 0x301}); });
  const std::vector<bool> attaches = members(seen["attaches"]);
  expect_set(seen["pictographic"], "pictograph", [&](CodePoint c) { return joined({0xA9, 0x200D, c}); });
  expect_set(seen["extend"], "extend", [&](CodePoint c) { return attaches[c] && joined({0xA9, c, 0x200D, 0xA9}); });
  expect_set(seen["before_v"], "before a vowel", [&](CodePoint c) { return !crlf(c) && joined({c, 0x1161}); });
  expect_set(seen["before_t"], "before a final", [&](CodePoint c) { return !crlf(c) && joined({c, 0x11A8}); });
  expect_set(seen["consonant"], "consonant", [&](CodePoint c) { return joined({c, 0x94D, 0x915}); });
  expect_set(seen["linker"], "linker", [&](CodePoint c) { return attaches[c] && joined({0x915, c, 0x915}); });
  const std::vector<bool> linker = members(seen["linker"]);
  expect_set(seen["conjunct_extend"], "conjunct extend", [&](CodePoint c) {
    return attaches[c] && !linker[c] && joined({0x915, c, 0x94D, 0x915});
  });
}

TEST(UnicodeSweep, CaseGroups) {
  std::vector<CodePoint> least(kEnd);
  each_code_point([&](CodePoint c) { least[c] = c; });
  for (const io::Json& group : observed()["fold"])
    for (const io::Json& c : group) least[c.get<CodePoint>()] = group[0].get<CodePoint>();
  int wrong = 0;
  each_code_point([&](CodePoint c) {
    int self = 0;
    unicode::each_case(c, [&](CodePoint d) {
      self += d == c;
      wrong += unicode::fold(d) != unicode::fold(c);
    });
    wrong += self != 1 || unicode::fold(c) != least[c];
  });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tessera::text
