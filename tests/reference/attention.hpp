// Naive attention in double precision.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <tessera/core/view.hpp>
#include "reference/result.hpp"

namespace tessera::ref {

struct AttentionArgs {
  View<const float, 3> q, k, v;
  std::vector<index_t> cu_q, cu_k;
  double scale = 0;  // 0: 1 / sqrt(D)
  bool causal = false;
  index_t window_left = -1, window_right = -1;
  std::vector<float> key_weights = {};  // empty: all 1
  View<const float, 2> distance_bias = {};
  double softcap = 0;
  std::vector<std::int32_t> places = {};  // empty: key j at j, query i at i + Tk - Tq
  View<const float, 3> position_keys = {}, position_queries = {};
  View<const std::int32_t, 1> position_row_of = {};
};

inline bool sees(const AttentionArgs& g, index_t own, index_t key) {
  if (g.causal && key > own) return false;
  if (g.window_left >= 0 && own - key > g.window_left) return false;  // no sum: a window may be the largest number
  return g.window_right < 0 || key - own <= g.window_right;
}

/// [sum Tq, H * Dv]. \param probabilities [H * sum Tq, max Tk], zeros in it, if wanted.
inline Result attention(const AttentionArgs& g, Result* probabilities = nullptr) {
  const index_t heads = g.q.extent[1], group = heads / g.k.extent[1], d = g.q.extent[2], dv = g.v.extent[2];
  const double scale = g.scale != 0 ? g.scale : 1 / std::sqrt(static_cast<double>(d));
  Result out(g.q.extent[0], heads * dv);
  for (std::size_t b = 0; b + 1 < g.cu_q.size(); ++b) {
    const index_t tq = g.cu_q[b + 1] - g.cu_q[b], tk = g.cu_k[b + 1] - g.cu_k[b];
    const auto place = [&](index_t j) {
      return g.places.empty() ? j : index_t{g.places[static_cast<std::size_t>(g.cu_k[b] + j)]};
    };
    for (index_t i = 0; i < tq; ++i)
      for (index_t h = 0; h < heads; ++h) {
        const index_t own = place(i + tk - tq);
        std::vector<double> score(static_cast<std::size_t>(tk), -INFINITY);
        double top = -INFINITY, size = 0, sum = 0;
        for (index_t j = 0; j < tk; ++j) {
          if (!sees(g, own, place(j))) continue;
          double s = 0, m = 0;
          for (index_t c = 0; c < d; ++c) {
            const double p = double{g.q(g.cu_q[b] + i, h, c)} * double{g.k(g.cu_k[b] + j, h / group, c)};
            s += p, m += std::fabs(p);
          }
          for (index_t c = 0; g.position_row_of.data && c < d; ++c) {
            const index_t row = g.position_row_of(g.position_row_of.extent[0] / 2 + place(j) - own);
            const double ofq =
                g.position_keys.data ? double{g.q(g.cu_q[b] + i, h, c)} * double{g.position_keys(row, h, c)} : 0;
            const double ofk = g.position_queries.data
                                   ? double{g.k(g.cu_k[b] + j, h / group, c)} * double{g.position_queries(row, h, c)}
                                   : 0;
            s += ofq + ofk, m += std::fabs(ofq) + std::fabs(ofk);
          }
          const double weight = g.key_weights.empty() ? 1 : g.key_weights[static_cast<std::size_t>(g.cu_k[b] + j)];
          const View<const float, 2>& bias = g.distance_bias;
          const double apart =
              bias.data ? double{bias(bias.extent[0] == 1 ? 0 : h, bias.extent[1] / 2 + place(j) - own)} : 0;
          const double scaled = g.softcap > 0 ? g.softcap * std::tanh(s * scale / g.softcap) : s * scale;
          score[static_cast<std::size_t>(j)] = scaled + apart + std::log(weight);
          top = std::max(top, score[static_cast<std::size_t>(j)]);
          size = std::max(size, m * std::fabs(scale) + std::fabs(apart));
        }
        for (double s : score) sum += s == -INFINITY ? 0 : std::exp(s - top);
        for (index_t j = 0; probabilities && j < tk; ++j) {
          const double s = score[static_cast<std::size_t>(j)], p = s == -INFINITY ? 0 : std::exp(s - top) / sum;
          probabilities->set(h * g.q.extent[0] + g.cu_q[b] + i, j, p, p * (1 + size));
        }
        for (index_t c = 0; c < dv; ++c) {
          double v = 0, m = 0;
          for (index_t j = 0; j < tk; ++j) {
            const double s = score[static_cast<std::size_t>(j)];
            if (s == -INFINITY) continue;
            const double p = std::exp(s - top) / sum * g.v(g.cu_k[b] + j, h / group, c);
            v += p, m += std::fabs(p);
          }
          out.set(g.cu_q[b] + i, h * dv + c, v, m * (1 + size));
        }
      }
  }
  return out;
}

}  // namespace tessera::ref
