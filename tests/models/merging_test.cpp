// Stacks and image models that merge tokens: against the oracle of tests/goldens/merge_oracle.py, and the promises.
#include <atomic>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <tessera/io.hpp>
#include <tessera/models/auto_image_model.hpp>
#include "support/backends.hpp"
#include "support/row_error.hpp"
#include "support/stack.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;
using models::MergeInputs;
using models::MergePolicy;
using models::MergeSchedule;
using models::TokenMerging;

TokenMerging merging_of(const io::Json& c) {
  const auto method = c["method"].get<std::string>();
  TokenMerging m;
  m.proportional_attention = c["proportional"].get<bool>();
  m.keep_layers = true;
  const auto schedule = [&] { return MergeSchedule(c["r"].get<std::vector<index_t>>()); };
  if (method == "tome") m.policy = models::tome(schedule());
  if (method == "pitome") m.policy = models::pitome(c["keep"].get<double>());
  if (method == "tofu") m.policy = models::tofu(schedule(), c["prune_layers"].get<index_t>());
  if (method == "evit") m.policy = models::evit(c["keep"].get<double>(), c["layers"].get<std::vector<index_t>>());
  return m;
}

TEST(Merging, ModelsMergeAsTheOracle) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/merge_models.json");
  const auto file = io::SafeTensors::open(TESSERA_GOLDENS "/merge_models.safetensors");
  int number = 0;
  for (const io::Json& c : golden["cases"]) {
    SCOPED_TRACE(c.dump());
    Context ctx(2);
    const std::string folder = TESSERA_GOLDENS "/tiny_image/" + c["folder"].get<std::string>();
    const auto model = models::load_image_model(ctx, io::ModelFolder::open(folder));
    const auto inputs = io::SafeTensors::open(folder + "/golden.safetensors");
    const TokenMerging merging = merging_of(c);
    std::vector<ops::Pixels> images;  // of two sizes in one batch
    for (const char* name : {"pixel_values", "pixel_values.1"}) {
      const auto v = inputs.at(name).as<float, 4>();
      for (index_t b = 0; b < v.extent[0]; ++b) images.push_back({.planes = v[b]});
    }
    const auto cu = model.offsets(images);
    const index_t channels = model.channels();
    Matrix first;
    models::MergedTokens first_left;
    for (const Isa isa : available_isas())
      for (const int threads : {1, 3}) {
        Context own(isa, threads);
        Matrix out = Matrix(cu.back(), channels, 0);
        const auto left = model.forward_merged(own, images, out.out(), merging);
        ASSERT_EQ(left.cu_seqlens.size(), cu.size());
        const index_t rows = left.cu_seqlens.back();
        const auto at = [&](const Matrix& m) { return std::vector<float>(m.data(), m.data() + rows * channels); };
        if (first.rows == 0) {
          first = out, first_left = left;
          for (std::size_t b = 0; b + 1 < cu.size(); ++b) {
            const std::string name = std::to_string(number) + "." + std::to_string(b);
            const auto hidden = file.at("hidden." + name).as<float, 2>();
            const auto groups = file.at("groups." + name).as<std::int32_t, 2>();
            const auto sizes = file.at("sizes." + name).as<float, 1>();
            ASSERT_EQ(left.cu_seqlens[b + 1] - left.cu_seqlens[b], hidden.extent[0]);
            for (index_t l = 0; l < groups.extent[0]; ++l)
              for (index_t t = 0; t < groups.extent[1]; ++t)
                EXPECT_EQ(left.layers[static_cast<std::size_t>(l)][static_cast<std::size_t>(cu[b] + t)], groups(l, t))
                    << "layer " << l << " token " << t;
            for (index_t i = 0; i < sizes.extent[0]; ++i)
              EXPECT_EQ(left.sizes[static_cast<std::size_t>(left.cu_seqlens[b] + i)], sizes(i));
            EXPECT_LE(worst_row_error(out.in().slice(left.cu_seqlens[b], left.cu_seqlens[b + 1]), hidden.data), kRowBound);
          }
          EXPECT_EQ(left.groups, left.layers.back());
        }
        EXPECT_EQ(left.cu_seqlens, first_left.cu_seqlens);
        EXPECT_EQ(left.layers, first_left.layers);
        EXPECT_EQ(left.sizes, first_left.sizes);
        EXPECT_EQ(at(out), at(first)) << isa_name(isa) << " " << threads;
        // Alone as in the batch.
        const std::size_t last = images.size() - 1;
        Matrix alone(cu[last + 1] - cu[last], channels, 0);
        const auto one = model.forward_merged(own, {&images[last], 1}, alone.out(), merging);
        for (index_t r = 0; r < one.cu_seqlens.back(); ++r)
          EXPECT_EQ(alone.row_bits(r), out.row_bits(left.cu_seqlens[last] + r));
      }
    ++number;
  }
  EXPECT_EQ(number, 13);
}

