// Random image and image-text folders of odd sizes against transformers in float64.
#include <cmath>
#include <list>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/image/flat_patches.hpp>
#include <tessera/io.hpp>
#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/dual_model.hpp>
#include "support/errors.hpp"
#include "support/row_error.hpp"

namespace tessera::models {
namespace {

using test::kRowBound;
using test::worst_row_error;

std::string path_of(const std::string& name) { return TESSERA_GOLDENS "/tiny_image/" + name; }

// Images [B, C, H, W], or those of SigLIP 2's rows of patches, as the model takes them.
struct Images {
  std::list<std::vector<float>> planes;
  std::vector<ops::Pixels> pixels;

  Images(const ImageModel& model, const io::SafeTensors& file, const std::string& tag) {
    const AnyView& any = file.at("pixel_values" + tag);
    if (any.rank == 4) {
      const auto v = any.as<float, 4>();
      for (index_t b = 0; b < v.extent[0]; ++b) pixels.push_back({.planes = v[b]});
      return;
    }
    const auto rows = any.as<float, 3>();
    const auto shapes = file.at("spatial_shapes" + tag).as<std::int64_t, 2>();
    const ops::PatchShape& p = model.patch;
    for (index_t b = 0; b < rows.extent[0]; ++b) {
      const index_t h = shapes(b, 0) * p.height, w = shapes(b, 1) * p.width;
      auto& memory = planes.emplace_back(static_cast<std::size_t>(p.channels * h * w));
      const View<float, 3> plane(memory.data(), p.channels, h, w);
      image::unflatten_patches(rows[b].slice(0, shapes(b, 0) * shapes(b, 1)), p.height, p.width, plane);
      pixels.push_back({.planes = plane});
    }
  }
};

class TinyImage : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyImage, EqualsTransformersAtEverySize) {
  Context ctx(2);
  const ImageModel model = load_image_model(ctx, io::ModelFolder::open(path_of(GetParam())));
  const auto golden = io::SafeTensors::open(path_of(GetParam()) + "/golden.safetensors");
  const index_t c = model.channels();
  std::list<Images> kept;
  std::vector<ops::Pixels> all;
  std::vector<float> want;
  index_t sizes = 0;
  for (std::string tag; golden.find("pixel_values" + tag); tag.assign(1, '.').append(std::to_string(++sizes))) {
    const auto& images = kept.emplace_back(model, golden, tag).pixels;
    const auto cu = model.offsets(images);
    std::vector<float> hidden(static_cast<std::size_t>(cu.back() * c), NAN);
    const View<float, 2> out(hidden.data(), cu.back(), c);
    model.forward(ctx, images, out);
    const auto expected = golden.at("last_hidden_state" + tag).as<float, 3>();
    ASSERT_EQ(expected.extent[0], static_cast<index_t>(images.size())) << tag;
    for (index_t b = 0; b < expected.extent[0]; ++b) {  // what follows an image's tokens is padding
      const auto own = out.slice(cu[static_cast<std::size_t>(b)], cu[static_cast<std::size_t>(b) + 1]);
      ASSERT_GE(expected.extent[1], own.extent[0]) << tag;
      EXPECT_LE(worst_row_error(own, expected[b].data), kRowBound) << tag;
      if (!golden.find("spatial_shapes")) {
        ASSERT_EQ(expected.extent[1], own.extent[0]) << tag;
      }
    }
    all.insert(all.end(), images.begin(), images.end());
    want.insert(want.end(), hidden.begin(), hidden.end());
    if (!golden.find("pooler_output" + tag)) continue;
    const auto pooled = golden.at("pooler_output" + tag).as<float, 2>();
    std::vector<float> got(static_cast<std::size_t>(pooled.size()), NAN);
    const View<float, 2> p(got.data(), pooled.extent[0], pooled.extent[1]);
    model.pool(ctx, out, View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size())), p);
    EXPECT_LE(worst_row_error(p, pooled.data), kRowBound) << tag;
  }
  // All sizes in one batch, on every instruction set: the same bits.
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3}) {
      Context own(isa, threads);
      std::vector<float> together(want.size(), NAN);
      model.forward(own, all, View<float, 2>(together.data(), static_cast<index_t>(want.size()) / c, c));
      EXPECT_EQ(together, want) << isa_name(isa) << " " << threads;
    }
}
INSTANTIATE_TEST_SUITE_P(Folders, TinyImage,
                         ::testing::Values("vit_p7", "vit_classifier", "vit_gray_f16", "deit_p7", "dinov2_p7",
                                           "dinov2_swiglu_bf16", "dinov2_registers", "dinov3", "dinov3_gated", "clip",
                                           "clip_old_eos_f16", "clip_vision", "siglip", "siglip_vision_no_head", "siglip2",
                                           "siglip2_vision_bf16"),
                         [](const auto& p) { return std::string(p.param); });

