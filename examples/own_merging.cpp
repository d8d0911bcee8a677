// Your own way to merge tokens: a patch joins its left neighbour where their keys nearly agree. Built and run as
// embed_two.cpp.
#include <cstdio>
#include <span>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/models/image_encoder.hpp>

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL_FOLDER IMAGE\n", argv[0]), 2;
  tessera::Context context;
  const tessera::models::TokenMerging own{.policy = [](auto& ctx, const auto& in) {
    const auto tokens = in.x.extent[0], width = in.k.extent[2];
    std::vector<float> memory(static_cast<std::size_t>(tokens * width));
    const tessera::View<float, 2> metric(memory.data(), tokens, width);
    const auto row = [&](std::int32_t t) { return std::span<const float>(&metric(t, 0), static_cast<std::size_t>(width)); };
    tessera::ops::key_metric(ctx, in.k, metric);
    tessera::ops::MergePlan plan;
    for (std::int32_t t = 0; t < tokens; ++t) {
      const bool joins = t > in.prefix && tessera::models::cosine(row(t - 1), row(t)) > 0.9f;
      plan.into.push_back(joins ? plan.rows.back() : t);
      if (!joins) plan.rows.push_back(t);
    }
    return plan;
  }};
  const auto encoder = tessera::models::ImageEncoder::load(context, argv[1]);
  const std::vector images{tessera::image::load(argv[2])};
  const auto plain = encoder.embed(context, images), merged = encoder.embed(context, images, {.merging = &own});
  std::printf("%.4f\n", static_cast<double>(tessera::models::cosine(plain.row(0), merged.row(0))));
} catch (const tessera::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