// Families whose positions are turns or images of many sizes: nothing merged is the plain pass, and merging knows no
// company.
TEST(Merging, EveryFamilyMerges) {
  for (const char* name :
       {"vit_p7", "deit_p7", "dinov2_swiglu_bf16", "dinov3", "dinov3_gated", "clip_vision", "siglip_vision_no_head"}) {
    SCOPED_TRACE(name);
    Context ctx(2);
    const std::string folder = std::string(TESSERA_GOLDENS "/tiny_image/") + name;
    const auto model = models::load_image_model(ctx, io::ModelFolder::open(folder));
    const auto inputs = io::SafeTensors::open(folder + "/golden.safetensors");
    const auto v = inputs.at("pixel_values").as<float, 4>();
    std::vector<ops::Pixels> images;
    for (index_t b = 0; b < v.extent[0]; ++b) images.push_back({.planes = v[b]});
    const auto cu = model.offsets(images);
    Matrix plain(cu.back(), model.channels(), 0), out = plain;
    model.forward(ctx, images, plain.out());
    const auto all = model.forward_merged(ctx, images, out.out(), {.policy = models::tome(0)});
    EXPECT_EQ(out.bits(), plain.bits());
    EXPECT_EQ(all.cu_seqlens, cu);
    const TokenMerging merging{.policy = models::tome(3)};
    const auto left = model.forward_merged(ctx, images, out.out(), merging);
    EXPECT_EQ(left.cu_seqlens.back(), cu.back() - 3 * 2 * v.extent[0]);
    Matrix alone(cu[1], model.channels(), 0);
    const auto one = model.forward_merged(ctx, {&images[1], 1}, alone.out(), merging);
    for (index_t r = 0; r < one.cu_seqlens.back(); ++r) EXPECT_EQ(alone.row_bits(r), out.row_bits(left.cu_seqlens[1] + r));
  }
}

struct StackMerging : OpsTest {};
TESSERA_ON_EVERY_ISA(StackMerging);

models::TransformerConfig vit() { return small_stacks()[1].config; }