class TinyDual : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyDual, EmbeddingsAndLogitsEqualTransformers) {
  Context ctx(2);
  const DualModel model = load_dual_model(ctx, io::ModelFolder::open(path_of(GetParam())));
  const auto golden = io::SafeTensors::open(path_of(GetParam()) + "/golden.safetensors");
  const auto wide = golden.at("input_ids").as<std::int64_t, 2>();
  const std::vector<std::int32_t> ids(wide.data, wide.data + wide.size());
  std::vector<index_t> cu_text;
  for (index_t b = 0; b <= wide.extent[0]; ++b) cu_text.push_back(b * wide.extent[1]);
  const auto offsets = [](const std::vector<index_t>& cu) {
    return View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
  };
  const index_t texts = wide.extent[0], tokens = wide.size(), c = model.text.transformer->config().block.channels;
  TokenInputs in;
  in.ids = View<const std::int32_t, 1>(ids.data(), tokens);
  in.batch.cu_seqlens = offsets(cu_text);
  std::vector<float> hidden(static_cast<std::size_t>(tokens * c), NAN);
  const View<float, 2> h(hidden.data(), tokens, c);
  model.text.transformer->forward(ctx, in, h);
  EXPECT_LE(worst_row_error(h, golden.at("text_last_hidden_state").as<float, 3>().data), kRowBound);

  const auto unit = [](std::vector<float>& rows, index_t e) {
    for (std::size_t r = 0; r < rows.size(); r += static_cast<std::size_t>(e)) {
      double squares = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(e); ++i)
        squares += static_cast<double>(rows[r + i]) * static_cast<double>(rows[r + i]);
      for (std::size_t i = 0; i < static_cast<std::size_t>(e); ++i)
        rows[r + i] = static_cast<float>(static_cast<double>(rows[r + i]) / std::sqrt(squares));
    }
  };
  const index_t e = model.dim();
  std::vector<float> text(static_cast<std::size_t>(texts * e), NAN);
  model.text.embed(ctx, h, in.ids, offsets(cu_text), View<float, 2>(text.data(), texts, e));
  unit(text, e);
  EXPECT_LE(worst_row_error(View<float, 2>(text.data(), texts, e), golden.at("text_embeds").as<float, 2>().data), kRowBound);

  const Images kept(model.image, golden, "");
  const auto& images = kept.pixels;
  const auto cu = model.image.offsets(images);
  std::vector<float> patches(static_cast<std::size_t>(cu.back() * model.image.channels()), NAN);
  const View<float, 2> p(patches.data(), cu.back(), model.image.channels());
  model.image.forward(ctx, images, p);
  const auto count = static_cast<index_t>(images.size());
  std::vector<float> image(static_cast<std::size_t>(count * e), NAN);
  model.image.embed(ctx, p, offsets(cu), View<float, 2>(image.data(), count, e));
  unit(image, e);
  EXPECT_LE(worst_row_error(View<float, 2>(image.data(), count, e), golden.at("image_embeds").as<float, 2>().data),
            kRowBound);

  const auto logits = golden.at("logits_per_image").as<float, 2>();
  std::vector<float> got(static_cast<std::size_t>(count * texts), NAN);
  const View<float, 2> g(got.data(), count, texts);
  model.head.logits(ctx, View<float, 2>(image.data(), count, e), View<float, 2>(text.data(), texts, e), g);
  EXPECT_LE(worst_row_error(g, logits.data), kRowBound);
}
INSTANTIATE_TEST_SUITE_P(Folders, TinyDual, ::testing::Values("clip", "clip_old_eos_f16", "siglip", "siglip2"),
                         [](const auto& p) { return std::string(p.param); });

TEST(TinyDualModel, RefusesWhatIsNoneOfThem) {
  Context ctx(1);
  const auto folder = io::ModelFolder::open(path_of("vit_p7"));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "vit", (void)load_dual_model(ctx, folder));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "vit", (void)load_text_model(ctx, folder));
}

TEST(TinyImageModel, RefusesImagesSmallerThanAPatch) {
  Context ctx(1);
  const ImageModel model = load_image_model(ctx, io::ModelFolder::open(path_of("vit_p7")));
  const std::vector<float> pixels(3 * 6 * 40);
  const ops::Pixels small{.planes = View<const float, 3>(pixels.data(), 3, 6, 40)};
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "6 x 40", (void)model.offsets({&small, 1}));
}

}  // namespace
}  // namespace tessera::models
