// Folders without a tokenizer.json, tokens that only other files have, contracts, and encoding by many threads.
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text.hpp>
#include "support/gzip.hpp"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;

class TokenizerFolder : public ::testing::Test {
 protected:
  TokenizerFolder() : folder_(::testing::TempDir() + "/tokenizer_folder") {
    fs::remove_all(folder_), fs::create_directories(folder_);
  }
  ~TokenizerFolder() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  std::string folder_;
};

const std::string kSynth = std::string(TESSERA_TEST_DATA) + "/tokenizers/synth/";

// vocab.json and merges.txt of a recorded tokenizer give its ids, as GPT-2's class and as none.
TEST_F(TokenizerFolder, VocabAndMerges) {
  const io::Json file = io::Json::parse(test::read_gzip(kSynth + "bpe-digits-bytelevel.tokenizer.json.gz"));
  std::string merges = "#version: 0.2\n";
  for (const io::Json& m : file["model"]["merges"])
    merges += (m.is_string() ? m.get<std::string>() : m[0].get<std::string>() + " " + m[1].get<std::string>()) + "\n";
  write("vocab.json", file["model"]["vocab"].dump());
  write("merges.txt", merges);
  io::Json same = file;
  same["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Tokenizer want = Tokenizer::parse(same.dump(), "same");
  for (const char* config : {"", R"({"tokenizer_class": "GPT2Tokenizer"})"}) {
    if (*config) write("tokenizer_config.json", config);
    const Tokenizer t = Tokenizer::load(folder_);
    for (const std::string text : {"the cat's 12 hats  are\n\n here", "\xe4\xb8\xad\xe6\x96\x87 caf\xc3\xa9", " ", ""})
      EXPECT_EQ(t.encode(text).ids, want.encode(text).ids) << text;
  }
  write("tokenizer_config.json", R"({"tokenizer_class": "FooTokenizer"})");
  EXPECT_THROW((void)Tokenizer::load(folder_), Error);
  write("tokenizer_config.json", "{}");
  write("merges.txt", "a b c\n");
  EXPECT_THROW((void)Tokenizer::load(folder_), Error);
}

TEST_F(TokenizerFolder, TokensOfOtherFilesAreAdded) {
  write("tokenizer.json", test::read_gzip(kSynth + "bpe-digits-bytelevel.tokenizer.json.gz"));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"9000": {"content": "<new>", "special": true}}})");
  write("added_tokens.json", R"({"<more>": 9001})");
  const Tokenizer t = Tokenizer::load(folder_);
  EXPECT_EQ(t.encode("<new><more>").ids, (std::vector<TokenId>{9000, 9001}));
  EXPECT_EQ(t.decode(std::vector<TokenId>{9000, 9001}), "<more>");
  EXPECT_NE(Tokenizer::load(folder_, {.strict_file = true}).encode("<new>").ids, (std::vector<TokenId>{9000}));
}

// What transformers makes of special tokens that tokenizer_config.json or special_tokens_map.json name.
TEST_F(TokenizerFolder, NamedSpecialTokensAreAdded) {
  const io::Json recorded = io::read_json(std::string(TESSERA_TEST_DATA) + "/tokenizers/folders.json");
  for (const auto& [name, folder] : recorded["folders"].items()) {
    fs::remove_all(folder_), fs::create_directories(folder_);
    write("tokenizer.json", test::read_gzip(kSynth + recorded["tokenizer"].get<std::string>() + ".tokenizer.json.gz"));
    for (const auto& [file, content] : folder["files"].items()) write(file, content.dump());
    const Tokenizer t = Tokenizer::load(folder_);
    for (std::size_t i = 0; i < recorded["texts"].size(); ++i) {
      const auto text = recorded["texts"][i].get<std::string>();
      const std::vector<TokenId> ids = t.encode(text).ids;
      EXPECT_EQ(ids, folder["ids"][i].get<std::vector<TokenId>>()) << name << ": " << text;
      EXPECT_EQ(t.decode(ids), folder["without_special"][i].get<std::string>()) << name << ": " << text;
    }
  }
}

// Tokens of added_tokens.json are special when the configuration names them.
TEST_F(TokenizerFolder, NamedTokensOfAddedTokensAreSpecial) {
  write("tokenizer.json", test::read_gzip(kSynth + "bpe-digits-bytelevel.tokenizer.json.gz"));
  write("added_tokens.json", R"({"<more>": 9001, "<end>": 9002})");
  write("special_tokens_map.json", R"({"eos_token": "<end>"})");
  const Tokenizer t = Tokenizer::load(folder_);
  EXPECT_EQ(t.encode("<more><end>").ids, (std::vector<TokenId>{9001, 9002}));
  EXPECT_EQ(t.decode(std::vector<TokenId>{9001, 9002}), "<more>");
  for (const char* broken : {"[]", R"({"eos_token": {"content": 3}})"}) {
    write("special_tokens_map.json", broken);
    EXPECT_THROW((void)Tokenizer::load(folder_), Error) << broken;
  }
}

