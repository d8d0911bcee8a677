// Search in stages: a cheap way finds many rows, dearer ones keep the best of these.
#pragma once
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <tessera/models/cross_encoder.hpp>
#include <tessera/retrieval/bm25.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/ranking.hpp>

namespace tessera::retrieval {

/// A way to score rows, made for a batch of queries: a ranking of at most `keep` rows for each of them.
/// \param among what each query may be answered with; empty: all rows, which the first stage is asked for.
using Scorer = std::function<std::vector<Ranking>(Context& ctx, std::span<const Ranking> among, std::size_t keep)>;

/// By embeddings, as Corpus::search() scores them. A corpus of fewer numbers than the queries have is searched by their
/// first ones, so that a prefix (Matryoshka, arXiv:2205.13147) in int8 or bits is a corpus of its own, with the same ids.
/// All of these refer to their arguments. \param queries [B, E], E at least the corpus's. \param took is added to.
Scorer by_embeddings(const Corpus& corpus, View<const float, 2> queries, const SearchOptions& options = {},
                     ops::CertifiedStats* took = nullptr);
/// By words. \param terms of each query. \param allowed as Bm25::search().
Scorer by_words(const Bm25& index, std::span<const std::vector<Term>> terms, std::span<const std::uint64_t> allowed = {});
/// By the reciprocal ranks (reciprocal_rank_fusion()) of two ways, of each its `depth` best rows, or `keep` if that is more.
Scorer by_ranks(Scorer a, Scorer b, std::size_t depth = 100);
/// By what a cross-encoder makes of a query and the string that a document has as `field`. Rows without such a string, and
/// those whose score is not finite, are left out. \param left_out how many these were is added to it.
/// \throws Error kBadArgument as first stage, which has no rows to choose from, or for a model of several labels.
Scorer by_cross_encoder(const models::CrossEncoder& model, std::span<const std::string> queries, const Corpus& corpus,
                        const std::string& field = "text", const models::ScoreOptions& options = {},
                        index_t* left_out = nullptr);

struct Stage {
  std::string name;  ///< for people
  Scorer score;
  std::size_t keep = 10;                                     ///< rows of each query that the next stage gets
  double most_ms = std::numeric_limits<double>::infinity();  ///< when it took as long, the stages behind it are skipped
};

/// What a stage did, of all queries together.
struct StageStats {
  index_t seen = 0, kept = 0;  ///< rows
  double ms = 0;
  bool skipped = false;
};

struct StagedRankings {
  std::vector<Ranking> of;         ///< of each query, by the last stage that was not skipped
  std::vector<StageStats> stages;  ///< of all stages
  bool skipped() const noexcept { return !stages.empty() && stages.back().skipped; }
};

/// Runs the stages one after the other: each ranks what the one before it kept, as it would if it were asked alone. A stage
/// that has begun is finished. Rankings of a call without a limit in time have the same bits for any batch and thread count.
/// \param queries how many the scorers were made for. \param rows that the first stage chooses from, for its statistics.
/// \throws Error kBadArgument without a stage, for a stage that keeps nothing or a limit that is NaN or below 0; what
/// scorers throw.
StagedRankings search_in_stages(Context& ctx, std::span<const Stage> stages, std::size_t queries, index_t rows);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/stages-inl.hpp>
#endif
