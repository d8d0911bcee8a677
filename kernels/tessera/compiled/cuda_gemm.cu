// The GEMM kernels of sm_80 and above.
#include <tessera/cuda/gemm.cuh>

namespace tessera::kernels::cuda {

#define TESSERA_TILE(tile)                                                                           \
  template __global__ void gemm_kernel<tile, false, bf16>(const __grid_constant__ GemmArgs<bf16>);   \
  template __global__ void gemm_kernel<tile, true, bf16>(const __grid_constant__ GemmArgs<bf16>);    \
  template __global__ void gemm_kernel<tile, false, float>(const __grid_constant__ GemmArgs<float>); \
  template __global__ void gemm_kernel<tile, true, float>(const __grid_constant__ GemmArgs<float>);
TESSERA_TILE(GemmTile64x64)
TESSERA_TILE(GemmTile64x128)
TESSERA_TILE(GemmTile128x64)
TESSERA_TILE(GemmTile128x128)
#undef TESSERA_TILE

}  // namespace tessera::kernels::cuda
