#pragma once
#include <cstring>

#include <tessera/ops/activation.hpp>
#include <tessera/ops/detail/tables.hpp>

namespace tessera::ops {

inline void activation(Context& ctx, Activation act, View<const float, 2> x, View<float, 2> out) {
  detail::expect_same("activation", x, out);
  const auto apply = detail::table<kernels::ActivationTable>(ctx).apply;
  detail::for_rows(ctx, x.extent[0], 16, [&](index_t a, index_t b) {
    for (index_t t = a; t < b; ++t) apply(act, x.data + t * x.stride[0], x.extent[1], out.data + t * out.stride[0]);
  });
}

inline bool activation_from_name(const char* name, Activation& act) noexcept {
  static constexpr struct {
    const char* name;
    Activation act;
  } kNames[] = {{"gelu", Activation::gelu_erf},       {"gelu_python", Activation::gelu_erf},
                {"gelu_new", Activation::gelu_tanh},  {"gelu_pytorch_tanh", Activation::gelu_tanh},
                {"gelu_fast", Activation::gelu_tanh}, {"quick_gelu", Activation::quick_gelu},
                {"silu", Activation::silu},           {"swish", Activation::silu},
                {"relu", Activation::relu},           {"tanh", Activation::tanh},
                {"linear", Activation::identity}};
  for (const auto& known : kNames)
    if (std::strcmp(known.name, name) == 0) return act = known.act, true;
  return false;
}

}  // namespace tessera::ops
