// The GEMM of sm_90a in the tiles of tile_select.hpp, compiled for that alone.
#include <tessera/cuda/sm90_gemm_launch.cuh>

namespace tessera::kernels::cuda {

#define TESSERA_SM90_GEMM(TILE, GATED, ACT, OUT)                                                                        \
  template cudaError_t launch_sm90_gemm<TILE, GATED, Activation::ACT, OUT>(const Sm90GemmArgs<OUT>&, int, cudaStream_t, \
                                                                           bool);

TESSERA_SM90_GEMM(Sm90GemmTile64x64, false, identity, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile64x128, false, gelu_erf, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile64x256, false, identity, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile128x128, false, identity, float)
TESSERA_SM90_GEMM(Sm90GemmTile128x128, true, silu, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile128x160, false, identity, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile128x192, false, quick_gelu, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile128x256, false, gelu_erf, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile128x256, false, identity, float)
TESSERA_SM90_GEMM(Sm90GemmTile192x128, false, identity, bf16)
TESSERA_SM90_GEMM(Sm90GemmTile256x128, false, identity, bf16)
#undef TESSERA_SM90_GEMM

}  // namespace tessera::kernels::cuda
