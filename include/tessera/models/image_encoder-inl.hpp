#pragma once
#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/image_encoder.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

inline ImageEncoder ImageEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options,
                                       image::Backend backend) {
  const io::ModelFolder folder = io::ModelFolder::open(path);
  ImageEncoder e;
  e.model_ = load_image_model(ctx, folder, options);
  e.processor_ = folder.naming([&] { return image::ImageProcessor::load(folder.root(), backend); });
  if (e.model_.patch.channels != 3)
    throw Error(Code::kUnsupported, {folder.path("config.json"), ": num_channels ", std::to_string(e.model_.patch.channels),
                                     ": images are prepared with three"});
  return e;
}

inline index_t ImageEncoder::dim(const ImageEmbedOptions& o) const {
  const index_t d = o.pooling || !model_.has_embedding() ? model_.channels() : model_.dim();
  if (o.dims < 0 || o.dims > d)
    throw Error(Code::kBadArgument,
                {"dims ", std::to_string(o.dims), ": this model's embeddings have ", std::to_string(d), " numbers"});
  return o.dims > 0 ? o.dims : d;
}

inline image::PreparedImage ImageEncoder::prepare(Context& ctx, const image::Image& image) const {
  image::PreparedImage prepared = processor_->prepare(ctx, image);
  const ops::Pixels p = processor_->pixels(prepared);
  (void)model_.offsets({&p, 1});  // refuses what is smaller than a patch
  return prepared;
}

inline index_t ImageEncoder::tokens(index_t height, index_t width) const {
  const auto size = processor_->output_size(height, width);
  return model_.prefix_tokens + (size.height / model_.patch.height) * (size.width / model_.patch.width);
}

inline void ImageEncoder::embed_prepared(Context& ctx, std::span<const image::PreparedImage> prepared,
                                         const ImageEmbedOptions& o, View<float, 2> out) const {
  const auto n = static_cast<index_t>(prepared.size());
  const index_t width = dim(o), c = model_.channels();
  if (out.extent[0] != n || out.extent[1] != width || !out.packed())
    throw Error(Code::kShapeMismatch, {"embed: out must be packed [", std::to_string(n), ", ", std::to_string(width), "]"});
  if (n == 0) return;
  std::vector<ops::Pixels> images;
  for (const image::PreparedImage& image : prepared) images.push_back(processor_->pixels(image));
  const std::vector<index_t> cu = model_.offsets(images);
  const Buffer memory(static_cast<std::size_t>(cu.back() * c) * sizeof(float));
  const View<float, 2> hidden(memory.as<float>(), cu.back(), c);
  View<const index_t, 1> offsets(cu.data(), n + 1);
  MergedTokens left;
  ForwardOptions forward;
  forward.layers = o.layers, forward.taps = o.taps, forward.attention = o.attention;
  if (o.merging) {
    left = model_.forward_merged(ctx, images, hidden, *o.merging, forward);
    offsets = left.offsets();
  } else {
    model_.forward(ctx, images, hidden, forward);
  }
  const View<const float, 2> tokens = hidden.slice(0, offsets(n));
  const ops::Pooling asked = o.pooling.value_or(ops::Pooling::cls);
  const ops::Pooling pooling = o.merging && asked == ops::Pooling::mean ? ops::Pooling::weighted_mean : asked;
  const bool own = !o.pooling && model_.has_embedding();
  const index_t d = own ? model_.dim() : c;
  std::vector<float> rows(static_cast<std::size_t>(n * d));
  View<float, 2> x(rows.data(), n, d);
  if (own)
    model_.embed(ctx, tokens, offsets, x, left.weights());
  else
    ops::pool(ctx, pooling, tokens, offsets, left.weights(), x);
  x.extent[1] = width;
  if (o.normalize) ops::l2_normalize(ctx, x, x);
  for (index_t i = 0; i < n; ++i)
    __builtin_memcpy(out.data + i * width, rows.data() + i * d, static_cast<std::size_t>(width) * sizeof(float));
}

inline Embeddings ImageEncoder::embed(Context& ctx, std::span<const image::Image> images, const ImageEmbedOptions& o) const {
  Embeddings e;
  e.rows = static_cast<index_t>(images.size());
  e.dim = dim(o);
  e.values.resize(static_cast<std::size_t>(e.rows * e.dim));
  for (index_t b = 0; b < e.rows;) {
    std::vector<image::PreparedImage> prepared;
    index_t sum = 0;
    for (index_t end = b; end < e.rows; ++end) {
      const image::Image& image = images[static_cast<std::size_t>(end)];
      sum += tokens(image.height, image.width);
      if (end > b && sum > o.batch_tokens) break;
      prepared.push_back(prepare(ctx, image));
    }
    const auto n = static_cast<index_t>(prepared.size());
    embed_prepared(ctx, prepared, o, View<float, 2>(e.values.data() + b * e.dim, n, e.dim));
    b += n;
  }
  detail::expect_finite(ctx, e, "image");
  return e;
}

}  // namespace tessera::models
