// A naive transformer layer and stack in double precision: loops over plain arrays, nothing of the library but views.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

#include "reference/linear.hpp"

namespace tessera::ref {

/// Rows of doubles.
struct Rows {
  index_t rows = 0, columns = 0;
  std::vector<double> v;
  Rows(index_t r, index_t c) : rows(r), columns(c), v(static_cast<std::size_t>(r * c)) {}
  double& operator()(index_t r, index_t c) { return v[static_cast<std::size_t>(r * columns + c)]; }
  double operator()(index_t r, index_t c) const { return v[static_cast<std::size_t>(r * columns + c)]; }
  /// With the largest value of its row as each element's magnitude: what the project's promise is relative to.
  Result result() const {
    Result out(rows, columns);
    for (index_t r = 0; r < rows; ++r) {
      double top = 0;
      for (index_t c = 0; c < columns; ++c) top = std::fmax(top, std::fabs((*this)(r, c)));
      for (index_t c = 0; c < columns; ++c) out.set(r, c, (*this)(r, c), top);
    }
    return out;
  }
};

/// The parameters of a layer, as checkpoints have them; absent ones have no data.
struct Layer {
  View<const float, 2> q, k, v, out, up, gate, down;
  View<const float, 1> q_bias, k_bias, v_bias, out_bias, up_bias, gate_bias, down_bias;
  View<const float, 1> attention_norm, attention_norm_bias, mlp_norm, mlp_norm_bias, attention_scale, mlp_scale;
  View<const float, 1> q_row_norm, q_row_norm_bias, k_row_norm, k_row_norm_bias, outer_norm, outer_norm_bias;
};

struct LayerShape {
  index_t heads, kv_heads, head_dim;
  bool pre_norm, rms;
  double eps;
  Activation act;
  bool causal;
};

inline Rows dense(const Rows& x, View<const float, 2> w, View<const float, 1> bias) {
  Rows out(x.rows, w.extent[0]);
  for (index_t r = 0; r < x.rows; ++r)
    for (index_t n = 0; n < out.columns; ++n) {
      double sum = bias.data ? double{bias(n)} : 0;
      for (index_t k = 0; k < x.columns; ++k) sum += x(r, k) * double{w(n, k)};
      out(r, n) = sum;
    }
  return out;
}

inline Rows norm(const Rows& x, bool rms, double eps, View<const float, 1> gamma, View<const float, 1> beta) {
  Rows out(x.rows, x.columns);
  const auto n = static_cast<double>(x.columns);
  for (index_t r = 0; r < x.rows; ++r) {
    double mean = 0, squares = 0;
    for (index_t c = 0; c < x.columns && !rms; ++c) mean += x(r, c) / n;
    for (index_t c = 0; c < x.columns; ++c) squares += (x(r, c) - mean) * (x(r, c) - mean);
    for (index_t c = 0; c < x.columns; ++c)
      out(r, c) = (x(r, c) - mean) / std::sqrt(squares / n + eps) * gamma(c) + (beta.data ? double{beta(c)} : 0);
  }
  return out;
}

/// Heads over sequences cu[b] .. cu[b + 1] of q [T, H D], k and v [T, Hkv D].
inline Rows heads(const LayerShape& s, const Rows& q, const Rows& k, const Rows& v, const std::vector<index_t>& cu) {
  Rows out(q.rows, q.columns);
  for (std::size_t b = 0; b + 1 < cu.size(); ++b)
    for (index_t i = cu[b]; i < cu[b + 1]; ++i)
      for (index_t h = 0; h < s.heads; ++h) {
        const index_t from = h * s.head_dim, kv = h / (s.heads / s.kv_heads) * s.head_dim;
        const index_t end = s.causal ? i + 1 : cu[b + 1];
        std::vector<double> p;
        double total = 0;
        for (index_t j = cu[b]; j < end; ++j) {
          double score = 0;
          for (index_t d = 0; d < s.head_dim; ++d) score += q(i, from + d) * k(j, kv + d);
          p.push_back(std::exp(score / std::sqrt(static_cast<double>(s.head_dim))));
          total += p.back();
        }
        for (index_t d = 0; d < s.head_dim; ++d)
          for (index_t j = cu[b]; j < end; ++j)
            out(i, from + d) += p[static_cast<std::size_t>(j - cu[b])] / total * v(j, kv + d);
      }
  return out;
}

/// x + scale * y
inline Rows sum(const Rows& x, const Rows& y, View<const float, 1> scale) {
  Rows out(x.rows, x.columns);
  for (index_t r = 0; r < x.rows; ++r)
    for (index_t c = 0; c < x.columns; ++c) out(r, c) = x(r, c) + y(r, c) * (scale.data ? double{scale(c)} : 1);
  return out;
}

inline Rows attention_half(const LayerShape& s, const Layer& w, const Rows& x, const std::vector<index_t>& cu) {
  const auto normed = [&](const Rows& y) { return norm(y, s.rms, s.eps, w.attention_norm, w.attention_norm_bias); };
  const Rows in = s.pre_norm ? normed(x) : x;
  Rows q = dense(in, w.q, w.q_bias), k = dense(in, w.k, w.k_bias);
  if (w.q_row_norm.data) q = norm(q, false, s.eps, w.q_row_norm, w.q_row_norm_bias);
  if (w.k_row_norm.data) k = norm(k, false, s.eps, w.k_row_norm, w.k_row_norm_bias);
  const Rows context = heads(s, q, k, dense(in, w.v, w.v_bias), cu);
  const Rows out = sum(x, dense(context, w.out, w.out_bias), w.attention_scale);
  if (w.outer_norm.data) return norm(sum(x, normed(out), {}), s.rms, s.eps, w.outer_norm, w.outer_norm_bias);
  return s.pre_norm ? out : normed(out);
}

inline Rows mlp_half(const LayerShape& s, const Layer& w, const Rows& x) {
  const auto normed = [&](const Rows& y) { return norm(y, s.rms, s.eps, w.mlp_norm, w.mlp_norm_bias); };
  const Rows in = s.pre_norm ? normed(x) : x;
  Rows hidden = dense(in, w.up, w.up_bias);
  if (w.gate.data) {
    const Rows gate = dense(in, w.gate, w.gate_bias);
    for (std::size_t i = 0; i < hidden.v.size(); ++i) hidden.v[i] *= activation(s.act, gate.v[i]);
  } else {
    for (double& value : hidden.v) value = activation(s.act, value);
  }
  const Rows out = sum(x, dense(hidden, w.down, w.down_bias), w.mlp_scale);
  return s.pre_norm ? out : normed(out);
}

}  // namespace tessera::ref
