// Naive embedding and pooling in double precision.
#pragma once
#include <cmath>
#include <vector>

#include <tessera/core/view.hpp>
#include <tessera/tables/embed.hpp>
#include "reference/result.hpp"

namespace tessera::ref {

/// Absent tables and indices have no data; an absent segment index is 0.
inline Result embed(View<const float, 2> word, View<const float, 2> position, View<const float, 2> segment,
                    const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& positions,
                    const std::vector<std::int32_t>& segments) {
  Result out(static_cast<index_t>(ids.size()), word.extent[1]);
  for (std::size_t t = 0; t < ids.size(); ++t)
    for (index_t c = 0; c < out.columns; ++c) {
      double v = word(ids[t], c), m = std::fabs(v);
      const double s = segment.data ? segment(segments.empty() ? 0 : segments[t], c) : 0;
      const double p = position.data ? position(positions[t], c) : 0;
      v += s + p, m += std::fabs(s) + std::fabs(p);
      out.set(static_cast<index_t>(t), c, v, m);
    }
  return out;
}

inline Result pool(kernels::Pooling mode, View<const float, 2> x, const std::vector<index_t>& cu,
                   const std::vector<float>& weights) {
  using kernels::Pooling;
  Result out(static_cast<index_t>(cu.size()) - 1, x.extent[1]);
  for (index_t b = 0; b < out.rows; ++b) {
    const index_t begin = cu[static_cast<std::size_t>(b)], end = cu[static_cast<std::size_t>(b + 1)];
    for (index_t c = 0; c < out.columns; ++c) {
      double sum = 0, magnitude = 0, total = 0, largest = -INFINITY;
      for (index_t t = begin; t < end; ++t) {
        double w = 1;
        if (mode == Pooling::weighted_mean)
          w = weights.empty() ? static_cast<double>(t - begin + 1) : weights[static_cast<std::size_t>(t)];
        sum += w * x(t, c), magnitude += std::fabs(w * x(t, c)), total += w;
        largest = x(t, c) > largest || std::isnan(x(t, c)) ? x(t, c) : largest;
      }
      double v = sum / total;
      if (mode == Pooling::mean_sqrt) v = sum / std::sqrt(total);
      if (mode == Pooling::cls && end > begin) v = x(begin, c);
      if (mode == Pooling::last && end > begin) v = x(end - 1, c);
      if (mode == Pooling::max) v = largest;
      if (end == begin) v = 0;
      const bool exact = mode == Pooling::cls || mode == Pooling::last || mode == Pooling::max;
      out.set(b, c, v, exact || end == begin ? 0 : magnitude / (mode == Pooling::mean_sqrt ? std::sqrt(total) : total));
    }
  }
  return out;
}

}  // namespace tessera::ref
