// Late interaction of texts and images, all of it, against transformers' heads on every token and patch alone.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/image.hpp>
#include <tessera/io.hpp>
#include "examples/tessera/patch_maps.hpp"
#include "support/row_error.hpp"

namespace tool {
namespace {

using namespace tessera;
namespace fs = std::filesystem;

class PatchMapsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PatchMapsTest, EqualThoseOfTransformers) {
  const std::string name = GetParam();
  const fs::path folder = fs::path(::testing::TempDir()) / ("tessera-patch-maps-" + name);
  fs::create_directories(folder);
  for (const char* from : {"/tiny_image/", "/classify/"})
    for (const auto& file : fs::directory_iterator(TESSERA_GOLDENS + std::string(from) + name))
      fs::copy(file, folder, fs::copy_options::overwrite_existing);
  const auto golden = io::SafeTensors::open(TESSERA_GOLDENS "/maxsim.safetensors");
  const auto values = golden.at(name + ".values").as<float, 3>();
  const io::Json json = io::read_json(TESSERA_GOLDENS "/maxsim.json");
  std::vector<float> one_thread;
  for (const int threads : {1, 3}) {
    std::vector<float> all;
    Context ctx(threads);
    const auto model = models::DualEncoder::load(ctx, folder.string());
    index_t image = 0;
    for (const io::Json& file : json["images"]) {
      const auto prepared = model.image().prepare(ctx, image::load(TESSERA_GOLDENS "/images/" + file.get<std::string>()));
      const ImagePatches patches = embed_each_patch(ctx, model.image().model(), model.image().processor().pixels(prepared));
      ASSERT_EQ(patches.height * patches.width, values.extent[2]);
      index_t row = 0;
      for (const io::Json& text : json["texts"]) {
        const TextTokens tokens = embed_each_token(ctx, model.text(), text.get<std::string>());
        PatchMaps maps = patch_maps(ctx, tokens.rows, patches.rows);
        const index_t n = tokens.rows.rows;
        ASSERT_LE(row + n, values.extent[1]);
        float sum = 0;
        for (index_t t = 0; t < n; ++t) {
          const View<float, 2> got(maps.values.data() + t * values.extent[2], index_t{1}, values.extent[2]);
          EXPECT_LE(test::worst_row_error(got, &values(image, row + t, 0)), test::kRowBound) << file << text << t;
          index_t best = 0;
          for (index_t p = 1; p < values.extent[2]; ++p)
            if (got(0, p) > got(0, best)) best = p;
          EXPECT_EQ(maps.best[static_cast<std::size_t>(t)], best);
          EXPECT_EQ(maps.value(static_cast<std::size_t>(t)), got(0, best));
          sum += got(0, best);
        }
        EXPECT_EQ(maps.score, sum);
        all.insert(all.end(), maps.values.begin(), maps.values.end());
        row += n;
      }
      EXPECT_EQ(row, values.extent[1]);
      ++image;
    }
    if (one_thread.empty()) one_thread = all;
    EXPECT_EQ(all, one_thread);
  }
  fs::remove_all(folder);
}
INSTANTIATE_TEST_SUITE_P(Folders, PatchMapsTest, ::testing::Values("clip", "siglip"),
                         [](const auto& p) { return std::string(p.param); });

TEST(PatchMaps, TheFirstOfEqualsAndNoTokens) {
  Context ctx(1);
  const UnitRows patches{3, 2, {0, 1, 1, 0, 1, 0}}, tokens{2, 2, {1, 0, 0, 1}}, none{0, 2, {}};
  const PatchMaps maps = patch_maps(ctx, tokens, patches);
  EXPECT_EQ(maps.values, (std::vector<float>{0, 1, 1, 1, 0, 0}));
  EXPECT_EQ(maps.best, (std::vector<index_t>{1, 0}));
  EXPECT_EQ(maps.score, 2);
  EXPECT_EQ(patch_maps(ctx, none, patches).score, 0);
  const UnitRows nan{1, 2, {__builtin_nanf(""), 0}};
  EXPECT_THROW(patch_maps(ctx, tokens, nan), Error);
  EXPECT_THROW(patch_maps(ctx, nan, patches), Error);
}

}  // namespace
}  // namespace tool
