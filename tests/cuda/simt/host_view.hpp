// Tensors of the emulated device as the CPU's operations take them.
#pragma once
#include <tessera/core/view.hpp>

#include "cuda/simt/memory.hpp"

namespace tessera::simt {

inline View<const float, 2> rows_of(const Tensor<float>& x, index_t first, index_t past) {
  View<const float, 2> v(x.data() + first * x.ld(), past - first, x.columns());
  v.stride[0] = x.ld();
  return v;
}
/// All of a tensor of one row.
inline View<const float, 1> numbers_of(const Tensor<float>& x) { return View<const float, 1>(x.data(), x.columns()); }

}  // namespace tessera::simt
