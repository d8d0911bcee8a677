#pragma once
#include <cmath>
#include <string>
#include <unordered_map>
#include <utility>

#include <tessera/retrieval/fusion.hpp>

namespace tessera::retrieval {

namespace detail {

/// Sums of part(ranking, place) over where each document stands.
template <class Part>
Ranking fuse(const char* who, const std::vector<Ranking>& rankings, const Part& part) {
  struct Place {
    std::size_t in, ranking;  ///< place in `sums`, and the last ranking that had it
  };
  Ranking sums;
  std::unordered_map<index_t, Place> places;
  for (std::size_t i = 0; i < rankings.size(); ++i)
    for (std::size_t j = 0; j < rankings[i].size(); ++j) {
      const Hit& hit = rankings[i][j];
      const auto [at, fresh] = places.try_emplace(hit.id, Place{sums.size(), i});
      const bool twice = !fresh && std::exchange(at->second.ranking, i) == i;
      if (twice || hit.id < 0 || hit.score != hit.score || (j > 0 && !before(rankings[i][j - 1], hit)))
        throw Error(Code::kBadArgument, {who, ": ranking ", std::to_string(i), " has id ", std::to_string(hit.id),
                                         " at place ", std::to_string(j), twice ? " a second time" : " out of order",
                                         ", expected ids from 0, each once, by score, then by id; best() sorts"});
      if (fresh) sums.push_back({hit.id, 0});
      sums[at->second.in].score += part(i, j);
    }
  for (const Hit& sum : sums)
    if (!std::isfinite(sum.score))
      throw Error(Code::kNonFinite, {who, ": the score of id ", std::to_string(sum.id),
                                     " is not finite, expected finite weights and scores of a finite sum"});
  const std::size_t n = sums.size();
  return best(std::move(sums), n);
}

struct Scale {
  double centre = 0, spread = 1;
};

inline Scale scale_of(const Ranking& ranking, Normalization normalization) {
  if (normalization == Normalization::none || ranking.empty()) return {};
  const double high = ranking.front().score, low = ranking.back().score;
  if (high == low) return {high, 1};  // a mean may be off by its rounding, which no spread would hide
  if (normalization == Normalization::min_max) return {low, high - low};
  const double n = static_cast<double>(ranking.size());
  double sum = 0, squares = 0;
  for (const Hit& h : ranking) sum += h.score;
  for (const Hit& h : ranking) squares += (h.score - sum / n) * (h.score - sum / n);
  return {sum / n, std::sqrt(squares / n)};
}

}  // namespace detail

inline Ranking reciprocal_rank_fusion(const std::vector<Ranking>& rankings, double k) {
  if (!(k >= 0) || !std::isfinite(k))
    throw Error(Code::kBadArgument,
                {"reciprocal_rank_fusion: k is ", std::to_string(k), ", expected 0 or more, and finite"});
  return detail::fuse("reciprocal_rank_fusion", rankings,
                      [&](std::size_t, std::size_t place) { return 1 / (k + static_cast<double>(place + 1)); });
}

inline Ranking weighted_fusion(const std::vector<Ranking>& rankings, const std::vector<double>& weights,
                               Normalization normalization) {
  if (weights.size() != rankings.size())
    throw Error(Code::kShapeMismatch, {"weighted_fusion: ", std::to_string(weights.size()), " weights for ",
                                       std::to_string(rankings.size()), " rankings, expected one each"});
  std::vector<detail::Scale> scales;
  for (const Ranking& r : rankings) {
    scales.push_back(detail::scale_of(r, normalization));
    if (!std::isfinite(scales.back().spread))
      throw Error(Code::kNonFinite, {"weighted_fusion: the spread of ranking ", std::to_string(scales.size() - 1),
                                     " is not finite, expected finite scores"});
  }
  return detail::fuse("weighted_fusion", rankings, [&](std::size_t i, std::size_t place) {
    return weights[i] * ((rankings[i][place].score - scales[i].centre) / scales[i].spread);
  });
}

}  // namespace tessera::retrieval
