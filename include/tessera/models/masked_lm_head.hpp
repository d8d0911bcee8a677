// The head for masked tokens of BERT and its relatives: from hidden states to logits over the vocabulary.
#pragma once
#include <memory>
#include <vector>

#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// logits = E LayerNorm(act(W h + b)) + c, E the table of words unless tie_word_embeddings is false.
/// Source: Devlin et al., arXiv:1810.04805, section 3.1; transformers' BertForMaskedLM and its like.
struct MaskedLmHead {
  PredictionHead transform;
  std::vector<float> bias;       ///< [V]
  View<const float, 2> decoder;  ///< [V, width], read in place
  std::shared_ptr<const void> keep_alive;

  /// \param family as TextModel has it. \throws Error kUnsupported for one without such a head, kNotFound, kShapeMismatch.
  static MaskedLmHead read(Context& ctx, const io::ModelFolder& folder, const TextModel& model, const LoadOptions& options);
  index_t width() const noexcept { return decoder.extent[1]; }
  index_t vocabulary() const noexcept { return decoder.extent[0]; }
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/masked_lm_head-inl.hpp>
#endif
