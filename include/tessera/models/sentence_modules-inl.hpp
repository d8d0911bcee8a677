#pragma once
#include <string>

#include <tessera/models/sentence_modules.hpp>

namespace tessera::models {

namespace detail {

struct PoolingName {
  const char *flag, *mode;
  ops::Pooling pooling;
};
/// In the order in which several stand side by side.
inline constexpr PoolingName kPoolingNames[] = {
    {"pooling_mode_cls_token", "cls", ops::Pooling::cls},
    {"pooling_mode_max_tokens", "max", ops::Pooling::max},
    {"pooling_mode_mean_tokens", "mean", ops::Pooling::mean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", ops::Pooling::mean_sqrt},
    {"pooling_mode_weightedmean_tokens", "weightedmean", ops::Pooling::weighted_mean},
    {"pooling_mode_lasttoken", "lasttoken", ops::Pooling::last}};

}  // namespace detail

inline const char* pooling_name(ops::Pooling mode) noexcept {
  for (const auto& k : detail::kPoolingNames)
    if (k.pooling == mode) return k.mode;
  return "";
}

inline void apply(Context& ctx, const Projection& p, View<const float, 2> x, View<float, 2> out) {
  ops::Epilogue e{.bias = p.layer.linear.bias, .act = p.layer.act};
  if (p.adds_input && p.residual.linear.weight.empty()) {
    e.residual = x;
  } else if (p.adds_input) {
    ops::linear(ctx, x, p.residual.linear.weight, {}, out);
    e.residual = out;
  }
  ops::linear(ctx, x, p.layer.linear.weight, e, out);
}

inline std::string shown(const Projection& p) {
  static constexpr const char* kNames[] = {"", " gelu", " gelu_tanh", " quick_gelu", " silu", " relu", " tanh"};
  return std::to_string(p.in) + " -> " + std::to_string(p.out) + kNames[static_cast<int>(p.layer.act)];
}

}  // namespace tessera::models
