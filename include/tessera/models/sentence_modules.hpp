// The modules of a sentence-transformers folder that stand behind the transformer.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tessera/models/text_model.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

/// WeightedLayerPooling: token = sum_l w_l h_l / sum_l w_l over the hidden states h_l after layers l = first .. all, 0 being
/// the embeddings.
struct LayerMean {
  index_t first = 0;
  std::vector<float> weights;
};
/// Pooling: the modes' rows side by side.
struct TokenPooling {
  std::vector<ops::Pooling> modes{ops::Pooling::mean};
  bool include_prompt = true;
};
/// Dense: y = act(W x + b), and + x or + R x where use_residual says so.
struct Projection {
  DenseLayer layer, residual;  ///< the latter's weight is empty where x itself is added
  index_t in = 0, out = 0;
  bool adds_input = false, of_tokens = false;
};
/// LayerNorm of rows, with torch's eps of 1e-5.
struct RowNorm {
  std::vector<float> gamma, beta;
};
/// Normalize: rows of length 1.
struct UnitLength {
  bool of_tokens = false;
};

using SentenceModule = std::variant<LayerMean, TokenPooling, Projection, RowNorm, UnitLength>;

/// Rows [n, out] of rows [n, in]. \throws Error kShapeMismatch.
void apply(Context& ctx, const Projection& module, View<const float, 2> x, View<float, 2> out);
/// "56 -> 33 tanh", for people.
std::string shown(const Projection& module);
const char* pooling_name(ops::Pooling mode) noexcept;

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/sentence_modules-inl.hpp>
#endif
