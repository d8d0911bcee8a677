// The text towers of CLIP and SigLIP through TextEncoder: tokens, the row that stands for the text, its projection.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/dual_model.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/ops/norm.hpp>
#include "support/errors.hpp"

namespace tessera::models {
namespace {

namespace fs = std::filesystem;

// A folder of tiny_image with a tokenizer whose every text ends with token 98, as CLIP's does.
std::string folder(const std::string& name) {
  const fs::path made = fs::path(::testing::TempDir()) / ("tessera_text_" + name);
  fs::create_directories(made);
  for (const char* file : {"config.json", "model.safetensors"})
    fs::copy_file(TESSERA_GOLDENS "/tiny_image/" + name + "/" + file, made / file, fs::copy_options::overwrite_existing);
  std::ofstream(made / "tokenizer.json") << R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
    "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
    "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "end", "type_id": 0}}],
      "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
      "special_tokens": {"end": {"id": "end", "ids": [98], "tokens": ["end"]}}},
    "model": {"type": "WordPiece", "unk_token": "unk", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
      "vocab": {"unk": 3, "a": 10, "cat": 11, "dog": 12, "end": 98}}})";
  // The tokens that fill texts up are the tokenizer's, on its side; its class lowercases.
  if (name == "siglip2") std::ofstream(made / "tokenizer_config.json") << R"({"pad_token": "dog", "padding_side": "right"})";
  return made.string();
}

TEST(TextTower, EmbedsTheTokenThatStandsForTheText) {
  const std::vector<std::string_view> texts{"a cat", "dog", "",
                                            "a cat a dog a cat a dog a cat a dog a cat a dog a cat a dog"};
  Context ctx(2);
  for (const char* name : {"clip", "clip_old_eos_f16", "siglip", "siglip2"}) {
    const std::string path = folder(name);
    const auto encoder = TextEncoder::load(ctx, path);
    const Embeddings got = encoder.embed(ctx, texts);
    const TextModel model = load_text_model(ctx, io::ModelFolder::open(path));
    ASSERT_EQ(got.dim, model.head->projection.linear.weight.n());
    for (index_t i = 0; i < got.rows; ++i) {
      std::vector<std::int32_t> ids;
      encoder.tokenizer().encode_ids(texts[static_cast<std::size_t>(i)], ids, 16);
      ASSERT_EQ(ids.back(), 98);  // cut texts end so too
      if (std::string(name) == "siglip") ids.resize(16, 1);
      if (std::string(name) == "siglip2") ids.resize(16, 12);
      const auto n = static_cast<index_t>(ids.size()), c = model.transformer->config().block.channels;
      const std::vector<index_t> cu{0, n};
      TokenInputs in;
      in.ids = View<const std::int32_t, 1>(ids.data(), n);
      in.batch.cu_seqlens = View<const index_t, 1>(cu.data(), 2);
      std::vector<float> hidden(static_cast<std::size_t>(n * c)), row(static_cast<std::size_t>(got.dim));
      const View<float, 2> h(hidden.data(), n, c), r(row.data(), index_t{1}, got.dim);
      model.transformer->forward(ctx, in, h);
      model.embed(ctx, h, in.ids, in.batch.cu_seqlens, r);
      ops::l2_normalize(ctx, r, r);
      EXPECT_EQ(std::vector<float>(got.row(i).begin(), got.row(i).end()), row) << name << " " << i;
    }
    EXPECT_EQ(encoder.dim({.pooling = ops::Pooling::mean}), model.transformer->config().block.channels);
  }
}

TEST(TextTower, Siglip2LowercasesAndPadsOnItsSide) {
  Context ctx(1);
  const std::string path = folder("siglip2");
  std::ofstream(path + "/tokenizer_config.json") << R"({"pad_token": "a"})";  // and the class pads on the left
  const auto encoder = TextEncoder::load(ctx, path);
  const std::vector<std::string_view> texts{"CAT Dog"};
  const auto tokens = encoder.tokenize(ctx, texts, {});
  std::vector<std::int32_t> want(16, 10);
  want[13] = 11, want[14] = 12, want[15] = 98;
  EXPECT_EQ(tokens.ids, want);
}

TEST(TextTower, TwoTowersNeedOneScale) {
  Context ctx(1);
  const std::string path = folder("clip");
  const auto file = io::SafeTensors::open(path + "/model.safetensors");
  std::vector<io::NamedTensor> tensors;
  for (const std::string& name : file.names()) {
    AnyView v = file.at(name);
    if (name == "logit_scale") v.rank = 1, v.extent[0] = 0, v.bytes = 0;
    tensors.push_back({name, v});
  }
  io::write_safetensors(path + "/other.safetensors", tensors);
  fs::rename(path + "/other.safetensors", path + "/model.safetensors");
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "logit_scale", (void)load_dual_model(ctx, io::ModelFolder::open(path)));
}

}  // namespace
}  // namespace tessera::models
