// The hardware's form of a tensor map, made by the driver. The driver's library is asked at run time, so nothing links with
// it.
#pragma once
#include <cuda.h>

#include <tessera/cuda/sm90_ptx.cuh>
#include <tessera/cuda/tensor_map.hpp>

namespace tessera::kernels::cuda {

/// Null, or a sentence that says what is wrong with `spec` or missing on this machine.
inline const char* encode_tensor_map(const TensorMapSpec& spec, TensorMap& map) {
  if (const TensorMapVerdict verdict = check_tensor_map(spec); verdict != TensorMapVerdict{})
    return fault_text(verdict.fault);
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                              const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                              CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
    return error == cudaSuccess && result == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(found) : nullptr;
  }();
  if (!encode) return "the CUDA driver has no cuTensorMapEncodeTiled: version 12.0 or later is needed";

  static_assert(sizeof(CUtensorMap) == sizeof(TensorMap) && alignof(TensorMap) >= 64);
  const CUtensorMapDataType type = spec.dtype == DType::bf16  ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                   : spec.dtype == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                   : spec.dtype == DType::f32 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                                                              : CU_TENSOR_MAP_DATA_TYPE_UINT8;
  const CUtensorMapSwizzle swizzle = spec.swizzle == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                                     : spec.swizzle == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                                     : spec.swizzle == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                                          : CU_TENSOR_MAP_SWIZZLE_NONE;
  cuuint64_t extent[kMostMapRank] = {}, pitch[kMostMapRank - 1] = {};
  cuuint32_t box[kMostMapRank] = {}, step[kMostMapRank] = {};
  for (int d = 0; d < spec.rank; ++d) {
    extent[d] = static_cast<cuuint64_t>(spec.extent[d]);
    box[d] = static_cast<cuuint32_t>(spec.box[d]);
    step[d] = 1;
    if (d > 0) pitch[d - 1] = static_cast<cuuint64_t>(spec.pitch[d - 1]);
  }
  // The map holds the address as a number; const is given back by whoever writes through it.
  const CUresult done = encode(reinterpret_cast<CUtensorMap*>(&map), type, static_cast<cuuint32_t>(spec.rank),
                               const_cast<void*>(spec.base), extent, pitch, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                               swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return done == CUDA_SUCCESS ? nullptr : "the CUDA driver refused a tensor map";
}

}  // namespace tessera::kernels::cuda
