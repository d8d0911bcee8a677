// Every recorded line of the tokenizers package, exactly: ids, offsets, masks, overflow, decoded text, errors.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text.hpp>
#include "support/gzip.hpp"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;
using test::read_gzip;
using test::read_gzip_lines;

/// The folder of the named fixtures, which hold public vocabularies and are not part of the project; "" when absent.
std::string named_fixtures() {
  const char* set = std::getenv("TESSERA_FIXTURES");
  const std::string root = set ? set : std::string(TESSERA_TEST_DATA) + "/../../../shared/data";
  return fs::is_directory(root + "/tokenizers") ? root + "/tokenizers" : "";
}

struct Counts {
  int lines = 0, wrong = 0;
  void report(const std::string& what) { std::cout << what << ": " << lines << " lines, " << wrong << " wrong\n"; }
};

template <class T>
std::vector<T> list(const io::Json& json) {
  return json.get<std::vector<T>>();
}

bool same_offsets(const Encoding& e, const io::Json& want) {
  if (e.offsets.size() != want.size()) return false;
  for (std::size_t i = 0; i < want.size(); ++i)
    if (e.offsets[i][0] != want[i][0].get<std::int64_t>() || e.offsets[i][1] != want[i][1].get<std::int64_t>()) return false;
  return true;
}

void complain(Counts& counts, const std::string& what, const std::string& line) {
  if (++counts.wrong <= 3) ADD_FAILURE() << what << ": " << line.substr(0, 600);
}

void check_golden(const Tokenizer& t, const std::string& path, Counts& counts) {
  EncodeOptions plain;
  plain.truncation = plain.padding = false;
  for (const std::string& line : read_gzip_lines(path)) {
    const io::Json want = io::Json::parse(line);
    ++counts.lines;
    const std::string text = want["text"].get<std::string>();
    const Encoding e = t.encode(text, plain);
    std::vector<TokenId> ids;
    t.encode_ids(text, ids, 0);
    if (e.ids != list<TokenId>(want["ids"]) || ids != e.ids)
      complain(counts, path + " ids", line);
    else if (!same_offsets(e, want["offsets"]))
      complain(counts, path + " offsets", line);
    else if (want.contains("decoded") && t.decode(e.ids) != want["decoded"].get<std::string>())
      complain(counts, path + " decoded '" + t.decode(e.ids) + "'", line);
  }
}

Truncation truncation_of(const io::Json& j) {
  Truncation t;
  t.max_length = j["max_length"].get<std::size_t>();
  t.stride = j["stride"].get<std::size_t>();
  t.left = j["direction"] == "left";
  using Strategy = Truncation::Strategy;
  t.strategy = j["strategy"] == "only_first"    ? Strategy::only_first
               : j["strategy"] == "only_second" ? Strategy::only_second
                                                : Strategy::longest_first;
  return t;
}
Padding padding_of(const io::Json& j) {
  Padding p;
  p.length = j["length"].is_null() ? 0 : j["length"].get<std::size_t>();
  p.multiple_of = j["pad_to_multiple_of"].is_null() ? 0 : j["pad_to_multiple_of"].get<std::size_t>();
  p.left = j["direction"] == "left";
  p.id = j["pad_id"].get<TokenId>();
  p.type_id = j["pad_type_id"].get<std::int32_t>();
  return p;
}

bool same(const Encoding& e, const io::Json& want) {
  return e.ids == list<TokenId>(want["ids"]) && e.type_ids == list<std::int32_t>(want["type_ids"]) &&
         e.attention_mask == list<std::int32_t>(want["attention_mask"]) &&
         (!want.contains("special_tokens_mask") ||
          e.special_tokens_mask == list<std::int32_t>(want["special_tokens_mask"])) &&
         (!want.contains("offsets") || same_offsets(e, want["offsets"]));
}

