// What becomes of a sum of products before it is written, one definition for all GEMM kernels and for the host.
#pragma once
#include <tessera/cuda/activation.hpp>

namespace tessera::kernels::cuda {

/// C = residual + channel_scale * act(sum + bias); gated, act(gate + bias) * (up + bias) instead of act. Pointers may be
/// null. Each step is one rounding to f32, in this order; the CPU's GemmArgs means the same.
struct Epilogue {
  const float* bias = nullptr;           ///< [n], gated [2 n]: gate, then up
  const float* channel_scale = nullptr;  ///< [n]
  Activation act = Activation::identity;
};

/// The numbers of one column, as the thread that finishes it has read them.
struct EpilogueColumn {
  float bias = 0, bias_up = 0, scale = 1;
};

/// The row of the residual that row `row` of C adds: its own, or with `repeats` above 0 the residual has so many rows, again
/// and again (positions, of which every image has the same).
TESSERA_HOST_DEVICE constexpr int residual_row(int row, int repeats) noexcept { return repeats > 0 ? row % repeats : row; }

// Adding a bias of 0 and multiplying by a scale of 1 change no bits but those of -0 + 0: so the null pointer is asked
// instead.
TESSERA_HOST_DEVICE float finish(const Epilogue& e, const EpilogueColumn& at, float sum, bool has_residual,
                                 float residual) noexcept {
  float v = activate(e.act, e.bias ? add(sum, at.bias) : sum);
  if (e.channel_scale) v = mul(v, at.scale);
  return has_residual ? add(v, residual) : v;
}
TESSERA_HOST_DEVICE float finish_gated(const Epilogue& e, const EpilogueColumn& at, float gate, float up, bool has_residual,
                                       float residual) noexcept {
  float v = activate(e.act, e.bias ? add(gate, at.bias) : gate);
  v = mul(v, e.bias ? add(up, at.bias_up) : up);
  if (e.channel_scale) v = mul(v, at.scale);
  return has_residual ? add(v, residual) : v;
}

}  // namespace tessera::kernels::cuda
