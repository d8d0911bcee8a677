// Naive linear layers and activations in double precision.
#pragma once
#include <cmath>

#include <tessera/core/view.hpp>
#include <tessera/tables/activation.hpp>
#include "reference/result.hpp"

namespace tessera::ref {

inline double activation(Activation act, double x) {
  switch (act) {
    case Activation::identity: return x;
    case Activation::gelu_erf: return x * 0.5 * std::erfc(-x * std::sqrt(0.5));
    case Activation::gelu_tanh: {
      const double pi = std::acos(-1.0);
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    }
    case Activation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu: return x > 0 || std::isnan(x) ? x : 0;
    case Activation::tanh: return std::tanh(x);
  }
  return std::nan("");
}

inline Result activation(Activation act, View<const float, 2> x) {
  Result out(x.extent[0], x.extent[1]);
  for (index_t r = 0; r < out.rows; ++r)
    for (index_t c = 0; c < out.columns; ++c) {
      const double v = x(r, c);
      // Errors of the functions are absolute near 0 and relative beyond.
      out.set(r, c, activation(act, v), std::fabs(v) > 1 ? std::fabs(v) : 1);
    }
  return out;
}

struct LinearArgs {
  View<const float, 2> x, w, up = {};  // up [N, K]: w is the gate
  View<const float, 1> bias = {};      // [N], gated [2 N]
  Activation act = Activation::identity;
  View<const float, 1> channel_scale = {};
  View<const float, 2> residual = {};
};

inline Result linear(const LinearArgs& g) {
  const index_t n = g.w.extent[0], k = g.w.extent[1];
  Result out(g.x.extent[0], n);
  const double extra = g.act == Activation::identity ? 0 : 1;
  for (index_t r = 0; r < out.rows; ++r)
    for (index_t c = 0; c < n; ++c) {
      double v = g.bias.data ? g.bias(c) : 0, m = std::fabs(v);
      for (index_t i = 0; i < k; ++i) {
        const double p = double{g.x(r, i)} * double{g.w(c, i)};
        v += p, m += std::fabs(p);
      }
      v = activation(g.act, v), m += extra;
      if (g.up.data) {
        double u = g.bias.data ? g.bias(n + c) : 0, um = std::fabs(u);
        for (index_t i = 0; i < k; ++i) {
          const double p = double{g.x(r, i)} * double{g.up(c, i)};
          u += p, um += std::fabs(p);
        }
        m = m * std::fabs(u) + std::fabs(v) * um;
        v *= u;
      }
      if (g.channel_scale.data) v *= g.channel_scale(c), m *= std::fabs(double{g.channel_scale(c)});
      if (g.residual.data) v += g.residual(r, c), m += std::fabs(double{g.residual(r, c)});
      out.set(r, c, v, m);
    }
  return out;
}

/// out[i, j] = a[i] . b[j]
inline Result similarity(View<const float, 2> a, View<const float, 2> b) { return linear({.x = a, .w = b}); }

}  // namespace tessera::ref