TEST_P(StackMerging, MergingNothingChangesNoBit) {
  const StackData data(vit(), {.scales = true}, 3);
  const Texts texts({1, 17, 0, 33, 8}, 40, 5);
  const auto model = data.model(ctx);
  const auto plain = forward(model, ctx, texts.inputs()).bits();
  for (const MergePolicy& policy :
       {models::tome(0), models::pitome(1), models::random_pruning(0, 1), models::evit(1, {0, 1})}) {
    Matrix out(texts.tokens(), 30, 0);
    const auto left = model.forward_merged(ctx, texts.inputs(), out.out(), {.policy = policy, .prefix = 1});
    EXPECT_EQ(out.bits(), plain);
    EXPECT_EQ(left.cu_seqlens, texts.cu);
    EXPECT_EQ(left.sizes, std::vector<float>(59, 1.f));
  }
}
// Enough sequences that groups of them run side by side.
TEST_P(StackMerging, GroupsAndThreadsChangeNoBit) {
  const StackData data(vit(), {.scales = true}, 3);
  std::vector<index_t> lengths;
  Random random(7);
  for (int i = 0; i < 30; ++i) lengths.push_back(random.in(0, 45));
  const Texts texts(lengths, 40, 5);
  const auto model = data.model(ctx);
  for (const MergePolicy& policy :
       {models::tome({4, -1}), models::pitome(0.8), models::tofu(3, 1), models::random_pruning(2, 9)}) {
    const auto run = [&](Context& own, const models::ForwardOptions& options) {
      Matrix out(texts.tokens(), 30, 0);
      const auto left = model.forward_merged(own, texts.inputs(), out.out(), {.policy = policy, .prefix = 1}, options);
      return std::tuple(std::vector<float>(out.data(), out.data() + left.cu_seqlens.back() * 30), left.cu_seqlens,
                        left.groups, left.sizes);
    };
    const auto one = run(ctx, {});
    EXPECT_LT(std::get<1>(one).back(), texts.tokens());
    EXPECT_EQ(std::accumulate(std::get<3>(one).begin(), std::get<3>(one).end(), 0.f) <= static_cast<float>(texts.tokens()),
              true);
    with_threads([&](Context& many) { EXPECT_EQ(run(many, {}), one); });
    models::ForwardOptions watched;  // the whole batch layer by layer
    watched.between = [](void*, Context&, index_t, const RaggedBatch&, View<float, 2>) {};
    EXPECT_EQ(run(ctx, watched), one);
  }
}
// Merged copies with proportional attention are the copies themselves: nothing is lost where tokens are equal.
TEST_P(StackMerging, EqualTokensMergeWithoutALoss) {
  auto config = vit();
  config.max_positions = 0;
  const StackData data(config, {.scales = true}, 3);
  Texts texts;
  for (int t = 0; t < 24; ++t) texts.ids.push_back(t / 2 % 6);  // pairs of neighbours
  texts.cu = {0, 24};
  const auto model = data.model(ctx);
  const Matrix plain = forward(model, ctx, texts.inputs());
  Matrix out(24, 30, 0), back(24, 30, 0);
  // Tokens at even places join the first equal one at an odd place.
  const auto left = model.forward_merged(ctx, texts.inputs(), out.out(), {.policy = models::tome(std::vector<index_t>{12})});
  EXPECT_EQ(left.sizes, (std::vector<float>{3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1}));
  ops::unmerge(ctx, View<const std::int32_t, 1>(left.groups.data(), 24), out.in().slice(0, 12), back.out());
  EXPECT_LE(worst_row_error(back.in(), plain.data()), 1e-5);
}
TEST_P(StackMerging, ImportanceDecidesWhatGoes) {
  const StackData data(vit(), {.scales = true}, 3);
  const Texts texts({9}, 40, 5);
  const auto model = data.model(ctx);
  const auto latest = [](Context&, const MergeInputs& in, View<float, 1> scores) {
    for (index_t t = 0; t < in.x.extent[0]; ++t) scores(t) = static_cast<float>(t);
  };
  Matrix out(9, 30, 0);
  const auto left =
      model.forward_merged(ctx, texts.inputs(), out.out(), {.policy = models::importance_pruning(2, latest), .prefix = 1});
  EXPECT_EQ(left.groups, (std::vector<std::int32_t>{0, -1, -1, -1, -1, -1, -1, 1, 2}));
  EXPECT_EQ(left.sizes, (std::vector<float>{1, 1, 1}));
}
TEST_P(StackMerging, ClassAttentionIsTheFirstRowOfTheSoftmax) {
  const StackData data(vit(), {.scales = true}, 3);
  const Texts texts({19}, 40, 5);
  const auto model = data.model(ctx);
  std::atomic<int> calls = 0;
  const auto look = [&](Context& own, const MergeInputs& in) {
    std::vector<float> got(19);
    models::class_attention(own, in, View<float, 1>(got.data(), 19));
    for (index_t t = 0; t < 19; ++t) {
      double mean = 0;
      for (index_t h = 0; h < 3; ++h) {
        double sum = 0, own_term = 0;
        for (index_t j = 0; j < 19; ++j) {
          double dot = 0;
          for (index_t c = 0; c < 10; ++c) dot += double{in.q(0, h, c)} * double{in.k(j, h, c)};
          sum += std::exp(dot / std::sqrt(10.0));
          if (j == t) own_term = std::exp(dot / std::sqrt(10.0));
        }
        mean += own_term / sum / 3;
      }
      EXPECT_NEAR(got[static_cast<std::size_t>(t)], mean, 1e-6);
    }
    ++calls;
    return ops::MergePlan::identity(19);
  };
  Matrix out(19, 30, 0);
  (void)model.forward_merged(ctx, texts.inputs(), out.out(), {.policy = look});
  EXPECT_EQ(calls, 3);
}
TEST_P(StackMerging, RefusesWhatCannotWork) {
  const StackData data(vit(), {.scales = true}, 3), decoder(small_stacks()[2].config, {.biases = false}, 3);
  const Texts texts({9}, 40, 5);
  Matrix out(9, 30, 0);
  const auto with = [&](const models::Transformer& model, ops::MergePlan plan, index_t prefix) {
    const auto policy = [plan](Context&, const MergeInputs&) { return plan; };
    (void)model.forward_merged(ctx, texts.inputs(), out.out(), {.policy = policy, .prefix = prefix});
  };
  const auto model = data.model(ctx);
  const auto nine = ops::MergePlan::identity(9);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "causal", with(decoder.model(ctx), nine, 0));
  models::TransformerConfig placed = vit();
  placed.block.position_rows = 8;
  const StackData places(placed, {.scales = true}, 3);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "places of all tokens", with(places.model(ctx), nine, 0));
  models::TransformerConfig convolved = vit();
  convolved.convolution = 3;
  const StackData neighbours(convolved, {.scales = true}, 3);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "places of all tokens", with(neighbours.model(ctx), nine, 0));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "another number", with(model, ops::MergePlan::identity(8), 0));
  auto none = nine;
  none.rows.clear(), none.into.assign(9, ops::kDropped);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "leaves none", with(model, none, 0));
  auto moved = nine;
  std::swap(moved.rows[0], moved.rows[1]);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "moves a class", with(model, moved, 1));
  EXPECT_NO_THROW(with(model, moved, 0));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "0.5 to 1", (void)models::pitome(0.4));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "0 to 1", (void)models::evit(1.5, {}));
}

}  // namespace
