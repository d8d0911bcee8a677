// How good a ranking is: the metrics of trec_eval and ranx, in double precision.
#pragma once
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/retrieval/qrels.hpp>

namespace tessera::retrieval {

/// One query as a metric sees it: grades, those of documents that are not relevant as 0.
struct Judged {
  std::vector<int> ranked;  ///< of what was found, the best first
  std::vector<int> ideal;   ///< of all relevant documents, highest first
};

/// One number for one query, by its k best documents: from 0 to 1, 0 where no document is relevant.
struct Metric {
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  double (*of)(const Judged& query, std::size_t k);
  std::size_t k = kAll;

  double operator()(const Judged& query) const { return of(query, k); }
};

/// Metrics by their names, alone or with @k:
///   recall        relevant ones among the k, of all relevant ones
///   precision     relevant ones among the k, of k (also where fewer were found; without @k: of what was found)
///   hit_rate      1 if one of the k is relevant
///   mrr           1 / rank of the first relevant one
///   map           sum over the ranks r of relevant ones of precision@r, of all relevant ones
///   ndcg          DCG of the k / DCG of the k best there are; DCG = sum of grade / log2(rank + 1): Jarvelin, Kekalainen:
///                 "Cumulated gain-based evaluation of IR techniques", TOIS 2002; ndcg_cut of trec_eval
///   ndcg_burges   the same with gains 2^grade - 1: Burges et al.: "Learning to rank using gradient descent", ICML 2005
/// \throws Error kBadArgument naming the known ones, and for a name that is there twice.
std::vector<Metric> find_metrics(const std::vector<std::string>& names);

/// All queries of the qrels, as `trec_eval -c` counts: one that the run lacks is 0 in every metric, and so is one without a
/// relevant document.
struct Evaluation {
  std::vector<std::string> queries;  ///< [Q] in the order of their names as bytes
  std::vector<double> values;        ///< [Q, M]
  std::vector<double> means;         ///< [M] over these queries
  std::size_t missing = 0;           ///< of these, how many the run lacks
  std::size_t ignored = 0;           ///< queries of the run that are not in the qrels: they count nowhere
};

/// \param metrics [M] names. \throws Error as find_metrics(); kBadArgument for qrels without a query and for a
/// document that a query has twice, kNonFinite for such a score, kLimit for a grade above 900 (2^grade must be a number).
Evaluation evaluate(const Qrels& qrels, const Run& run, const std::vector<std::string>& metrics);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/metrics-inl.hpp>
#endif
