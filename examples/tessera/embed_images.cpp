// tessera embed --image: one embedding an image.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/models/image_encoder.hpp>

#include "embed_images.hpp"
#include "embed_output.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace tool {

using namespace tessera;

int embed_images(Context& ctx, const ImageJob& job) {
  const auto model = or_refuse([&] { return models::ImageEncoder::load(ctx, job.run.model, job.run.load(), job.backend); });
  const auto layers = model.model().transformer->config().layers;
  if (job.embed.layers > layers)
    throw Failure{kUsage, "--layers " + std::to_string(job.embed.layers) + ": this model has " + std::to_string(layers)};
  const index_t dim = or_exit(kUsage, [&] { return model.dim(job.embed); });
  ImagePaths paths(job.images);
  EmbedOutput out(job.out, dim, 0);
  Progress progress("images");
  bool nonfinite = false;
  const auto& m = model.model();
  const index_t usual = m.prefix_tokens + m.image_height / m.patch.height * (m.image_width / m.patch.width);
  const auto full = static_cast<std::size_t>(std::max<index_t>(1, job.embed.batch_tokens / usual));
  std::vector<std::string> batch;
  long long input = 0;
  const auto run = [&] {
    Prepared p = prepare_images(ctx, batch, [&](Context& own, const image::Image& i) { return model.prepare(own, i); });
    std::vector<image::PreparedImage> good;
    for (std::size_t i = 0; i < batch.size(); ++i)
      if (p.why[i].empty()) good.push_back(std::move(p.images[i]));
    const auto n = static_cast<index_t>(good.size());
    std::vector<float> rows(static_cast<std::size_t>(n * dim));
    model.embed_prepared(ctx, good, job.embed, View<float, 2>(rows.data(), n, dim));
    const float* row = rows.data();
    for (std::size_t i = 0; i < batch.size(); ++i, ++input) {
      if (!p.why[i].empty()) {
        out.skip(input, batch[i], p.why[i]);
        continue;
      }
      if (std::all_of(row, row + dim, [](float v) { return std::isfinite(v); })) {
        out.row(row);
      } else {
        out.skip(input, batch[i], "its embedding holds NaN or infinity");
        nonfinite = true;
      }
      row += dim;
    }
    batch.clear();
    progress.update(out.seen(),
                    paths.total() < 0 ? -1 : static_cast<double>(out.seen()) / static_cast<double>(paths.total()));
  };
  for (std::string path; paths.next(path);) {
    batch.push_back(path);
    if (batch.size() >= full) run();
  }
  if (!interrupted() && !batch.empty()) run();
  progress.clear();
  if (interrupted()) {
    const bool kept = out.keeps_what_is_done();
    if (kept) out.commit();
    return stopped(out, kept);
  }
  out.commit();
  summary(out, progress, "images");
  return outcome(!out.skipped().empty(), nonfinite);
}

}  // namespace tool
