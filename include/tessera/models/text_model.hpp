// A text transformer with its family's head, as a Hugging Face folder holds it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tessera/io/model_folder.hpp>
#include <tessera/models/tensor_source.hpp>
#include <tessera/models/transformer.hpp>

namespace tessera::models {

/// act(W x + b): BERT's pooler, sentence-transformers' Dense.
struct DenseLayer {
  ops::LinearWeights linear;
  Activation act = Activation::identity;
  std::vector<float> bias_storage;
};
/// The layer of `name`.weight [n, k] (n < 0: of any height) and, if there is one, `name`.bias; a weight of more dimensions
/// counts its first one as n. \throws Error kNotFound, kShapeMismatch.
DenseLayer read_dense(Context& ctx, TensorSource& source, const std::string& name, index_t n, index_t k);
/// The same with its weight at hand.
DenseLayer dense_layer(Context& ctx, TensorSource& source, const std::string& name, const WeightView& weight);

/// LayerNorm(act(W x + b)), or without the norm: what stands between a stack and the words or labels that it tells apart.
struct PredictionHead {
  DenseLayer dense;
  std::vector<float> gamma, beta;  ///< empty: no norm
  float eps = 1e-12f;

  /// The layer of dense.weight [n, k] (n < 0: of any height).
  /// \param norm of its tensors; null: none.  \param shifts whether the norm must have a bias.
  /// \throws Error kNotFound, kShapeMismatch.
  static PredictionHead read(Context& ctx, TensorSource& source, const char* dense, const char* norm, index_t n, index_t k,
                             bool shifts);
  index_t width() const noexcept { return dense.linear.weight.n(); }
  /// \param x [T, C].  \param out [T, width()].
  void run(Context& ctx, View<const float, 2> x, View<float, 2> out) const;
};

/// How the text tower of an image-text model ends: one token stands for the text, and is projected into the common space.
struct TextHead {
  /// Which token: the last; the first end token; the one with the highest id (CLIP folders from before 2023, whose
  /// eos_token_id says 2).
  enum class Pooled : unsigned char { last, first_eos, highest_id };
  Pooled pooled = Pooled::last;
  std::int32_t eos = -1;
  std::int32_t pad = -1;  ///< texts are filled up with it to all positions, and no mask hides it (SigLIP); negative: not
  bool pad_left = false;
  DenseLayer projection;  ///< [E, C]

  /// The row of the token that stands for the text, among those of its ids. First of equals; row 0 where there is no eos.
  index_t row(View<const std::int32_t, 1> ids) const noexcept;
};

/// What transformers' AutoModel would load: the stack and, where the family has one, the pooler on the first token. Of an
/// image-text model the text tower.
struct TextModel {
  std::string family;  ///< config.json's model_type
  std::unique_ptr<const Transformer> transformer;
  std::optional<DenseLayer> pooler;
  std::optional<TextHead> head;
  index_t max_length = 0;  ///< tokens a sequence may have: positions that exist

  /// pooler_output: pooler(x[first token of each sequence]). \param out [B, C].
  void pool_first(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu_seqlens, View<float, 2> out) const;
  /// text_embeds, not yet normalised, of a model with a head. \param ids [sum T].  \param out [B, E].
  void embed(Context& ctx, View<const float, 2> hidden, View<const std::int32_t, 1> ids, View<const index_t, 1> cu_seqlens,
             View<float, 2> out) const;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/text_model-inl.hpp>
#endif