void check_pairs(Tokenizer& t, const std::string& path, Counts& counts) {
  for (const std::string& line : read_gzip_lines(path)) {
    const io::Json want = io::Json::parse(line);
    if (want.contains("hf_underflow")) continue;  // the reference subtracts below 0 there
    ++counts.lines;
    EncodeOptions o;
    o.add_special_tokens = want["add_special_tokens"].get<bool>();
    try {
      t.set_truncation(want.contains("truncation") && !want["truncation"].is_null()
                           ? std::optional(truncation_of(want["truncation"]))
                           : std::nullopt);
      t.set_padding(want.contains("padding") && !want["padding"].is_null() ? std::optional(padding_of(want["padding"]))
                                                                           : std::nullopt);
      const std::string a = want["a"].get<std::string>();
      const Encoding e = want["b"].is_null() ? t.encode(a, o) : t.encode_pair(a, want["b"].get<std::string>(), o);
      bool good = !want.contains("error") && same(e, want);
      if (good && want.contains("overflowing")) {
        const io::Json& over = want["overflowing"];
        good = over.size() == e.overflowing.size();
        for (std::size_t i = 0; good && i < over.size(); ++i)
          good = over[i].is_object() ? e.overflowing[i].ids == list<TokenId>(over[i]["ids"])
                                     : e.overflowing[i].ids == list<TokenId>(over[i]);
      }
      const auto& cut = t.truncation();
      if (good && o.add_special_tokens && !want["b"].is_null() && !t.padding() &&
          (!cut || cut->strategy == Truncation::Strategy::longest_first)) {
        std::vector<TokenId> ids;
        std::vector<std::int32_t> types;
        t.encode_pair_ids(a, want["b"].get<std::string>(), ids, types, cut ? static_cast<std::int64_t>(cut->max_length) : 0);
        good = ids == e.ids && types == e.type_ids;
      }
      if (!good) complain(counts, path, line);
    } catch (const Error& e) {
      if (!want.contains("error")) complain(counts, path + " threw " + e.what(), line);
    }
  }
}

void check_fixture(const std::string& folder, const std::string& name) {
  const std::string base = folder + "/" + name;
  Tokenizer t = Tokenizer::parse(read_gzip(base + ".tokenizer.json.gz"), name);
  if (fs::exists(base + ".as-shipped.jsonl.gz")) {
    Counts counts;
    for (const std::string& line : read_gzip_lines(base + ".as-shipped.jsonl.gz")) {
      const io::Json want = io::Json::parse(line);
      ++counts.lines;
      const Encoding e = t.encode(want["text"].get<std::string>());
      if (e.ids != list<TokenId>(want["ids"]) ||
          (want.contains("attention_mask") && e.attention_mask != list<std::int32_t>(want["attention_mask"])))
        complain(counts, name + " as shipped", line);
    }
    counts.report(name + " as shipped");
  }
  Counts golden, pairs;
  check_golden(t, base + ".golden.jsonl.gz", golden);
  golden.report(name + " golden");
  EXPECT_GT(golden.lines, 400);
  if (!fs::exists(base + ".pairs.jsonl.gz")) return;
  check_pairs(t, base + ".pairs.jsonl.gz", pairs);
  pairs.report(name + " pairs");
  EXPECT_GT(pairs.lines, 30);
}

/// Names of the fixtures in a folder, sorted.
std::vector<std::string> fixtures_in(const std::string& folder) {
  static const std::string kEnd = ".tokenizer.json.gz";
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(kEnd)) names.push_back(file.substr(0, file.size() - kEnd.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

const std::string kSynthetic = std::string(TESSERA_TEST_DATA) + "/tokenizers/synth";
class Synthetic : public ::testing::TestWithParam<std::string> {};
TEST_P(Synthetic, EveryLine) { check_fixture(kSynthetic, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Fixtures, Synthetic, ::testing::ValuesIn(fixtures_in(kSynthetic)));
TEST(Synthetic, AllAreThere) { EXPECT_EQ(fixtures_in(kSynthetic).size(), 67u); }

// Made by make_more.py, with components and options that the others lack.
const std::string kMore = std::string(TESSERA_TEST_DATA) + "/tokenizers/more";
class More : public ::testing::TestWithParam<std::string> {};
TEST_P(More, EveryLine) { check_fixture(kMore, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Fixtures, More, ::testing::ValuesIn(fixtures_in(kMore)));

TEST(Named, EveryLineOfThosePresent) {
  const std::string folder = named_fixtures();
  constexpr int kAll = 20;
  int run = 0;
  if (!folder.empty())
    for (const std::string& name : fixtures_in(folder)) {
      ++run;
      try {
        check_fixture(folder, name);
      } catch (const Error& e) {
        ADD_FAILURE() << name << ": " << e.what();
      }
    }
  std::cout << "named fixtures: " << run << " run, " << kAll - run << " absent (TESSERA_FIXTURES names their folder)\n";
}

}  // namespace
}  // namespace tessera::text
