// What a matrix product says to the register tiles, which may be of another instruction set than itself.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

/// Some rows of A as tiles take them, `ld` words apart.
struct TileRows {
  const float* data;
  index_t ld;
};

/// Words [k0, k1) of rows of A by slices of W, `stride` words apart, into t.
struct TileArgs {
  const float* a;
  index_t lda;
  const float* w;
  index_t stride, k0, k1;
  float* t;
  index_t ldt;
  const char* ahead;  ///< fetched on the way, `step` bytes further each time
  index_t step;
};

}  // namespace tessera::kernels
