// Attention maps and rollout against transformers' attentions.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/models/auto_image_model.hpp>
#include "examples/tessera/attention_maps.hpp"
#include "support/row_error.hpp"

namespace tool {
namespace {

using namespace tessera;

class AttentionMapsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(AttentionMapsTest, EqualThoseOfTransformers) {
  const std::string name = GetParam();
  std::string path = TESSERA_GOLDENS "/tiny_image/";
  path += name;
  const auto want = io::SafeTensors::open(TESSERA_GOLDENS "/attention.safetensors");
  const auto inputs = io::SafeTensors::open(path + "/golden.safetensors");
  const auto attentions = want.at(name + ".attentions").as<float, 4>();
  const auto rollout = want.at(name + ".rollout").as<float, 3>();
  const auto planes = inputs.at("pixel_values").as<float, 4>()[0];
  const ops::Pixels image{.planes = planes};
  for (const int threads : {1, 3}) {
    Context ctx(threads);
    const auto model = models::load_image_model(ctx, io::ModelFolder::open(path));
    const index_t heads = attentions.extent[1], tokens = attentions.extent[2], prefix = model.prefix_tokens;
    for (index_t layer = 0; layer < attentions.extent[0]; ++layer) {
      const AttentionMaps maps(ctx, model, image, planes.extent[1], planes.extent[2], layer);
      ASSERT_EQ(maps.heads(), heads);
      ASSERT_EQ(maps.rows() * maps.columns() + prefix, tokens);
      // Of head h (all: negative), what key k gets from the class token, or from all in the mean.
      const auto expected = [&](index_t h, index_t k) {
        double sum = 0;
        for (index_t head = h < 0 ? 0 : h; head < (h < 0 ? heads : h + 1); ++head)
          for (index_t q = 0; q < (prefix > 0 ? 1 : tokens); ++q) sum += static_cast<double>(attentions(layer, head, q, k));
        return static_cast<float>(sum / static_cast<double>((h < 0 ? heads : 1) * (prefix > 0 ? 1 : tokens)));
      };
      const auto check = [&](std::vector<float> got, const auto& of, const char* what) {
        std::vector<float> wanted;
        for (index_t k = prefix; k < tokens; ++k) wanted.push_back(of(k));
        ASSERT_EQ(got.size(), wanted.size());
        const View<float, 2> row(got.data(), index_t{1}, static_cast<index_t>(got.size()));
        EXPECT_LE(test::worst_row_error(row, wanted.data()), test::kRowBound) << what << " of layer " << layer;
      };
      for (index_t h = -1; h < heads; ++h)
        check(
            maps.map(h), [&](index_t k) { return expected(h, k); }, "head");
      const auto rolled = [&](index_t k) {
        double sum = 0;
        for (index_t q = 0; q < (prefix > 0 ? 1 : tokens); ++q) sum += static_cast<double>(rollout(layer, q, k));
        return static_cast<float>(sum / static_cast<double>(prefix > 0 ? 1 : tokens));
      };
      check(maps.rollout(), rolled, "rollout");
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Folders, AttentionMapsTest,
                         ::testing::Values("vit_p7", "deit_p7", "dinov2_registers", "clip", "siglip"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace tool
