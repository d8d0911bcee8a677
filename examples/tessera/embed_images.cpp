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

namespace {

using namespace tessera;

/// Decodes and prepares paths side by side; what cannot be read has a reason instead of pixels.
struct Prepared {
  std::vector<image::Image> images;
  std::vector<std::string> why;
};
Prepared prepare(Context& ctx, const models::ImageEncoder& model, const std::vector<std::string>& paths) {
  Prepared p;
  p.images.resize(paths.size()), p.why.resize(paths.size());
  const auto one = [&](std::size_t i, Context& own) {
    try {
      p.images[i] = model.prepare(own, image::load(paths[i]));
    } catch (const Error& e) {
      const std::string sentence = e.what(), name = paths[i] + ": ";
      p.why[i] = sentence.starts_with(name) ? sentence.substr(name.size()) : sentence;
    }
  };
  if (ctx.threads() == 1) {
    for (std::size_t i = 0; i < paths.size(); ++i) one(i, ctx);
    return p;
  }
  for (int lane = 0; lane < ctx.threads(); ++lane) (void)ctx.lane(lane);  // made here: tasks must not
  ctx.parallel_for(static_cast<index_t>(paths.size()),
                   [&](index_t i, int lane) { one(static_cast<std::size_t>(i), ctx.lane(lane)); });
  return p;
}

}  // namespace

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
    Prepared p = prepare(ctx, model, batch);
    std::vector<image::Image> good;
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
