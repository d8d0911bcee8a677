// Image to embedding: the same as processor, model and head by hand; the same bits alone and in company.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/models/image_encoder.hpp>
#include <tessera/ops/norm.hpp>
#include "support/errors.hpp"
#include "support/pictures.hpp"

namespace tessera::models {
namespace {

namespace fs = std::filesystem;

// A folder of tiny_image with a processor beside the weights.
class ImageEncoderTest : public ::testing::Test {
 protected:
  std::string folder(const std::string& name, const std::string& processor) {
    const fs::path made = fs::path(::testing::TempDir()) / ("tessera_" + name);
    fs::create_directories(made);
    for (const char* file : {"config.json", "model.safetensors"})
      fs::copy_file(TESSERA_GOLDENS "/tiny_image/" + name + "/" + file, made / file, fs::copy_options::overwrite_existing);
    std::ofstream(made / "preprocessor_config.json") << processor;
    return made.string();
  }
  static image::Image picture(const char* kind, index_t width, index_t height) {
    image::Image image(image::PixelFormat::rgb, height, width);
    image.pixels = test::draw(kind, width, height, 3);
    return image;
  }
  std::vector<image::Image> pictures_{picture("noise", 40, 31), picture("ramp", 28, 28), picture("checkers", 9, 77)};
  Context ctx_{2};
};

constexpr const char* kVit = R"({"image_processor_type": "ViTImageProcessor", "size": 28})";
constexpr const char* kDinov3 = R"({"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"shortest_edge": 28}})";
constexpr const char* kNaflex =
    R"({"image_processor_type": "Siglip2ImageProcessor", "patch_size": 6, "max_num_patches": 40})";
constexpr const char* kAspect =
    R"({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "do_center_crop": false})";

TEST_F(ImageEncoderTest, IsProcessorModelAndHead) {
  for (const auto& [name, config] : {std::pair("vit_p7", kVit),
                                     {"clip", kAspect},
                                     {"siglip", kAspect},
                                     {"dinov2_registers", kVit},
                                     {"dinov3", kDinov3},
                                     {"siglip2", kNaflex}}) {
    const auto encoder = ImageEncoder::load(ctx_, folder(name, config));
    const Embeddings got = encoder.embed(ctx_, pictures_);
    ASSERT_EQ(got.rows, 3);
    for (index_t i = 0; i < got.rows; ++i) {
      const image::Image& image = pictures_[static_cast<std::size_t>(i)];
      const auto size = encoder.processor().output_size(image.height, image.width);
      std::vector<float> values(static_cast<std::size_t>(3 * size.height * size.width), NAN);
      const View<float, 3> planes(values.data(), 3, size.height, size.width);
      encoder.processor().pixel_values(ctx_, image, planes);
      const ops::Pixels pixels{.planes = planes};
      const auto cu = encoder.model().offsets({&pixels, 1});
      EXPECT_EQ(cu[1], encoder.tokens(image.height, image.width));
      std::vector<float> hidden(static_cast<std::size_t>(cu[1] * encoder.model().channels()), NAN);
      const View<float, 2> h(hidden.data(), cu[1], encoder.model().channels());
      encoder.model().forward(ctx_, {&pixels, 1}, h);
      std::vector<float> row(static_cast<std::size_t>(got.dim), NAN);
      const View<float, 2> r(row.data(), index_t{1}, got.dim);
      if (encoder.model().has_embedding())
        encoder.model().embed(ctx_, h, View<const index_t, 1>(cu.data(), 2), r);
      else
        std::copy_n(hidden.data(), got.dim, row.data());
      ops::l2_normalize(ctx_, r, r);
      EXPECT_EQ(std::vector<float>(got.row(i).begin(), got.row(i).end()), row) << name << " " << i;
      const Embeddings alone = encoder.embed(ctx_, {&image, 1});
      EXPECT_EQ(alone.values, row) << name << " " << i;
    }
  }
}

TEST_F(ImageEncoderTest, Options) {
  const auto encoder = ImageEncoder::load(ctx_, folder("clip", kAspect));
  EXPECT_EQ(encoder.dim(), 18);
  EXPECT_EQ(encoder.dim({.pooling = ops::Pooling::mean}), 28);
  const Embeddings raw = encoder.embed(ctx_, pictures_, {.normalize = false}),
                   cut = encoder.embed(ctx_, pictures_, {.dims = 5});
  EXPECT_EQ(cut.dim, 5);
  for (index_t i = 0; i < 3; ++i) EXPECT_NEAR(cosine(cut.row(i), raw.row(i).first(5)), 1.f, 1e-6f);
  const Embeddings small = encoder.embed(ctx_, pictures_, {.batch_tokens = 1});
  EXPECT_EQ(small.values, encoder.embed(ctx_, pictures_).values);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "18 numbers", (void)encoder.embed(ctx_, pictures_, {.dims = 19}));
}

TEST_F(ImageEncoderTest, SaysWhatIsMissing) {
  const std::string bare = folder("vit_p7", kVit);
  fs::remove(fs::path(bare) / "preprocessor_config.json");
  TESSERA_EXPECT_ERROR(Code::kNotFound, "preprocessor_config.json", (void)ImageEncoder::load(ctx_, bare));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "num_channels", (void)ImageEncoder::load(ctx_, folder("vit_gray_f16", kVit)));
}

}  // namespace
}  // namespace tessera::models
