// Whole models with weights of bf16 and int8: near what transformers computes in f64, and the same bits on every instruction
// set.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/models.hpp>
#include "support/backends.hpp"

namespace tessera::models {
namespace {

// These models are as small as random ones come: int8 moves them further than any trained one.
double least_cosine(DType type) { return type == DType::bf16 ? 0.9998 : 0.998; }
const std::string kGoldens = TESSERA_GOLDENS;

double cosine_of(const float* got, const float* want, index_t n) {
  double dot = 0, a = 0, b = 0;
  for (index_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(got[i]), y = static_cast<double>(want[i]);
    dot += x * y, a += x * x, b += y * y;
  }
  return dot / std::sqrt(a * b);
}

class RoundedImage : public ::testing::TestWithParam<std::tuple<const char*, DType>> {};

TEST_P(RoundedImage, HiddenStatesAreNearTransformersAndTheSameBitsOnEveryIsa) {
  const auto [name, type] = GetParam();
  const std::string path = kGoldens + "/tiny_image/" + name;
  const auto golden = io::SafeTensors::open(path + "/golden.safetensors");
  const auto planes = golden.at("pixel_values").as<float, 4>();
  std::vector<ops::Pixels> images;
  for (index_t b = 0; b < planes.extent[0]; ++b) images.push_back({.planes = planes[b]});
  std::vector<float> first;
  for (const Isa isa : test::isas(type)) {
    Context ctx(isa, 2);
    const ImageModel model = load_image_model(ctx, io::ModelFolder::open(path), {.weights = type});
    EXPECT_EQ(model.transformer->config().block.attention.compute, DType::bf16);
    const auto cu = model.offsets(images);
    const index_t c = model.channels();
    std::vector<float> hidden(static_cast<std::size_t>(cu.back() * c), NAN);
    model.forward(ctx, images, View<float, 2>(hidden.data(), cu.back(), c));
    if (!first.empty()) {
      EXPECT_EQ(hidden, first) << isa_name(isa);
      continue;
    }
    first = hidden;
    const auto want = golden.at("last_hidden_state").as<float, 3>();
    double worst = 1;
    for (index_t b = 0; b < want.extent[0]; ++b)
      for (index_t t = 0; t < cu[static_cast<std::size_t>(b) + 1] - cu[static_cast<std::size_t>(b)]; ++t)
        worst = std::min(worst, cosine_of(hidden.data() + (cu[static_cast<std::size_t>(b)] + t) * c, &want(b, t, 0), c));
    std::cout << name << " in " << dtype_name(type) << ": least cosine " << worst << '\n';
    EXPECT_GE(worst, least_cosine(type));
    EXPECT_LT(worst, 1 - 1e-9);  // of f32 it would be nearer
    if (!golden.find("pooler_output")) continue;
    const auto pooled = golden.at("pooler_output").as<float, 2>();
    std::vector<float> got(static_cast<std::size_t>(pooled.size()), NAN);
    model.pool(ctx, View<float, 2>(hidden.data(), cu.back(), c),
               View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size())),
               View<float, 2>(got.data(), pooled.extent[0], pooled.extent[1]));
    for (index_t b = 0; b < pooled.extent[0]; ++b)
      EXPECT_GE(cosine_of(got.data() + b * pooled.extent[1], &pooled(b, 0), pooled.extent[1]), least_cosine(type));
  }
}
INSTANTIATE_TEST_SUITE_P(Folders, RoundedImage,
                         ::testing::Combine(::testing::Values("vit_p7", "deit_p7", "dinov2_p7", "dinov2_swiglu_bf16",
                                                              "dinov2_registers", "dinov3", "dinov3_gated", "clip",
                                                              "siglip"),
                                            ::testing::Values(DType::bf16, DType::i8)),
                         [](const auto& p) { return std::string(std::get<0>(p.param)) + dtype_name(std::get<1>(p.param)); });

TEST(MiniLMRounded, EmbeddingsAreNearSentenceTransformers) {
  const char* folder = std::getenv("TESSERA_MODEL_DIR");
  ASSERT_TRUE(folder && std::filesystem::exists(std::string(folder) + "/model.safetensors"))
      << "TESSERA_MODEL_DIR must name the folder of all-MiniLM-L6-v2; tests/run sets it";
  std::vector<std::string> texts;
  std::ifstream file(kGoldens + "/minilm_texts.jsonl");
  for (std::string line; std::getline(file, line);) texts.push_back(io::Json::parse(line).get<std::string>());
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto want = io::NpyFile::open(kGoldens + "/minilm_embeddings.npy");
  const auto rows = want.array().as<float, 2>();
  const auto look = [&](Context& ctx, DType type, double mean, double least) {
    const auto e = TextEncoder::load(ctx, folder, {.weights = type}).embed(ctx, views);
    EXPECT_EQ(e.rows, rows.extent[0]);
    double worst = 1, sum = 0;
    for (index_t r = 0; r < e.rows; ++r) {
      const double cosine = cosine_of(e.row(r).data(), &rows(r, 0), e.dim);
      worst = std::min(worst, cosine), sum += cosine;
    }
    sum /= static_cast<double>(e.rows);
    std::cout << isa_name(ctx.isa()) << (ctx.fast() ? " (fast), " : ", ") << dtype_name(type) << ": cosine " << sum
              << " in the mean, least " << worst << '\n';
    EXPECT_GE(sum, mean);
    EXPECT_GE(worst, least);
  };
  Context exact(2), fast(ContextOptions{.threads = 2, .fast = true});
  look(exact, DType::bf16, 0.9999, 0.9998);
  look(fast, DType::bf16, 0.9999, 0.9998);
  look(exact, DType::i8, 0.999, 0.995);
}

}  // namespace
}  // namespace tessera::models
