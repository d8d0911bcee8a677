// Images to embeddings, a batch at a time: what embed, classify and search share.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <tessera/models/image_encoder.hpp>

#include "images.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace tool {

/// Hears of each input once, in their order.
class ImageSink {
 public:
  ImageSink() = default;
  ImageSink(const ImageSink&) = delete;
  ImageSink& operator=(const ImageSink&) = delete;
  virtual ~ImageSink() = default;
  /// \param input its number, from 0. \param values finite, as many as the embedding has.
  virtual void row(long long input, const ImageInput& image, const float* values) = 0;
  virtual void skip(long long input, const ImageInput& image, const std::string& why) = 0;
  /// A skip() for an embedding that is not finite.
  virtual void nonfinite(long long input, const ImageInput& image) {
    skip(input, image, "its embedding holds NaN or infinity");
  }
};

/// Names what it cannot have on stderr, and remembers that there was such a thing.
class NamingSink : public ImageSink {
 public:
  bool any_skipped = false, any_nonfinite = false;

  void skip(long long, const ImageInput& image, const std::string& why) override {
    say(image.name + " skipped: " + why);
    any_skipped = true;
  }
  void nonfinite(long long input, const ImageInput& image) override {
    ImageSink::nonfinite(input, image);
    any_nonfinite = true;
  }
};

/// Embeds inputs [first, last) of all (last < 0: to the end), or as many as there are before a signal.
inline void embed_each(tessera::Context& ctx, const tessera::models::ImageEncoder& model,
                       const tessera::models::ImageEmbedOptions& options, ImageInputs& inputs, long long first,
                       long long last, Progress& progress, ImageSink& sink) {
  using namespace tessera;
  const auto& m = model.model();
  const index_t dim = model.dim(options);
  const index_t usual = m.prefix_tokens + m.image_height / m.patch.height * (m.image_width / m.patch.width);
  const auto full = static_cast<std::size_t>(std::max<index_t>(1, options.batch_tokens / usual));
  std::vector<ImageInput> batch;
  long long done = first;
  const auto run = [&] {
    auto p = prepare_images(ctx, batch, [&](Context& own, const image::Image& i) { return model.prepare(own, i); });
    std::vector<image::PreparedImage> good;
    for (std::size_t i = 0; i < batch.size(); ++i)
      if (p.why[i].empty()) good.push_back(std::move(p.images[i]));
    const auto n = static_cast<index_t>(good.size());
    std::vector<float> rows(static_cast<std::size_t>(n * dim));
    model.embed_prepared(ctx, good, options, View<float, 2>(rows.data(), n, dim));
    const float* row = rows.data();
    for (std::size_t i = 0; i < batch.size(); ++i, ++done) {
      if (!p.why[i].empty()) {
        sink.skip(done, batch[i], p.why[i]);
        continue;
      }
      if (std::all_of(row, row + dim, [](float v) { return std::isfinite(v); }))
        sink.row(done, batch[i], row);
      else
        sink.nonfinite(done, batch[i]);
      row += dim;
    }
    batch.clear();
    const double all = static_cast<double>(last < 0 ? inputs.total() : last) - static_cast<double>(first);
    progress.update(done - first, all > 0 ? static_cast<double>(done - first) / all : -1);
  };
  ImageInput input;
  for (long long i = 0; (last < 0 || i < last) && inputs.next(input); ++i) {
    if (i < first) continue;
    batch.push_back(input);
    if (batch.size() >= full) run();
  }
  if (!interrupted() && !batch.empty()) run();
  progress.clear();
}

}  // namespace tool
