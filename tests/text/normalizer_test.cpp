// Normalizers by themselves: every recorded line of the byte-per-token fixtures, whose ids and offsets are the normalised
// bytes and where each came from; and what no fixture can say.
#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text/byte_alphabet.hpp>
#include <tessera/text/normalizer.hpp>
#include "support/gzip.hpp"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;

std::string data_folder() { return std::string(TESSERA_TEST_DATA) + "/tokenizers/"; }

NormalizedText run(const Normalizer& n, std::string_view text, std::uint32_t offset = 0) {
  NormalizedText in, out;
  in.tracked = true;
  in.assign(text, offset);
  n.normalize(in, out);
  EXPECT_EQ(out.bytes.size(), out.origin.size());
  // Ids alone are asked for without origins: the text must be the same.
  NormalizedText plain, plain_out;
  plain.assign(text, offset);
  n.normalize(plain, plain_out);
  EXPECT_EQ(plain_out.bytes, out.bytes);
  EXPECT_TRUE(plain_out.origin.empty());
  return out;
}

std::string normal(const io::Json& json, std::string_view text, const NormalizerOptions& options = {}) {
  const auto n = make_normalizer(json, options);
  return run(*n, text).bytes;
}

/// Tokenizers of one token a byte: a BPE without merges behind ByteLevel.
std::vector<std::string> byte_fixtures() {
  std::vector<std::string> names;
  for (const char* folder : {"synth", "more"})
    for (const auto& entry : fs::directory_iterator(data_folder() + folder)) {
      const std::string file = entry.path().filename().string(), end = ".tokenizer.json.gz";
      if (file.starts_with("norm-") && file.ends_with(end))
        names.push_back(std::string(folder) + "/" + file.substr(0, file.size() - end.size()));
    }
  std::sort(names.begin(), names.end());
  return names;
}

class ByteFixture : public ::testing::TestWithParam<std::string> {};

