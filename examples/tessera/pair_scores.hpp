// How well a text fits a query, by whatever kind of model a folder holds.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tool.hpp"

namespace tool {

class PairScores {
 public:
  PairScores() = default;
  PairScores(const PairScores&) = delete;
  PairScores& operator=(const PairScores&) = delete;
  virtual ~PairScores() = default;
  /// Of each text; NaN or infinity where the model gives them.
  virtual std::vector<float> of(tessera::Context& ctx, const std::string& query, std::span<const std::string> texts) = 0;
  /// Tokens that a text is cut to.
  virtual tessera::index_t max_length() const = 0;
};

/// A cross-encoder; or a model with an embedding a token (ColBERT), by late interaction; or a sparse one (SPLADE), by inner
/// products: which it is, the folder says. \throws Failure for a model that is none, or a length that it has not.
std::unique_ptr<PairScores> load_pair_scores(tessera::Context& ctx, const RunOptions& run,
                                             const tessera::models::ScoreOptions& options);

}  // namespace tool
