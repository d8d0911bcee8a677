// The regular expressions: recorded matches, hand matchers against the engine, what is refused, bounded time.
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text/regex.hpp>
#include <tessera/text/split_patterns.hpp>
#include "support/gzip.hpp"

namespace tessera::text {
namespace {

using Spans = std::vector<std::pair<std::size_t, std::size_t>>;

template <class Finder>
Spans matches(const Finder& finder, const std::string& text) {
  Spans out;
  each_match(finder, text, [&](std::size_t b, std::size_t e) { out.push_back({b, e}); });
  return out;
}

// The recorded ranges leave empty matches out. One construct among the patterns is refused.
TEST(Regex, RecordedMatches) {
  int cases = 0, refused = 0;
  for (const std::string& line :
       test::read_gzip_lines(std::string(TESSERA_TEST_DATA) + "/tokenizers/regex_cases.jsonl.gz")) {
    const io::Json j = io::Json::parse(line);
    const std::string pattern = j[0].get<std::string>(), text = j[1].get<std::string>();
    try {
      Spans found = matches(Regex::compile(pattern), text), want;
      std::erase_if(found, [](const auto& s) { return s.first == s.second; });
      for (const io::Json& s : j[2]) want.push_back({s[0].get<std::size_t>(), s[1].get<std::size_t>()});
      EXPECT_EQ(found, want) << pattern << " on " << j[1].dump();
      ++cases;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("may match nothing"), std::string::npos) << e.what();
      ++refused;
    }
  }
  EXPECT_GT(cases, 1800);
  EXPECT_LT(refused, 400);
}

TEST(Regex, HandMatchersFindWhatTheEngineFinds) {
  const std::vector<std::string> parts = {"'s",
                                          "'S",
                                          "'\xc5\xbf",
                                          "'re",
                                          "'LL",
                                          "'d",
                                          "'",
                                          "a",
                                          "Zz",
                                          "\xc3\xa9",
                                          "1",
                                          "\xd9\xa3",
                                          "\xc2\xb2",
                                          " ",
                                          "  ",
                                          "\t",
                                          "\n",
                                          "\r\n",
                                          "\xc2\x85",
                                          "\xc2\xa0",
                                          ".",
                                          "!?",
                                          "\xe4\xb8\xad",
                                          "\xcc\x81",
                                          "\xf0\x9f\x98\x80",
                                          "<|endoftext|>",
                                          "<|startoftext|",
                                          "_",
                                          "\xf0\x9d\x92\xb3",
                                          "\xe2\x80\xa8"};
  std::mt19937 random(3);
  for (int id = 0; id < KnownPattern::kNone; ++id) {
    const std::string_view pattern = KnownPattern::kPatterns[id];
    ASSERT_EQ(KnownPattern::known(pattern), id);
    const KnownPattern hand(static_cast<KnownPattern::Id>(id));
    const Regex engine = Regex::compile(pattern);
    for (int i = 0; i < 4000; ++i) {
      std::string text;
      for (auto n = random() % 12; n > 0; --n) text += parts[random() % parts.size()];
      ASSERT_EQ(matches(hand, text), matches(engine, text)) << pattern << " on " << io::Json(text).dump();
    }
  }
}

TEST(Regex, UnknownConstructsAreRefusedByName) {
  const std::pair<const char*, const char*> kRefused[] = {{"(?<=a)b", "(?<="},
                                                          {"(?<n>a)", "(?<n"},
                                                          {"(a)\\1", "\\1"},
                                                          {"\\R", "\\R"},
                                                          {"\\X", "\\X"},
                                                          {"\\Ga", "\\G"},
                                                          {"\\p{Foo}", "Foo"},
                                                          {"(?i:ss)", "as one character"},
                                                          {"(?i:\xc3\x9f)", "several characters"},
                                                          {"[[:foo:]]", "foo"},
                                                          {"a{3,1}", "{n,m}"},
                                                          {"\\pL", "\\p"}};
  for (const auto& [pattern, name] : kRefused) {
    try {
      (void)Regex::compile(pattern);
      ADD_FAILURE() << pattern << " was accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kUnsupported) << pattern;
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
    }
  }
  for (const char* pattern : {"(", ")", "[", "*a", "[b-a]", "a\\", "(?:a", "[a", "\\x{110000}", "^*", "\xff"})
    EXPECT_THROW((void)Regex::compile(pattern), Error) << pattern;
  EXPECT_THROW((void)Regex::compile(std::string(100, '(') + "a" + std::string(100, ')')), Error);
  EXPECT_THROW((void)Regex::compile("((((a{1000}){1000}){1000}){1000})"), Error);
}

TEST(Regex, BacktrackingIsBounded) {
  std::size_t begin = 0, end = 0;
  EXPECT_THROW((void)Regex::compile("(a+)+$").find(std::string(60, 'a') + "b", 0, begin, end), Error);
  const std::string blanks(1 << 20, ' ');
  EXPECT_EQ(matches(Regex::compile("\\s+(?!\\S)|\\s+"), blanks + "x"),
            (Spans{{0, blanks.size() - 1}, {blanks.size() - 1, blanks.size()}}));
}

}  // namespace
}  // namespace tessera::text
