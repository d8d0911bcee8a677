// An image transformer with its family's patch embedding and head, as a Hugging Face folder holds it.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tessera/models/text_model.hpp>
#include <tessera/ops/patch.hpp>

namespace tessera::models {

/// SigLIP's head: one learned query attends to all tokens, then an MLP with a residual.
/// Source: Zhai et al., arXiv:2303.15343; Lee et al., Set Transformer, arXiv:1810.00825 (pooling by multihead attention).
struct AttentionPool {
  std::vector<float> query;  ///< [C], projected
  ops::BlockWeights block;   ///< qkv is keys and values alone
  std::vector<std::vector<float>> storage;
};

/// What transformers' AutoModel would load: patches, prefix tokens, the stack, and the head that makes one vector of them.
struct ImageModel {
  std::string family;  ///< config.json's model_type
  ops::PatchShape patch;
  index_t image_height = 0, image_width = 0;  ///< what it was trained on
  DenseLayer projection;                      ///< [C, patch.size()]
  std::vector<float> prefix;                  ///< [prefix_tokens, C]: class token with its position, registers
  index_t prefix_tokens = 0;
  View<const float, 3> positions = {};  ///< [rows, columns, C] of patches, or empty
  ops::PositionInterpolation interpolation = ops::PositionInterpolation::bicubic;
  std::vector<float> rotary_frequencies;  ///< [D / 4] of each axis, down and across (DINOv3), or empty
  std::unique_ptr<const Transformer> transformer;
  std::optional<ops::NormWeights> pooled_norm;  ///< of the first token (CLIP)
  std::vector<float> pooled_norm_storage;
  std::optional<DenseLayer> pooler;  ///< on the first token (ViT)
  std::optional<AttentionPool> attention_pool;
  std::optional<DenseLayer> projection_out;  ///< [E, C] from the pooled vector into the space of texts (CLIP)

  index_t channels() const noexcept { return transformer->config().block.channels; }
  /// Where the tokens of each image begin: RaggedBatch's cu_seqlens.
  std::vector<index_t> offsets(std::span<const ops::Pixels> images) const;
  /// last_hidden_state of images of any sizes; positions are interpolated for those that differ from the training size.
  /// \param out [sum T, C] packed.  \throws Error kBadArgument for an image smaller than a patch, kShapeMismatch.
  /// Determinism: same bits for any batch, thread count, ISA.
  void forward(Context& ctx, std::span<const ops::Pixels> images, View<float, 2> out,
               const ForwardOptions& options = {}) const;
  /// The same with tokens merged on the way: \see Transformer::forward_merged. Prefix tokens stay.
  MergedTokens forward_merged(Context& ctx, std::span<const ops::Pixels> images, View<float, 2> out, TokenMerging merging,
                              const ForwardOptions& options = {}) const;
  /// pooler_output: from a last_hidden_state. Without a pooler of its own, the first token (DINOv2, DINOv3).
  /// \param cu_seqlens of offsets().  \param sizes [sum T] of merged tokens, or empty.  \param out [B, C].
  void pool(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu_seqlens, View<float, 2> out,
            View<const float, 1> sizes = {}) const;
  /// image_embeds, not yet normalised: what pool() gives, projected where the model does so. \param out [B, dim()].
  void embed(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu_seqlens, View<float, 2> out,
             View<const float, 1> sizes = {}) const;
  /// Whether it was trained to hand out one vector an image, which pool() or the projection gives.
  bool has_embedding() const noexcept { return projection_out || attention_pool || pooled_norm; }
  /// Whether transformers' model has a pooler_output: DINOv2's and DINOv3's is the class token.
  bool has_pooled() const noexcept { return has_embedding() || pooler || family.starts_with("dinov"); }
  index_t pooled_dim() const noexcept { return pooler ? pooler->linear.weight.n() : channels(); }
  index_t dim() const noexcept { return projection_out ? projection_out->linear.weight.n() : pooled_dim(); }

 private:
  /// run(inputs) with the tokens of `images`.
  template <class F>
  void with_tokens(Context& ctx, std::span<const ops::Pixels> images, const F& run) const;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/image_model-inl.hpp>
#endif