TEST_P(ByteFixture, EveryLine) {
  const io::Json json = io::Json::parse(test::read_gzip(data_folder() + GetParam() + ".tokenizer.json.gz"));
  const auto normalizer = make_normalizer(json["normalizer"]);
  ASSERT_TRUE(normalizer);
  std::vector<std::string> token(json["model"]["vocab"].size());  // by id
  for (const auto& [text, id] : json["model"]["vocab"].items()) token[id.get<std::size_t>()] = text;
  const bool mapped = !json["pre_tokenizer"].is_null();  // by ByteLevel; else a token is a character
  int lines = 0, wrong = 0;
  for (const std::string& line : test::read_gzip_lines(data_folder() + GetParam() + ".golden.jsonl.gz")) {
    const io::Json want = io::Json::parse(line);
    const std::string text = want["text"].get<std::string>();
    if (text.find("[UNK]") != text.npos) continue;  // cut out before normalisation
    ++lines;
    const NormalizedText got = run(*normalizer, text);
    std::vector<std::int64_t> points(text.size() + 1);  // characters that begin before a byte
    for (std::size_t i = 0; i < text.size(); ++i)
      points[i + 1] = points[i] + ((static_cast<unsigned char>(text[i]) & 0xc0u) != 0x80);
    std::size_t at = 0, i = 0;
    bool good = true;
    for (; good && at < got.bytes.size() && i < want["ids"].size(); ++i) {
      const std::size_t n = mapped ? 1 : unicode::width(got.bytes[at]);
      std::string text_of = got.bytes.substr(at, n);
      if (mapped) {
        text_of = detail::ByteAlphabet::get().of(static_cast<unsigned char>(text_of[0]));
      }
      const Span from = got.range(at, at + n);
      good = token[want["ids"][i].get<std::size_t>()] == text_of &&
             points[from.begin] == want["offsets"][i][0].get<std::int64_t>() &&
             points[from.end] == want["offsets"][i][1].get<std::int64_t>();
      at += n;
    }
    good = good && at == got.bytes.size() && i == want["ids"].size();
    if (!good && ++wrong <= 3) ADD_FAILURE() << "got '" << got.bytes << "' for " << line.substr(0, 600);
  }
  EXPECT_GT(lines, 300);
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ByteFixture, ::testing::ValuesIn(byte_fixtures()), [](const auto& fixture) {
  std::string name = fixture.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

TEST(Normalizer, LongTextTakesLinearTime) {
  for (const std::string& name : byte_fixtures()) {
    const auto n =
        make_normalizer(io::Json::parse(test::read_gzip(data_folder() + name + ".tokenizer.json.gz"))["normalizer"]);
    for (const char* unit :
         {"a", " ", "\xcc\x81", "\xcc\xa3\xcc\x81", "\xf0\x9f\x91\xa9\xe2\x80\x8d", "\xe0\xa4\x95\xe0\xa5\x8d"}) {
      NormalizedText in, out;
      while (in.bytes.size() < (std::size_t{1} << 20)) in.bytes += unit;
      const auto start = std::chrono::steady_clock::now();
      n->normalize(in, out);
      EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 60)  // squared: hours
          << name << " '" << unit << "'";
    }
  }
}

TEST(Normalizer, OriginsAreThoseOfTheWholeText) {
  const NormalizedText got = run(*make_normalizer({{"type", "NFD"}}), "a\xc3\xa9", 40);
  ASSERT_EQ(got.bytes, "ae\xcc\x81");
  EXPECT_EQ(got.range(0, 1).begin, 40u);
  EXPECT_EQ(got.range(1, 4).begin, 41u);
  EXPECT_EQ(got.range(1, 4).end, 43u);
}

TEST(Normalizer, NulIsText) {
  const std::string nul("a\0b", 3);
  for (const char* type : {"NFC", "NFKD", "Lowercase", "StripAccents", "Nmt"})
    EXPECT_EQ(normal({{"type", type}}, nul), nul) << type;
}

// Here the tokenizers package encodes nothing, it panics; this is what its normalizer alone gives.
TEST(Normalizer, ReplacesEmptyMatches) {
  const auto replace = [](const char* kind, const char* pattern) {
    return io::Json{{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", "-"}};
  };
  EXPECT_EQ(normal(replace("String", ""),
                   "\xc3\xa9"
                   "b"),
            "-\xc3\xa9-b-");
  EXPECT_EQ(normal(replace("Regex", "b*"), "bab"), "-a-");
  EXPECT_EQ(normal(replace("Regex", "a*"), "ab"), "-b-");
  EXPECT_EQ(normal(replace("Regex", "(?=b)"), "bab"), "-ba-b");
  EXPECT_EQ(normal(replace("String", ""), ""), "");
}

// Keys "a" + acute, "ab" and the acute accent alone; the values are texts.
TEST(Normalizer, CharsmapByClusterOrByLongestKey) {
  const io::Json fixture = io::Json::parse(test::read_gzip(data_folder() + "more/norm-precompiled.tokenizer.json.gz"));
  const io::Json& json = fixture["normalizer"];
  const NormalizerOptions longest{.longest_charsmap_match = true};
  EXPECT_EQ(normal(json, "ab"), "ab");  // two clusters
  EXPECT_EQ(normal(json, "ab", longest), "BA");
  EXPECT_EQ(normal(json, "e\xcc\x81"), "E");  // the shortest key takes the cluster, mark and all
  EXPECT_EQ(normal(json, "e\xcc\x81", longest), "\xc3\xa9");
  EXPECT_EQ(normal(json, "\xef\xac\x81x\xc2\xadz", longest), "fiz");
}

TEST(Normalizer, RefusesByName) {
  const auto code = [](const io::Json& json) -> std::optional<Code> {
    try {
      (void)make_normalizer(json);
    } catch (const Error& e) {
      return e.code();
    }
    return std::nullopt;
  };
  EXPECT_EQ(code({{"type", "Nonsense"}}), Code::kUnsupported);
  EXPECT_EQ(code({{"type", "Replace"}, {"content", "x"}}), Code::kFormat);
  EXPECT_EQ(code({{"type", "Prepend"}}), Code::kFormat);
  EXPECT_EQ(code({{"type", "Sequence"}}), Code::kFormat);
  for (const char* blob : {"AAA", "AAAA", "AAA$", "/////w==", "BAAAAAAAAAD/", "AwAAAAAAAAA=", "BAAAAAAAAAB=", "=AAA"})
    EXPECT_EQ(code({{"type", "Precompiled"}, {"precompiled_charsmap", blob}}), Code::kFormat) << blob;
}

}  // namespace
}  // namespace tessera::text
