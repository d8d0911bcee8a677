// Unigram by itself: ties, unknown text, byte fallback, odd vocabularies, and that time is linear.
#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text/piece_trie.hpp>
#include <tessera/text/tokenizer.hpp>
#include <tessera/text/unigram.hpp>

namespace tessera::text {
namespace {

using Ids = std::vector<TokenId>;

struct Case {
  Vocabulary vocabulary;
  std::unique_ptr<Model> model;
  Case(const HostVector<ScoredPiece>& pieces, const UnigramOptions& options)
      : model(make_unigram(pieces, options, vocabulary)) {}
  std::vector<PieceToken> tokens(std::string_view text) const {
    ModelScratch scratch;
    std::vector<PieceToken> out;
    model->tokenize(text, scratch, out);
    return out;
  }
  Ids ids(std::string_view text) const {
    Ids out;
    for (const PieceToken& t : tokens(text)) out.push_back(t.id);
    return out;
  }
};

TEST(Unigram, TakesTheBestSum) {
  const Case c({{"<unk>", 0}, {"a", -1}, {"b", -1}, {"ab", -1.5}, {"abc", -9}, {"c", -1}}, {.unk = 0});
  EXPECT_EQ(c.ids("abc"), (Ids{3, 5}));
  const auto tokens = c.tokens("abc");
  EXPECT_EQ(tokens[0].end, 2u);
  EXPECT_EQ(tokens[1].begin, 2u);
  EXPECT_EQ(c.ids(""), Ids{});
}

TEST(Unigram, OfEqualWaysTheFirstFoundStays) {
  // a|b and ab are equally good; ab reaches the end first. In abc: ab|c and a|bc; the end is reached from a first.
  const Case c({{"<unk>", 0}, {"a", -1}, {"b", -1}, {"c", -1}, {"ab", -2}, {"bc", -2}}, {.unk = 0});
  EXPECT_EQ(c.ids("ab"), (Ids{4}));
  EXPECT_EQ(c.ids("abc"), (Ids{1, 5}));
}

TEST(Unigram, UnknownTextIsFused) {
  const Case c({{"<unk>", 0}, {"a", -1}}, {.unk = 0});
  EXPECT_EQ(c.ids("xya\xc3\xa9"), (Ids{0, 1, 0}));
  EXPECT_EQ(c.ids("x<unk>y"), (Ids{0})) << "the unknown token's own text is unknown text";
  const auto tokens = c.tokens("xya");
  EXPECT_EQ(tokens[0].end, 2u);
}

TEST(Unigram, WithoutUnknownTokenUnknownTextIsAnError) {
  const Case c({{"a", -1}}, {});
  EXPECT_EQ(c.ids("aa"), (Ids{0, 0}));
  EXPECT_THROW(c.ids("ab"), Error);
}

TEST(Unigram, BytesOnlyWhenAllAreThere) {
  HostVector<ScoredPiece> pieces = {{"<unk>", 0}, {"<0xC3>", 0}, {"<0xA9>", 0}, {"a", -1}};
  const Case c(pieces, {.unk = 0, .byte_fallback = true});
  EXPECT_EQ(c.ids("a\xc3\xa9"), (Ids{3, 1, 2}));
  EXPECT_EQ(c.ids("\xc3\xa9x"), (Ids{0})) << "fused with x, which has no byte";
  EXPECT_EQ(c.tokens("a\xc3\xa9")[1].end, 3u);
}

TEST(Unigram, OfEqualPiecesTheLastCounts) {
  const Case c({{"<unk>", 0}, {"a", -1}, {"b", -1}, {"a", -5}, {"ab", -3}}, {.unk = 0});
  EXPECT_EQ(c.ids("a"), (Ids{3}));
  EXPECT_EQ(c.ids("ab"), (Ids{4}));
}

TEST(Unigram, RefusesWhatItCannotMean) {
  Vocabulary v;
  EXPECT_THROW((void)make_unigram({{"a", 0}}, {.unk = 1}, v), Error);
  EXPECT_THROW((void)make_unigram({}, {.unk = 0}, v), Error);
  for (const char* bad :
       {R"({})", R"({"vocab": []})", R"({"vocab": {}})", R"({"vocab": [["a"]]})", R"({"vocab": [["a", "b"]]})",
        R"({"vocab": [[1, 2]]})", R"({"vocab": [["a", 0, 0]]})", R"({"vocab": [["a", true]]})", R"({"vocab": [[["a", 0]]]})",
        R"({"vocab": ["a", 0]})", R"({"vocab": [{"a": 0}]})", R"({"vocab": [null]})", R"({"vocab": [["a", null]]})",
        R"({"vocab": [["a", 0]], "unk_id": -1})"}) {
    io::Json json = io::Json::parse(bad);
    if (!json.contains("unk_id")) json["unk_id"] = 0;
    const std::string text = R"({"model": )" + json.dump() + "}";
    EXPECT_THROW((void)Tokenizer::parse(text, "bad"), Error) << text;
  }
  const Tokenizer good =
      Tokenizer::parse(R"({"model": {"unk_id": 0, "vocab": [["a", 0], ["b", -1.5], ["c", -1]]}})", "good");
  EXPECT_EQ(good.encode("cab").ids, (Ids{2, 0, 1}));
}

TEST(PieceTrie, FindsWhatASearchOfAllFinds) {
  std::mt19937 random(1);
  const auto text = [&](std::size_t longest, unsigned letters) {
    std::string s(random() % longest + 1, ' ');
    for (char& c : s) c = static_cast<char>(letters > 200 ? random() % 256 : 'a' + random() % letters);
    return s;
  };
  for (const unsigned letters : {1u, 2u, 5u, 255u}) {
    std::map<std::string, std::uint32_t> known;
    for (int i = 0; i < 3000; ++i) known.emplace(text(12, letters), 0);
    std::vector<std::string_view> pieces;
    for (auto& [piece, index] : known) index = static_cast<std::uint32_t>(pieces.size()), pieces.push_back(piece);
    const PieceTrie trie(pieces);
    int found = 0;
    for (int i = 0; i < 3000; ++i) {
      const std::string s = i % 2 ? text(20, letters) : std::string(pieces[random() % pieces.size()]) + text(4, letters);
      std::vector<std::pair<std::uint32_t, std::size_t>> got, want;
      trie.find(s, [&](std::uint32_t index, std::size_t length) { got.emplace_back(index, length); });
      for (std::size_t n = 1; n <= s.size(); ++n)
        if (const auto at = known.find(s.substr(0, n)); at != known.end()) want.emplace_back(at->second, n);
      ASSERT_EQ(got, want) << letters << " '" << s << "'";
      found += !want.empty();
    }
    EXPECT_GT(found, 1000);
  }
  int calls = 0;
  PieceTrie(std::vector<std::string_view>{}).find("a", [&](std::uint32_t, std::size_t) { ++calls; });
  PieceTrie().find("a", [&](std::uint32_t, std::size_t) { ++calls; });
  EXPECT_EQ(calls, 0);
}

TEST(PieceTrie, OfEqualPiecesTheLastAndNoEmptyOnes) {
  std::vector<std::pair<std::uint32_t, std::size_t>> got;
  PieceTrie(std::vector<std::string_view>{"", "ab", "a", "ab", "", "a"})
      .find("abc", [&](std::uint32_t index, std::size_t length) { got.emplace_back(index, length); });
  EXPECT_EQ(got, (std::vector<std::pair<std::uint32_t, std::size_t>>{{5, 1}, {3, 2}}));
}

TEST(PieceTrie, RefusesMoreTextThanItsNumbersHold) {
  const std::string mebibyte(std::size_t{1} << 20, 'a');
  try {
    PieceTrie(std::vector<std::string_view>(2048, mebibyte));
    FAIL() << "2 GiB accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kLimit);
  }
}

TEST(Unigram, OneLongPieceTakesLinearTime) {
  HostVector<ScoredPiece> pieces = {{"<unk>", 0}};
  for (std::size_t n = 1; n <= 16; ++n) pieces.push_back({std::string(n, 'a'), -static_cast<double>(n)});
  const Case c(pieces, {.unk = 0});
  for (const char* unit : {"a", "b", "\xe2\x80\x8d", "ab"}) {
    std::string text;
    while (text.size() < (std::size_t{1} << 20)) text += unit;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(c.tokens(text).empty());
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 60)
        << unit;  // squared: hours
  }
}

}  // namespace
}  // namespace tessera::text
