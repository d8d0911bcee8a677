// What classify and search share: a model of images and texts, and the images as they are shown.
#pragma once
#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <tessera/models/dual_encoder.hpp>

#include "image_rows.hpp"
#include "merging.hpp"
#include "pictures/sheet.hpp"

namespace tool {

inline constexpr std::size_t kMostShown = 400;  // images of a sheet

/// Options that both have.
struct DualOptions {
  RunOptions run;
  std::vector<std::string> images;
  std::string backend = "pil";
  tessera::models::ImageEmbedOptions embed;
  tessera::models::TokenMerging merging;

  void add_to(Command& app, bool required = true) {
    embed.batch_tokens = 4096;
    run.add_to(app, required);
    app.option("--image", images, kImageHelp).required(required);
    app.option("--backend", backend, "whose image processor: pil or torchvision").one_of({"pil", "torchvision"});
    app.option(
        "--merge", [this](const std::string& text) { merging = merging_of(text), embed.merging = &merging; }, kMergeHelp);
    app.option("--batch-tokens", embed.batch_tokens, "tokens that go through the model at once").range(1, 1 << 24);
  }
  tessera::models::DualEncoder load(tessera::Context& ctx) const {
    return run.load(ctx, [&](const tessera::models::LoadOptions& load) {
      return tessera::models::DualEncoder::load(ctx, run.model, load, backend_of(backend));
    });
  }
};

/// Numbers of the first k, largest value first; of equals the lowest number.
inline std::vector<std::size_t> best_of(const float* values, std::size_t n, std::size_t k) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto before = [&](std::size_t a, std::size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; };
  k = std::min(k, n);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(), before);
  order.resize(k);
  return order;
}

/// Thumbnails of inputs, decoded side by side. One that cannot be read any more has no pixels but a reason, and is named on
/// stderr. \param picture where they go.
inline Prepared<tessera::image::Image> thumbnails(tessera::Context& ctx, const std::vector<ImageInput>& inputs,
                                                  tessera::index_t side, const std::string& picture) {
  auto p = prepare_images(
      ctx, inputs, [&](tessera::Context& own, const tessera::image::Image& i) { return pictures::thumbnail(own, i, side); });
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (!p.why[i].empty()) say(inputs[i].name + " is not on " + picture + ": " + p.why[i]);
  return p;
}

}  // namespace tool
