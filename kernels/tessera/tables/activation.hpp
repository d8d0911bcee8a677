// Element-wise functions by the names of the checkpoints, and their table.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera {

/// The function after a linear layer. gelu_erf is transformers' "gelu", gelu_tanh its "gelu_new" and "gelu_pytorch_tanh".
enum class Activation : unsigned char { identity, gelu_erf, gelu_tanh, quick_gelu, silu, relu, tanh };

namespace kernels {

struct ActivationTable {
  /// y[i] = act(x[i]) for i < n; y may be x.
  void (*apply)(Activation act, const float* x, index_t n, float* y) noexcept;
};

}  // namespace kernels
}  // namespace tessera
