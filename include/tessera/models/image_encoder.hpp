// Image to embedding: an image transformer, or the image tower of CLIP or SigLIP, with its processor.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tessera/image/processor.hpp>
#include <tessera/models/embeddings.hpp>
#include <tessera/models/image_model.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

/// What a caller may change about how images become embeddings.
struct ImageEmbedOptions {
  /// Instead of the model's own: over all tokens of the last hidden state, class and register tokens among them.
  std::optional<ops::Pooling> pooling = {};
  index_t dims = 0;                       ///< keep the first so many and normalise again; 0: all
  index_t layers = -1;                    ///< run only the first layers; -1: all
  bool normalize = true;                  ///< to unit length
  index_t batch_tokens = 16384;           ///< tokens that go through the model at once
  const Taps* taps = nullptr;             ///< see core/taps.hpp
  ops::AttentionHook attention = {};      ///< replaces every layer's attention
  const TokenMerging* merging = nullptr;  ///< tokens merge on the way; means over tokens then weigh them by size
};

/// A loaded embedding model: const after load(), shared by any number of threads, each with its own Context.
/// The embedding is image_embeds where the model has them (CLIP), its attention-pooled output (SigLIP), or the class token
/// of the last hidden state (ViT, DeiT, DINOv2, DINOv3). ViT's tanh pooler takes no part: most folders never trained it.
class ImageEncoder {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache; nothing is downloaded.
  /// \throws Error that names the file and what to do.
  static ImageEncoder load(Context& ctx, const std::string& path, const LoadOptions& options = {},
                           image::Backend backend = image::Backend::pil);

  /// One row an image. The same bits whatever else is in the call.
  /// \throws Error kBadArgument for options the model cannot serve, kNonFinite when a row would hold NaN or infinity.
  Embeddings embed(Context& ctx, std::span<const image::Image> images, const ImageEmbedOptions& options = {}) const;

  /// The steps of embed(), for callers that stream: images of the model's size, and embeddings of those into out [N, dim()].
  /// \throws Error kBadArgument for an image that is smaller than a patch then, and as ImageProcessor::prepare().
  image::PreparedImage prepare(Context& ctx, const image::Image& image) const;
  void embed_prepared(Context& ctx, std::span<const image::PreparedImage> prepared, const ImageEmbedOptions& options,
                      View<float, 2> out) const;

  /// Length of an embedding under these options.
  index_t dim(const ImageEmbedOptions& options = {}) const;
  /// Tokens of an image of that size, once prepared.
  index_t tokens(index_t height, index_t width) const;
  const image::ImageProcessor& processor() const noexcept { return *processor_; }
  const ImageModel& model() const noexcept { return model_; }

 private:
  ImageModel model_;
  std::optional<image::ImageProcessor> processor_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/image_encoder-inl.hpp>
#endif
