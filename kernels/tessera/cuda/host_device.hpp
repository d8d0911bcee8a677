// Plain C++ that nvcc compiles for both sides and every other compiler for the host: what says so, and float arithmetic that
// no compiler contracts or reorders, so that one definition has the same bits wherever it runs.
#pragma once
#include <cmath>

#ifdef __CUDACC__
#define TESSERA_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define TESSERA_HOST_DEVICE inline
#endif

namespace tessera::kernels::cuda {

// Without these nvcc makes a fused multiply-add of any product and sum, and may choose otherwise in another kernel.
TESSERA_HOST_DEVICE float add(float a, float b) noexcept {
#ifdef __CUDA_ARCH__
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}
TESSERA_HOST_DEVICE float sub(float a, float b) noexcept { return add(a, -b); }
TESSERA_HOST_DEVICE float mul(float a, float b) noexcept {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
TESSERA_HOST_DEVICE float div(float a, float b) noexcept {
#ifdef __CUDA_ARCH__
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}
TESSERA_HOST_DEVICE float sqrt(float a) noexcept {
#ifdef __CUDA_ARCH__
  return __fsqrt_rn(a);
#else
  return std::sqrt(a);
#endif
}
/// a * b + c, rounded once.
TESSERA_HOST_DEVICE float fma(float a, float b, float c) noexcept {
#ifdef __CUDA_ARCH__
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

}  // namespace tessera::kernels::cuda
