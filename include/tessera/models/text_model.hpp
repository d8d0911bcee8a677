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

/// What transformers' AutoModel would load: the stack and, where the family has one, the pooler on the first token.
struct TextModel {
  std::string family;  ///< config.json's model_type
  std::unique_ptr<const Transformer> transformer;
  std::optional<DenseLayer> pooler;
  index_t max_length = 0;  ///< tokens a sequence may have: positions that exist

  /// pooler_output: pooler(x[first token of each sequence]). \param out [B, C].
  void pool_first(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu_seqlens, View<float, 2> out) const;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/text_model-inl.hpp>
#endif
