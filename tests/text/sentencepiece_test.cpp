// Folders with a sentencepiece model and no tokenizer.json beside transformers' ids, and models that are none.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/text.hpp>
#include <tessera/text/sentencepiece_model.hpp>
#include "support/errors.hpp"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;

const fs::path kFolders = fs::path(TESSERA_GOLDENS) / "sentencepiece";

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::optional<Code> refusal(std::string_view bytes) {
  try {
    (void)SentencePieceModel::parse(bytes);
  } catch (const Error& e) {
    return e.code();
  }
  return {};
}

// A field of Protocol Buffers, whose tag and size are below 128.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>((number << 3) | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string piece(const std::string& text, float score, int type) {
  std::string bytes = field(1, text) + '\x15' + std::string(4, '\0') + '\x18' + static_cast<char>(type);
  std::memcpy(bytes.data() + bytes.size() - 6, &score, 4);
  return field(1, bytes);
}

TEST(SentencePiece, FoldersGiveTransformersIds) {
  int folders = 0;
  for (const auto& entry : fs::directory_iterator(kFolders)) {
    ++folders;
    const io::Json golden = io::read_json(entry.path() / "golden.json");
    const Tokenizer t = Tokenizer::load(entry.path());
    EXPECT_EQ(t.vocab_size(), golden["size"].get<std::size_t>()) << entry.path();
    for (const io::Json& c : golden["texts"]) {
      const std::string text = c["text"].get<std::string>();
      EXPECT_EQ(io::Json(t.encode(text).ids), c["ids"]) << entry.path() << ": " << text;
    }
    for (const io::Json& c : golden["pairs"]) {
      const Encoding e = t.encode_pair(c["first"].get<std::string>(), c["second"].get<std::string>());
      EXPECT_EQ(io::Json(e.ids), c["ids"]) << entry.path();
      EXPECT_EQ(io::Json(e.type_ids), c["types"]) << entry.path();
    }
  }
  EXPECT_EQ(folders, 7);
}

TEST(SentencePiece, PiecesOfTheFile) {
  const SentencePieceModel m = SentencePieceModel::parse(
      piece("<unk>", 0, 2) + piece("</s>", 0, 3) + piece("\xe2\x96\x81", -1.5f, 1) + field(1, field(1, "plain")) +
      piece("<mine>", 0, 4) + field(9, "what newer ones may have") + field(3, field(1, "name") + field(2, "map")));
  ASSERT_EQ(m.pieces.size(), 5u);
  EXPECT_EQ(m.pieces[2].text, "\xe2\x96\x81");
  EXPECT_EQ(m.pieces[2].score, -1.5);
  EXPECT_EQ(m.pieces[3].text, "plain");
  EXPECT_EQ(m.unk, 0u);
  EXPECT_EQ(m.control, std::vector<std::size_t>{1});
  EXPECT_EQ(m.user_defined, std::vector<std::size_t>{4});
  EXPECT_EQ(m.charsmap, "map");
  EXPECT_TRUE(m.unigram);
  EXPECT_FALSE(m.byte_fallback);
  const std::string unk = piece("<unk>", 0, 2);
  EXPECT_FALSE(SentencePieceModel::parse(unk + field(2, {3 << 3, 2})).unigram);
  EXPECT_TRUE(
      SentencePieceModel::parse(unk + field(2, {static_cast<char>((35 << 3 & 0x7f) | 0x80), 35 >> 4, 1})).byte_fallback);
}

TEST(SentencePiece, WhatIsNoModelIsRefused) {
  const std::string unk = piece("<unk>", 0, 2);
  EXPECT_EQ(refusal(unk), std::nullopt);
  for (const std::string& bad :
       {std::string(), piece("a", 0, 1), unk + unk, unk + piece("", 0, 1), unk + piece("\xff", 0, 1),
        unk + piece("a", __builtin_nanf(""), 1), unk + piece("a", __builtin_inff(), 1), unk + std::string("\x0b"),
        unk + std::string("\x0a\x7f"), unk + std::string("\x00\x00", 2), unk + '\x08' + std::string(10, '\xff'),
        unk + std::string("\x08"), unk + std::string("\x0d\x01"), unk + std::string("\x09\x01")})
    EXPECT_EQ(refusal(bad), Code::kFormat) << bad.substr(unk.size() < bad.size() ? unk.size() : 0);
  // Cut anywhere, a real one is refused or has lost what comes last.
  const std::string whole = bytes_of(kFolders / "t5" / "spiece.model");
  const std::size_t pieces = SentencePieceModel::parse(whole).pieces.size();
  std::size_t refused = 0;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    try {
      EXPECT_LE(SentencePieceModel::parse(std::string_view(whole).substr(0, n)).pieces.size(), pieces);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kFormat);
      ++refused;
    }
  }
  EXPECT_GT(refused, whole.size() / 2);
}

class SentencePieceFolder : public ::testing::Test {
 protected:
  SentencePieceFolder() : folder_(::testing::TempDir() + "/sentencepiece_folder") {
    fs::remove_all(folder_), fs::create_directories(folder_);
  }
  ~SentencePieceFolder() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  std::string folder_;
};

TEST_F(SentencePieceFolder, WhatIsNotSupportedIsNamed) {
  const std::string unk = piece("<pad>", 0, 3) + piece("</s>", 0, 3) + piece("<unk>", 0, 2);
  write("spiece.model", unk);
  const auto load = [&] { (void)Tokenizer::load(folder_); };
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "no tokenizer_class and no model_type", load());
  write("config.json", R"({"model_type": "llama"})");
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "model_type 'llama' with spiece.model", load());
  write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizerFast"})");
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "tokenizer_class 'LlamaTokenizer'", load());
  write("tokenizer_config.json", R"({"tokenizer_class": "T5TokenizerFast"})");
  EXPECT_NO_THROW(load());
  for (const char* none : {R"({"tokenizer_class": "T5Tokenizer", "eos_token": null})",
                           R"({"tokenizer_class": "XLMRobertaTokenizer", "mask_token": null})",
                           R"({"tokenizer_class": "DebertaV2Tokenizer", "sep_token": ""})"}) {
    write("tokenizer_config.json", none);
    TESSERA_EXPECT_ERROR(Code::kFormat, "tokenizer_config.json has no", load());
  }
  write("tokenizer_config.json", R"({"tokenizer_class": "T5TokenizerFast"})");
  write("spiece.model", unk + field(2, {3 << 3, 2}));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "not Unigram", load());
  write("spiece.model", unk + field(3, field(2, "no map")));
  TESSERA_EXPECT_ERROR(Code::kFormat, "precompiled_charsmap", load());
  write("spiece.model", piece("<unk>", 0, 2));  // T5's third piece is the unknown one
  TESSERA_EXPECT_ERROR(Code::kFormat, "its piece 0 is the unknown one", load());
  write("spiece.model", "version https://git-lfs.github.com/spec/v1\n");
  TESSERA_EXPECT_ERROR(Code::kFormat, "Git-LFS", load());
}

}  // namespace
}  // namespace tessera::text
