// Row normalisations.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

/// Rows [row0, row1) of x [T, c] to y; y may be x. All reductions are over 16 virtual lanes and one fixed tree.
struct NormArgs {
  const float* x;
  index_t ldx;
  float* y;
  index_t ldy, c;
  const float* gamma = nullptr;  ///< [c]
  const float* beta = nullptr;   ///< [c]
  float eps = 0.f;
};

struct NormTable {
  /// gamma * (x - mean) / sqrt(var + eps) + beta
  void (*layer_norm)(const NormArgs& args, index_t row0, index_t row1) noexcept;
  /// y + gamma * (x - mean) / sqrt(var + eps) + beta; y is not x
  void (*add_layer_norm)(const NormArgs& args, index_t row0, index_t row1) noexcept;
  /// gamma * x / sqrt(mean(x^2) + eps)
  void (*rms_norm)(const NormArgs& args, index_t row0, index_t row1) noexcept;
  /// y + gamma * x / sqrt(mean(x^2) + eps); y is not x
  void (*add_rms_norm)(const NormArgs& args, index_t row0, index_t row1) noexcept;
  /// x / max(|x|_2, eps)
  void (*l2_normalize)(const NormArgs& args, index_t row0, index_t row1) noexcept;
  /// out[j] = a . rows[j, :] for j < n
  void (*dot)(const float* a, const float* rows, index_t ld, index_t n, index_t c, float* out) noexcept;
  /// out[j] = a . rows[j] for j < n <= 16, each one FMA chain over c from 0, as a matrix product of f32 has it.
  void (*chains)(const float* a, const float* const* rows, index_t n, index_t c, float* out) noexcept;
  /// out[j] = |a - rows[j]|^2 for j < n <= 16, each one FMA chain over the differences, c from 0.
  void (*squared_distances)(const float* a, const float* const* rows, index_t n, index_t c, float* out) noexcept;
  /// out[i] = a[i] * b[i] for i < n; out may be either.
  void (*hadamard)(const float* a, const float* b, index_t n, float* out) noexcept;
  /// Whether all n numbers are finite.
  bool (*all_finite)(const float* x, index_t n) noexcept;
};

}  // namespace tessera::kernels