// tokenizer.json alone does not even read what stands beside it.
TEST_F(TokenizerFolder, StrictFileIgnoresOtherFiles) {
  write("tokenizer.json", test::read_gzip(kSynth + "bpe-digits-bytelevel.tokenizer.json.gz"));
  write("special_tokens_map.json", "[]");
  EXPECT_THROW((void)Tokenizer::load(folder_), Error);
  EXPECT_NO_THROW((void)Tokenizer::load(folder_, {.strict_file = true}));
}

// Each list is looked through once: in pairs, a hundred thousand names each would take minutes.
TEST_F(TokenizerFolder, LongListsOfNamedTokens) {
  write("tokenizer.json", test::read_gzip(kSynth + "bpe-digits-bytelevel.tokenizer.json.gz"));
  io::Json added, named;
  for (int i = 0; i < 100000; ++i)
    added["<a" + std::to_string(i) + ">"] = 5000 + i, named.push_back("<n" + std::to_string(i) + ">");
  write("added_tokens.json", added.dump());
  write("special_tokens_map.json", io::Json{{"additional_special_tokens", named}}.dump());
  const Tokenizer t = Tokenizer::load(folder_);
  EXPECT_EQ(t.encode("<a0><n0><n99999>").ids, (std::vector<TokenId>{5000, 105000, 204999}));
}

TEST(TokenizerOptions, LongestCharsmapMatch) {
  const std::string file =
      test::read_gzip(std::string(TESSERA_TEST_DATA) + "/tokenizers/more/norm-precompiled.tokenizer.json.gz");
  const auto ids = [&](bool longest, const char* text) {
    return Tokenizer::parse(file, "charsmap", {.longest_charsmap_match = longest}).encode(text).ids;
  };
  EXPECT_EQ(ids(true, "ab"), ids(false, "BA"));  // the map has "ab", which is two clusters
  EXPECT_NE(ids(true, "ab"), ids(false, "ab"));
}

TEST(TextContract, ClipKeepsItsEndTokenAndPads) {
  Tokenizer t = Tokenizer::parse(test::read_gzip(kSynth + "post-roberta-trim.tokenizer.json.gz"), "clip-like");
  std::string text;
  for (int i = 0; i < 200; ++i) text += "word ";
  const TokenId end = t.encode("").ids.back();
  for (const auto& [contract, length, pad] :
       {std::tuple{TextContract::clip, 77u, end}, std::tuple{TextContract::open_clip, 77u, TokenId{0}},
        std::tuple{TextContract::siglip, 64u, TokenId{1}}, std::tuple{TextContract::siglip2, 64u, TokenId{0}}}) {
    t.set_contract(contract);
    const Encoding cut = t.encode(text), padded = t.encode("a");
    EXPECT_EQ(cut.size(), length);
    EXPECT_EQ(cut.ids.back(), end);
    EXPECT_EQ(padded.size(), length);
    EXPECT_EQ(padded.ids.back(), pad);
  }
}

// Caches and scratch memory are lent to one call at a time: same results from any number of threads.
TEST(TokenizerThreads, BatchesAreWhatSingleCallsGive) {
  const Tokenizer t = Tokenizer::parse(test::read_gzip(kSynth + "bpe-bytelevel-prefixspace.tokenizer.json.gz"), "batch");
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i)
    texts.push_back("text " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 90), 'a') + " end" +
                    std::string(1, '\0') + "x");
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  Context many(4);
  const auto batch = t.encode_batch(many, views);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Encoding one = t.encode(texts[i]);
    EXPECT_EQ(batch[i].ids, one.ids);
    EXPECT_EQ(batch[i].offsets, one.offsets);
  }
}

TEST(TokenizerErrors, SayWhereAndWhat) {
  const Tokenizer t = Tokenizer::parse(test::read_gzip(kSynth + "bpe-nounk.tokenizer.json.gz"), "errors");
  try {
    (void)t.encode("ab\xff");
    ADD_FAILURE() << "invalid UTF-8 was accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("byte 2"), std::string::npos) << e.what();
  }
  EncodeOptions repair;
  repair.replace_invalid = true;
  EXPECT_EQ(t.encode("ab\xff", repair).ids, t.encode("ab\xef\xbf\xbd").ids);
  for (const char* file :
       {R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}})",
        R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})",
        R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})",
        R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[1]}})",
        R"({"model":{"type":"Unigram","vocab":[["a"]],"unk_id":0}})",
        R"({"model":{"type":"Unigram","vocab":[["a",0]],"unk_id":1}})", R"({"model":{"type":"Foo","vocab":{}}})",
        R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.5}})"})
    EXPECT_THROW((void)Tokenizer::parse(file, "bad"), Error) << file;
}

}  // namespace
}  // namespace tessera::text
