// Starts the GEMM of sm_90a: for units that nvcc compiles.
#pragma once
#include <tessera/cuda/sm90_gemm.cuh>

namespace tessera::kernels::cuda {

/// On `multiprocessors` of the device, on the stream; `early`: the kernel may be started while the one before it on the
/// stream ends, whose results it then waits for itself.
template <class Tile, bool kGated, Activation kAct, class Out>
cudaError_t launch_sm90_gemm(const Sm90GemmArgs<Out>& g, int multiprocessors, cudaStream_t stream, bool early) {
  const auto kernel = sm90_gemm_kernel<Tile, kGated, kAct, Out>;
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::kSharedBytes);
  if (error != cudaSuccess) return error;
  constexpr int kColumnsOfC = Tile::columns_of_c(kGated);
  const index_t tiles = ((index_t{g.m} + Tile::kRows - 1) / Tile::kRows) * ((index_t{g.n} + kColumnsOfC - 1) / kColumnsOfC);
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(tiles < multiprocessors ? tiles : multiprocessors));
  config.blockDim = dim3(Tile::kThreads);
  config.dynamicSmemBytes = Tile::kSharedBytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = early ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, g);
}

}  // namespace tessera::kernels::cuda
