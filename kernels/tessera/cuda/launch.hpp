// Starts kernels on a stream: what the units of kernels/tessera/compiled/*.cu define and C++ without CUDA may call. `stream`
// is a cudaStream_t; returned is a cudaError_t, 0 where all is well.
#pragma once
#include <tessera/cuda/gemm.hpp>

namespace tessera::kernels::cuda {

int launch_gemm(const GemmArgs<bf16>& g, bool gated, GemmTileChoice choice, void* stream) noexcept;
int launch_gemm(const GemmArgs<float>& g, bool gated, GemmTileChoice choice, void* stream) noexcept;

}  // namespace tessera::kernels::cuda
