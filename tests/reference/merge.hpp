// Naive merging of tokens in double precision.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <tessera/ops/merge.hpp>
#include "reference/result.hpp"

namespace tessera::ref {

/// \param rows the tokens of each row, the destination first.  \param sizes [T].  \param new_sizes [T'], filled.
inline Result merge_tokens(MergeMode mode, const std::vector<std::vector<index_t>>& rows, View<const float, 2> x,
                           const std::vector<float>& sizes, const std::vector<float>& coefficients,
                           std::vector<double>& new_sizes) {
  const index_t c = x.extent[1];
  Result out(static_cast<index_t>(rows.size()), c);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto& row = rows[r];
    const auto at = [](index_t t) { return static_cast<std::size_t>(t); };
    double size = 0, longest = 0, norm = 0;
    for (const index_t t : row) {
      double squares = 0;
      for (index_t j = 0; j < c; ++j) squares += double{x(t, j)} * double{x(t, j)};
      longest = std::max(longest, std::sqrt(squares)), size += double{sizes[at(t)]};
    }
    const bool alone = mode == MergeMode::keep || mode == MergeMode::combine;
    new_sizes.push_back(alone ? double{sizes[at(row[0])]} : size);
    std::vector<double> v(static_cast<std::size_t>(c)), m(v.size());
    for (index_t j = 0; j < c; ++j)
      for (std::size_t i = 0; i < row.size(); ++i) {
        const index_t t = row[i];
        const double e = double{x(t, j)};
        const double w = mode == MergeMode::weighted_mean && row.size() > 1 ? double{sizes[at(t)]} / size
                         : mode == MergeMode::mean                          ? 1 / static_cast<double>(row.size())
                         : mode == MergeMode::combine                       ? double{coefficients[at(t)]}
                         : mode == MergeMode::keep && i > 0                 ? 0.0
                                                                            : 1.0;
        double& sum = v[static_cast<std::size_t>(j)];
        sum = mode == MergeMode::max ? (i == 0 ? e : std::max(sum, e)) : sum + w * e;
        m[static_cast<std::size_t>(j)] += std::fabs(w * e);
      }
    for (const double e : v) norm += e * e;
    norm = std::sqrt(norm);
    for (index_t j = 0; j < c; ++j) {
      const double scale = mode == MergeMode::norm_preserving && row.size() > 1 && norm > 0 ? longest / norm : 1;
      out.set(static_cast<index_t>(r), j, v[static_cast<std::size_t>(j)] * scale, m[static_cast<std::size_t>(j)] * scale);
    }
  }
  return out;
}

}  // namespace tessera::ref
