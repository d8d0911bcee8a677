// Which folders are JinaBERT's, and what such a stack refuses. Its numbers: tiny_text_test.cpp.
#include <tessera/models/families/jina_bert.hpp>

#include <gtest/gtest.h>

#include <tessera/models/auto_model.hpp>
#include "support/errors.hpp"
#include "support/stack.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

io::Json config_of(const char* folder) { return io::ModelFolder::open(std::string(TESSERA_GOLDENS "/") + folder).config(); }

TEST(JinaBert, IsWhatNamesItsClasses) {
  const io::Json jina = config_of("tiny_jina/four_heads");
  EXPECT_TRUE(models::names_jina_bert(jina));
  EXPECT_FALSE(models::names_jina_bert(config_of("tiny_bert/plain_h20")));
  EXPECT_FALSE(
      models::names_jina_bert(io::parse_json(R"({"auto_map": "JinaBertModel", "architectures": [1, null]})", "test")));
  for (const char* key : {"architectures", "auto_map"}) {  // either is enough: what a copied folder keeps differs
    io::Json one = jina;
    one.erase(key);
    EXPECT_TRUE(models::names_jina_bert(one)) << key;
  }
}
TEST(JinaBert, IsNotReadAsBert) {
  Context ctx(1);
  const io::ModelFolder folder = io::ModelFolder::open(TESSERA_GOLDENS "/tiny_jina/four_heads");
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "'alibi'", (void)models::load_bert(ctx, folder, folder.config(), {}));
  io::Json other = folder.config();  // whose code is not known
  other.erase("architectures"), other.erase("auto_map");
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "'alibi'", (void)models::load_bert_or_jina(ctx, folder, other, {}));
}
TEST(JinaBert, RefusesWhatItHasNot) {
  io::Json json = config_of("tiny_jina/four_heads");
  json["feed_forward_type"] = "swiglu";
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "feed_forward_type 'swiglu'", (void)models::jina_bert_config(json));
  json = config_of("tiny_jina/four_heads");
  json["position_embedding_type"] = "relative_key";
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "'relative_key'", (void)models::jina_bert_config(json));
}
TEST(JinaBert, HasTheLengthThatItsConfigSays) {
  Context ctx(1);
  for (const char* name : {"four_heads", "qk_norm_positions"}) {
    const auto folder = io::ModelFolder::open(std::string(TESSERA_GOLDENS "/tiny_jina/") + name);
    EXPECT_EQ(models::load_text_model(ctx, folder).max_length, 50) << name;
  }
}
TEST(Alibi, NeedsThePlacesOfAllTokensAndNoTableBeside) {
  Context ctx(1);
  models::TransformerConfig config = small_stacks()[0].config;
  config.alibi = true;
  const Texts texts({3, 5}, config.vocab_size, 1);
  const models::Transformer model = StackData(config, {}, 3).model(ctx);
  Matrix out(texts.tokens(), config.block.channels, 0);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "biases by distance",
                       (void)model.forward_merged(ctx, texts.inputs(), out.out(), models::TokenMerging{}));
  config.relative_buckets = 8, config.relative_max_distance = 20;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "either", (void)StackData(config, {}, 3).model(ctx));
}

}  // namespace
