// tessera embed --image: one embedding an image.
#include <string>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/models/image_encoder.hpp>

#include "embed_images.hpp"
#include "embed_output.hpp"
#include "image_rows.hpp"

namespace tool {

using namespace tessera;

namespace {

struct ToOutput final : ImageSink {
  EmbedOutput& out;
  std::vector<long long> not_finite;
  explicit ToOutput(EmbedOutput& o) : out(o) {}
  void row(long long, const ImageInput&, const float* values) override { out.row(values); }
  void skip(long long input, const ImageInput& image, const std::string& why) override { out.skip(input, image.name, why); }
  void nonfinite(long long input, const ImageInput& image) override {
    ImageSink::nonfinite(input, image);
    not_finite.push_back(input);
  }
};

}  // namespace

int embed_images(Context& ctx, const ImageJob& job, ImageInputs& inputs, const Shard& shard, const io::Json& manifest) {
  const auto model = job.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::ImageEncoder::load(ctx, job.run.model, load, job.backend);
  });
  const auto layers = model.model().transformer->config().layers;
  if (job.embed.layers > layers)
    throw Failure{kUsage, "--layers " + std::to_string(job.embed.layers) + ": this model has " + std::to_string(layers)};
  const index_t dim = or_exit(kUsage, [&] { return model.dim(job.embed); });
  EmbedOutput out(shard.part, dim, shard.first);
  Progress progress("images");
  ToOutput sink(out);
  embed_each(ctx, model, job.embed, inputs, shard.first, shard.last, progress, sink);
  if (interrupted()) {
    const bool kept = out.keeps_what_is_done();
    if (kept) commit_part(out, shard);
    return stopped(out, kept);
  }
  commit_part(out, shard);
  if (!shard.manifest.empty()) write_manifest(shard, manifest, out, sink.not_finite);
  summary(out, progress, "images");
  return outcome(!out.skipped().empty(), !sink.not_finite.empty());
}

}  // namespace tool
