// Rotary positions.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

/// Heads x[t * ldx + h * ld_head + i], of which the first 2 * half numbers turn, in place.
struct RotaryArgs {
  float* x;
  index_t ldx, heads, ld_head, half;
  const float *cos, *sin;  ///< [places, half]
  index_t ld_cos, ld_sin;
  const std::int32_t* places = nullptr;  ///< the row of each token, negative: the token stays; null: row t
  bool adjacent = false;                 ///< pairs are (2i, 2i + 1), else (i, i + half)
};

struct RotaryTable {
  /// (a, b) becomes (a cos - b sin, b cos + a sin) for tokens [t0, t1).
  void (*rotate)(const RotaryArgs& args, index_t t0, index_t t1) noexcept;
};

}  // namespace tessera::kernels
