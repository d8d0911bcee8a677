// Processors: pixel values equal to transformers' to the last bit, on both of its backends.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/image/flat_patches.hpp>
#include <tessera/image/processor.hpp>
#include <tessera/io.hpp>
#include "support/hash.hpp"
#include "support/pictures.hpp"

namespace tessera::image {
namespace {

Image picture(const std::string& kind, index_t width, index_t height) {
  Image image(PixelFormat::rgb, height, width);
  image.pixels = test::draw(kind, width, height, 3);
  return image;
}

TEST(ImageProcessor, EqualsTransformers) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/processors.json");
  Context ctx(2);
  std::size_t compared = 0;
  for (const io::Json& c : golden["cases"])
    for (const io::Json& v : c["pixel_values"]) {
      const bool pil = v[0] == "pil";
      const index_t width = v[2], height = v[3], out_height = v[4], out_width = v[5];
      const ImageProcessor processor(processor_config(c["config"]), pil ? Backend::pil : Backend::torchvision);
      const auto size = processor.output_size(height, width);
      ASSERT_EQ(size.height, out_height) << c["config"].dump() << v.dump();
      ASSERT_EQ(size.width, out_width) << c["config"].dump() << v.dump();
      std::vector<float> values(static_cast<std::size_t>(3 * out_height * out_width), -77.f);
      processor.pixel_values(ctx, picture(v[1], width, height), View<float, 3>(values.data(), 3, out_height, out_width));
      if (processor.config().size == ProcessorConfig::Size::patches) {  // rows of patches
        const index_t patch = processor.config().patch, k = 3 * patch * patch;
        const std::vector<float> planes(values);
        flatten_patches(View<const float, 3>(planes.data(), 3, out_height, out_width), patch, patch,
                        View<float, 2>(values.data(), out_height * out_width * 3 / k, k));
        std::vector<float> back(values.size());
        unflatten_patches(View<const float, 2>(values.data(), out_height * out_width * 3 / k, k), patch, patch,
                          View<float, 3>(back.data(), 3, out_height, out_width));
        EXPECT_EQ(back, planes);
      }
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
      EXPECT_EQ(test::fnv({bytes, values.size() * sizeof(float)}), v[6].get<std::string>())
          << c["config"].dump() << v.dump();
      ++compared;
    }
  EXPECT_GT(compared, 150u);
}

TEST(ImageProcessor, RefusesByName) {
  const auto message = [](const char* text) {
    try {
      (void)ImageProcessor(processor_config(io::parse_json(text, "test")), Backend::torchvision);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(message("{}").find("image_processor_type"), std::string::npos);
  EXPECT_NE(message(R"({"image_processor_type": "FuyuImageProcessor"})").find("FuyuImageProcessor"), std::string::npos);
  EXPECT_NE(message(R"({"image_processor_type": "ViTImageProcessor", "size": {"height": 0, "width": 3}})").find("height"),
            std::string::npos);
  EXPECT_NE(message(R"({"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 3}})").find("shortest_edge"),
            std::string::npos);
  EXPECT_NE(message(R"({"image_processor_type": "ViTImageProcessor", "image_mean": [1, 2]})").find("image_mean"),
            std::string::npos);
  EXPECT_NE(message(R"({"image_processor_type": "ViTImageProcessor", "resample": 0})").find("nearest"), std::string::npos);
  EXPECT_NE(message(R"({"image_processor_type": "ViTImageProcessor", "resample": 1})").find("torchvision"),
            std::string::npos);
  EXPECT_EQ(message(R"({"image_processor_type": "ViTImageProcessor", "size": null, "crop_size": null})"), "accepted");
}

TEST(ImageProcessor, RefusesWhatDoesNotFit) {
  Context ctx;
  const ImageProcessor processor{ProcessorConfig{}};
  std::vector<float> values(3 * 224 * 224);
  EXPECT_THROW(processor.pixel_values(ctx, picture("ramp", 5, 5), View<float, 3>(values.data(), 3, 224, 223)), Error);
  View<float, 3> gaps(values.data(), 3, 224, 224);
  gaps.stride[2] = 2;
  EXPECT_THROW(processor.pixel_values(ctx, picture("ramp", 5, 5), gaps), Error);
  ProcessorConfig narrow;
  narrow.size = ProcessorConfig::Size::shortest_edge;
  EXPECT_THROW((void)ImageProcessor(narrow).output_size(1, 100000), Error);
  // Patches of 2 x 2 of an image that has no whole number of them, and rows for another number.
  EXPECT_THROW(flatten_patches(View<const float, 3>(values.data(), 3, 5, 4), 2, 2, View<float, 2>(values.data(), 4, 12)),
               Error);
  EXPECT_THROW(flatten_patches(View<const float, 3>(values.data(), 3, 4, 4), 2, 2, View<float, 2>(values.data(), 3, 12)),
               Error);
  EXPECT_THROW(unflatten_patches(View<const float, 2>(values.data(), 4, 11), 2, 2, View<float, 3>(values.data(), 3, 4, 4)),
               Error);
}

}  // namespace
}  // namespace tessera::image
