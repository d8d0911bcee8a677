// BPE by itself, over random vocabularies: against merging by the definition, around the length where the method changes,
// and in parts that are remembered.
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/text/bpe.hpp>
#include <tessera/text/byte_alphabet.hpp>
#include <tessera/text/piece_cache.hpp>

namespace tessera::text {
namespace {

using Ids = std::vector<TokenId>;
using Texts = std::vector<std::string>;

std::string fallback(unsigned char byte) {
  char name[8];
  (void)std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
  return name;
}

struct Case {
  Vocabulary vocabulary;
  std::map<std::pair<std::string, std::string>, std::size_t> ranks;
  MergeList merges;
  std::unique_ptr<Bpe> model;

  explicit Case(const Texts& tokens) {
    for (const std::string& t : tokens) add(t);
  }
  void add(const std::string& token) {
    if (vocabulary.find(token) < 0) vocabulary.add(token, static_cast<std::int64_t>(vocabulary.size()));
  }
  void add_fallbacks() {
    for (unsigned b = 0; b < 256; ++b) add(fallback(static_cast<unsigned char>(b)));
  }
  void merge(const std::string& left, const std::string& right) {
    if (!ranks.emplace(std::pair(left, right), ranks.size()).second) return;
    add(left + right);
    merges.add(left, right);
  }
  // Of any two tokens so far.
  void merge_some(int count, const Texts& first, std::mt19937& random) {
    Texts parts = first;
    for (int i = 0; i < count; ++i) {
      const auto any = [&] { return parts[random() % parts.size()]; };
      const std::string left = any(), right = any();
      if (left.size() + right.size() > 24) continue;
      merge(left, right);
      parts.push_back(left + right);
    }
  }
  void finish(const BpeSettings& settings) {
    vocabulary.end_model();
    vocabulary.index_ids();
    model = std::make_unique<Bpe>(vocabulary, merges, settings);
  }
  // The definition: of all pairs the first of the lowest rank.
  Texts by_definition(Texts symbols) const {
    for (;;) {
      std::size_t best = ranks.size(), at = 0;
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
        if (const auto found = ranks.find({symbols[i], symbols[i + 1]}); found != ranks.end() && found->second < best)
          best = found->second, at = i;
      if (best == ranks.size()) return symbols;
      symbols[at] += symbols[at + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
  }
  Ids ids(const Texts& tokens) const {
    Ids out;
    for (const std::string& t : tokens) out.push_back(vocabulary.find(t));
    return out;
  }
};

Ids ids_of(const std::vector<PieceToken>& tokens) {
  Ids out;
  for (const PieceToken& t : tokens) out.push_back(t.id);
  return out;
}

const Texts kAlphabet = {"a", "b", "c", "d", "e", "\u2581", "\u00e9", "\u4e2d", "\u6587", "\U0001F600"};

// Characters, and fallback bytes for those that are not in the alphabet.
std::string random_text(std::size_t characters, std::mt19937& random, Texts& symbols) {
  static const Texts kForeign = {"z", "\u0416", "\n"};
  std::string text;
  for (std::size_t i = 0; i < characters; ++i) {
    const bool foreign = random() % 12 == 0;
    const std::string& c = foreign ? kForeign[random() % kForeign.size()] : kAlphabet[random() % kAlphabet.size()];
    text += c;
    if (!foreign) symbols.push_back(c);
    for (std::size_t b = 0; foreign && b < c.size(); ++b) symbols.push_back(fallback(static_cast<unsigned char>(c[b])));
  }
  return text;
}

TEST(Bpe, MergesByTheDefinitionWhateverTheLengthAndTheParts) {
  std::mt19937 random(1);
  std::size_t parts_seen = 0;
  for (int round = 0; round < 60; ++round) {
    Case c(kAlphabet);
    c.add_fallbacks();
    Texts mergeable = kAlphabet;
    if (round % 3 == 1) mergeable.resize(5);  // the others never merge
    if (round % 3 == 2) mergeable.push_back(fallback('\n')), mergeable.push_back(fallback('z'));
    c.merge_some(round % 7 * 12, mergeable, random);
    c.finish({.byte_fallback = true});
    PieceCache cache;
    ModelScratch scratch;
    for (const std::size_t length : {1u, 2u, 7u, 29u, 40u, 63u, 64u, 65u, 200u}) {
      Texts symbols;
      const std::string text = random_text(length, random, symbols);
      const Ids want = c.ids(c.by_definition(symbols));
      std::vector<PieceToken> whole, cached;
      c.model->tokenize(text, scratch, whole);
      ASSERT_EQ(ids_of(whole), want) << text;
      for (int again = 0; again < 2; ++again) {
        cached.clear();
        cache.tokenize(*c.model, text, scratch, cached);
        ASSERT_EQ(ids_of(cached), want) << text;
        for (std::size_t i = 0; i < whole.size(); ++i) {
          ASSERT_EQ(cached[i].begin, whole[i].begin) << text;
          ASSERT_EQ(cached[i].end, whole[i].end) << text;
        }
      }
      ASSERT_EQ(whole.back().end, text.size());
      parts_seen += c.model->first_part(text) < text.size();
    }
  }
  EXPECT_GT(parts_seen, 100u);
}

TEST(Bpe, FallsApartWhereNoMergeJoins) {
  Case c(kAlphabet);
  c.add_fallbacks();
  c.merge("a", "b");
  c.merge("\u2581", "ab");
  c.finish({.byte_fallback = true});
  EXPECT_EQ(c.model->first_part("\u2581ab\u2581ab"), 5u);
  EXPECT_EQ(c.model->first_part("\u4e2d\u6587z\u2581ab"), 7u) << "characters that meet no other stay together";
  EXPECT_EQ(c.model->first_part("abab"), 2u);
  EXPECT_EQ(c.model->first_part("a"), 1u);
}

TEST(Bpe, StaysWholeWhereThatIsNotKnown) {
  const auto first_part = [](const BpeSettings& settings, bool fallbacks, bool of_fallback) {
    Case c(kAlphabet);
    if (fallbacks) c.add_fallbacks();
    c.merge("a", "b");
    if (of_fallback) c.merge(fallback('z'), "a");
    c.finish(settings);
    return c.model->first_part("cab");
  };
  EXPECT_EQ(first_part({.byte_fallback = true}, true, false), 1u);
  EXPECT_EQ(first_part({.byte_fallback = true}, true, true), 3u);
  EXPECT_EQ(first_part({.byte_fallback = true}, false, false), 3u) << "unknown characters that wait to be fused";
  EXPECT_EQ(first_part({}, true, false), 3u);
  EXPECT_EQ(first_part({.byte_fallback = true, .ignore_merges = true}, true, false), 3u);
}

TEST(Bpe, RawBytesMergeByTheDefinition) {
  std::mt19937 random(2);
  const auto& alphabet = detail::ByteAlphabet::get();
  for (const std::string suffix : {"", "</w>"})
    for (int round = 0; round < 20; ++round) {
      Texts bytes;
      for (unsigned b = 0; b < 256; ++b) bytes.emplace_back(alphabet.of(static_cast<unsigned char>(b)));
      Case c(bytes);
      for (const std::string& b : bytes) c.add(b + suffix);
      Texts few(bytes.begin() + 'a', bytes.begin() + 'f');
      for (std::size_t i = 0; i < 5 && !suffix.empty(); ++i) few.push_back(few[i] + suffix);
      c.merge_some(round * 6, few, random);
      c.finish({.suffix = suffix});
      ASSERT_TRUE(c.model->take_raw_bytes());
      ModelScratch scratch;
      for (const std::size_t length : {1u, 2u, 3u, 16u, 33u, 63u, 64u, 65u, 130u}) {
        std::string text;
        Texts symbols;
        for (std::size_t i = 0; i < length; ++i) {
          text += random() % 20 == 0 ? '\xe4' : static_cast<char>('a' + random() % 5);
          symbols.emplace_back(alphabet.of(static_cast<unsigned char>(text.back())));
        }
        symbols.back() += suffix;
        std::vector<PieceToken> got;
        c.model->tokenize(text, scratch, got);
        ASSERT_EQ(ids_of(got), c.ids(c.by_definition(symbols))) << text;
        ASSERT_EQ(got.back().end, text.size());
      }
    }
}

TEST(PairTable, IsAMap) {
  std::mt19937 random(3);
  PairTable<std::uint32_t> table;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> want;
  for (std::uint32_t i = 0; i < 20000; ++i) {
    const auto left = static_cast<std::uint32_t>(random() % 300), right = static_cast<std::uint32_t>(random() % 60) << 24;
    table.put(left, right, i);
    want[{left, right}] = i;
  }
  for (std::uint32_t left = 0; left < 310; ++left)
    for (std::uint32_t r = 0; r < 70; ++r) {
      const auto known = want.find({left, r << 24});
      const std::uint32_t* found = table.find(left, r << 24);
      ASSERT_EQ(found != nullptr, known != want.end()) << left << ' ' << r;
      if (found) {
        ASSERT_EQ(*found, known->second);
      }
    }
  std::size_t seen = 0;
  table.each([&](std::uint32_t left, std::uint32_t right, std::uint32_t v) {
    ++seen;
    EXPECT_EQ(v, (want[{left, right}]));
  });
  EXPECT_EQ(seen, want.size());
}

TEST(Bpe, TwoBytesMayHaveOneId) {
  Case c({});
  const auto& alphabet = detail::ByteAlphabet::get();
  for (unsigned b = 0; b < 256; ++b)
    c.vocabulary.add(alphabet.of(static_cast<unsigned char>(b)), b == 'b' ? 'a' : static_cast<std::int64_t>(b));
  c.vocabulary.add("ac", 300);
  c.merges.add("a", "c");
  c.finish({});
  ASSERT_TRUE(c.model->take_raw_bytes());
  ModelScratch scratch;
  std::vector<PieceToken> got;
  c.model->tokenize("acbcc", scratch, got);
  EXPECT_EQ(ids_of(got), (Ids{300, 300, 'c'})) << "merges go by ids";
}

}  // namespace
}  // namespace tessera::text
