// What config.json of a DeBERTa may say, and what is refused by name.
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include <tessera/models/families/deberta.hpp>
#include "support/errors.hpp"

namespace tessera::models {
namespace {

TransformerConfig read(const std::string& more) {
  return deberta_config(io::parse_json(R"({"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 30,
      "num_hidden_layers": 2, "max_position_embeddings": 40)" +
                                           (more.empty() ? "" : ", " + more) + "}",
                                       "a test"));
}
void refused(const char* what, const std::string& more) { TESSERA_EXPECT_ERROR(Code::kUnsupported, what, (void)read(more)); }

TEST(DebertaConfig, RowsOfTheTableOfPlaces) {
  const std::string relative = R"("relative_attention": true, "pos_att_type": "p2c|c2p")";
  EXPECT_EQ(read("").block.position_rows, 0);
  EXPECT_EQ(read(R"("relative_attention": true)").block.position_rows, 0);
  EXPECT_EQ(read(R"("pos_att_type": ["c2p"])").block.position_rows, 0);
  EXPECT_EQ(read(relative).block.position_rows, 80);
  EXPECT_EQ(read(relative).position_log_distance, 0);
  EXPECT_EQ(read(relative + R"(, "max_relative_positions": 7)").block.position_rows, 14);
  const TransformerConfig c = read(relative + R"(, "position_buckets": 8)");
  EXPECT_EQ(c.block.position_rows, 16);
  EXPECT_EQ(c.position_log_distance, 40);
}
TEST(DebertaConfig, TheScaleCountsTheProductsEvenWithoutPlaces) {
  EXPECT_FLOAT_EQ(read("").block.attention.scale, 1 / std::sqrt(8.f));
  EXPECT_FLOAT_EQ(read(R"("pos_att_type": ["c2p"])").block.attention.scale, 1 / std::sqrt(16.f));
  EXPECT_FLOAT_EQ(read(R"("relative_attention": true, "pos_att_type": " P2C | c2p")").block.attention.scale,
                  1 / std::sqrt(24.f));
}
TEST(DebertaConfig, TablesOfPositionsAndTypes) {
  EXPECT_EQ(read("").max_positions, 40);
  EXPECT_EQ(read(R"("position_biased_input": false)").max_positions, 0);
  EXPECT_EQ(read("").segment_types, 0);
  EXPECT_EQ(read(R"("type_vocab_size": 2)").segment_types, 2);
}
TEST(DebertaConfig, AConvolutionIsOneOfTanhUnlessSaid) {
  EXPECT_EQ(read("").convolution, 0);
  EXPECT_EQ(read(R"("conv_kernel_size": 3)").convolution, 3);
  EXPECT_EQ(read(R"("conv_kernel_size": 3)").convolution_act, Activation::tanh);
  EXPECT_EQ(read(R"("conv_kernel_size": 3, "conv_act": "gelu")").convolution_act, Activation::gelu_erf);
}
TEST(DebertaConfig, RefusesWhatItHasNot) {
  refused("even conv_kernel_size", R"("conv_kernel_size": 2)");
  refused("conv_groups", R"("conv_kernel_size": 3, "conv_groups": 2)");
  refused("embedding_size", R"("embedding_size": 12)");
  refused("attention_head_size", R"("attention_head_size": 6)");
  refused("p2p", R"("pos_att_type": "c2p|p2p")");
  TESSERA_EXPECT_ERROR(Code::kFormat, "pos_att_type", (void)read(R"("pos_att_type": [3])"));
}

}  // namespace
}  // namespace tessera::models
