// tessera preprocess: images as a model takes them.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/image/flat_patches.hpp>
#include <tessera/image/processor.hpp>

#include "embed_output.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct PreprocessOptions {
  std::string model, out, backend = "pil";
  std::vector<std::string> images;
  int threads = 0;
};

/// What becomes of patches of several images, as Siglip2ImageProcessor hands them out.
struct FlatPatches {
  std::vector<float> pixel_values;                 // [N, max_patches, patch * patch * 3]; zeros after the patches
  std::vector<std::int32_t> pixel_attention_mask;  // [N, max_patches]
  std::vector<std::int64_t> spatial_shapes;        // [N, 2]

  /// \throws Error kBadArgument for more patches than there may be.
  void add(const image::ProcessorConfig& c, View<const float, 3> planes) {
    const index_t down = planes.extent[1] / c.patch, across = planes.extent[2] / c.patch, n = down * across;
    if (n > c.max_patches)
      throw Error(Code::kBadArgument,
                  {std::to_string(n), " patches, and max_num_patches is ", std::to_string(c.max_patches)});
    const index_t k = c.patch * c.patch * 3;
    std::vector<float> rows(static_cast<std::size_t>(c.max_patches * k));
    image::flatten_patches(planes, c.patch, c.patch, View<float, 2>(rows.data(), n, k));
    pixel_values.insert(pixel_values.end(), rows.begin(), rows.end());
    for (index_t i = 0; i < c.max_patches; ++i) pixel_attention_mask.push_back(i < n);
    spatial_shapes.insert(spatial_shapes.end(), {down, across});
  }
  std::vector<io::NamedTensor> tensors(const image::ProcessorConfig& c) const {
    const auto n = static_cast<index_t>(spatial_shapes.size() / 2);
    return {
        {"pixel_values", io::any_view(View<const float, 3>(pixel_values.data(), n, c.max_patches, c.patch * c.patch * 3))},
        {"pixel_attention_mask", io::any_view(View<const std::int32_t, 2>(pixel_attention_mask.data(), n, c.max_patches))},
        {"spatial_shapes", io::any_view(View<const std::int64_t, 2>(spatial_shapes.data(), n, index_t{2}))}};
  }
};

/// One tensor [N, 3, H, W] where all are of one size, else pixel_values.0, pixel_values.1, ... [3, H, W].
std::vector<io::NamedTensor> named(const std::vector<image::Image>& sizes, const std::vector<std::vector<float>>& values,
                                   std::vector<float>& joined) {
  const bool same = std::all_of(sizes.begin(), sizes.end(), [&](const image::Image& i) {
    return i.height == sizes[0].height && i.width == sizes[0].width;
  });
  std::vector<io::NamedTensor> tensors;
  if (!same || sizes.empty()) {
    for (std::size_t i = 0; i < sizes.size(); ++i)
      tensors.push_back({"pixel_values." + std::to_string(i),
                         io::any_view(View<const float, 3>(values[i].data(), 3, sizes[i].height, sizes[i].width))});
    return tensors;
  }
  for (const auto& v : values) joined.insert(joined.end(), v.begin(), v.end());
  tensors.push_back({"pixel_values", io::any_view(View<const float, 4>(joined.data(), static_cast<index_t>(sizes.size()), 3,
                                                                       sizes[0].height, sizes[0].width))});
  return tensors;
}

int run_preprocess(const PreprocessOptions& o) {
  catch_signals();
  Context ctx = or_exit(kOther, [&] { return Context(ContextOptions{.threads = o.threads}); });
  const auto processor = or_refuse([&] {
    const auto folder = io::ModelFolder::open(o.model);
    const auto backend = backend_of(o.backend);
    return folder.naming([&] { return image::ImageProcessor::load(folder.root(), backend); });
  });
  ImageInputs inputs(o.images);
  RowMap rows(o.out, 0);
  Progress progress("images");
  std::vector<image::Image> sizes;  // without pixels
  std::vector<std::vector<float>> values;
  const image::ProcessorConfig& config = processor.config();
  const bool flat = config.size == image::ProcessorConfig::Size::patches;
  FlatPatches patches;
  std::vector<ImageInput> batch;
  long long input = 0;
  const auto run = [&] {
    auto p = prepare_images(ctx, batch, [&](Context& own, const image::Image& i) { return processor.prepare(own, i); });
    for (std::size_t i = 0; i < batch.size(); ++i, ++input) {
      if (!p.why[i].empty()) {
        rows.skip(input, batch[i].name, p.why[i]);
        continue;
      }
      const index_t h = p.images[i].height, w = p.images[i].width;
      std::vector<float> planes(static_cast<std::size_t>(3 * h * w));
      processor.values_of(ctx, p.images[i], View<float, 3>(planes.data(), 3, h, w));
      if (flat) {
        try {
          patches.add(config, View<const float, 3>(planes.data(), 3, h, w));
        } catch (const Error& e) {
          rows.skip(input, batch[i].name, e.what());
          continue;
        }
        planes.clear();
      }
      values.push_back(std::move(planes));
      sizes.emplace_back();
      sizes.back().height = h, sizes.back().width = w;
    }
    batch.clear();
    progress.update(input, inputs.fraction(input));
  };
  for (ImageInput next; inputs.next(next);) {
    batch.push_back(next);
    if (batch.size() >= 64) run();
  }
  if (!interrupted() && !batch.empty()) run();
  progress.clear();
  if (interrupted()) {
    say("stopped by a signal; nothing is written");
    return signal_exit();
  }
  std::vector<float> joined;
  const auto tensors = flat ? patches.tensors(config) : named(sizes, values, joined);
  or_exit(kOutput,
          [&] { rows.commit(static_cast<long long>(values.size()), [&] { io::write_safetensors(o.out, tensors); }); });
  return outcome(!rows.skipped().empty(), false);
}

}  // namespace

void add_preprocess(Command& app, int& exit) {
  auto o = std::make_shared<PreprocessOptions>();
  app.option("--model", o->model, "model folder, or org/name in the Hugging Face cache of this machine").required();
  app.option("--image", o->images, kImageHelp).required();
  app.option("-o,--out", o->out, "the safetensors file to write: pixel_values, and what a model takes beside them")
      .required();
  app.option("--backend", o->backend, "whose image processor: pil or torchvision").one_of({"pil", "torchvision"});
  app.option("--threads", o->threads, "threads; 0: all processors").range(0, 1024);
  app.runs([o] { return run_preprocess(*o); }, exit);
}

}  // namespace tool
