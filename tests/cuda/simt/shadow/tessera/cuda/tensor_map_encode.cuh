// Stands in for kernels/tessera/cuda/tensor_map_encode.cuh where kernels run on the host: the same checks, no driver.
#pragma once
#include <tessera/cuda/sm90_ptx.cuh>

namespace tessera::kernels::cuda {

inline const char* encode_tensor_map(const TensorMapSpec& spec, TensorMap& map) {
  if (const TensorMapVerdict verdict = check_tensor_map(spec); verdict != TensorMapVerdict{})
    return fault_text(verdict.fault);
  map.spec = spec;
  return nullptr;
}

}  // namespace tessera::kernels::cuda
