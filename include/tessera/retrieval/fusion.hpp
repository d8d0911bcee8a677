// One ranking of several: by ranks, or by scores made comparable.
#pragma once
#include <vector>

#include <tessera/core/error.hpp>
#include <tessera/retrieval/ranking.hpp>

namespace tessera::retrieval {

/// score = sum over the rankings that have the document of 1 / (k + rank), ranks from 1. Scores count only by their order.
/// Cormack, Clarke, Buettcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR
/// 2009. \param k 0 or more: the larger, the less the first ranks stand out. \return all documents of all rankings, in the
/// one order. \throws Error kBadArgument for a k below 0 or not finite, and for what is no Ranking: not in the order of
/// before(), an id twice or below 0, NaN.
Ranking reciprocal_rank_fusion(const std::vector<Ranking>& rankings, double k = 60);

/// What makes scores of different searches comparable, from the scores of one ranking; scores that are all equal become 0.
enum class Normalization : unsigned char {
  none,     ///< the scores themselves
  min_max,  ///< (s - lowest) / (highest - lowest)
  z_score,  ///< (s - mean) / standard deviation, of all of them (divided by n, not by n - 1)
};

/// score = sum over the rankings that have the document of weight * normalised score; the others add 0, whatever 0 means
/// under that normalisation. ranx' wsum, with its norms min-max and zmuv.
/// \param weights one a ranking, of any sign.
/// \throws Error as reciprocal_rank_fusion(); kShapeMismatch for another number of weights; kNonFinite for a sum or a spread
/// that is not finite.
Ranking weighted_fusion(const std::vector<Ranking>& rankings, const std::vector<double>& weights,
                        Normalization normalization = Normalization::min_max);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/fusion-inl.hpp>
#endif
