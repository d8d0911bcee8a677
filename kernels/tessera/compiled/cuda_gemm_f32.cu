// The f32 GEMM kernels, and their launches.
#include <tessera/cuda/gemm_f32.cuh>
#include <tessera/cuda/launch.hpp>

namespace tessera::kernels::cuda {
namespace {

template <bool kGated>
int launch(const GemmF32Args& g, cudaStream_t stream) {
  constexpr int kColumns = F32Tile::columns_of_c(kGated);
  const index_t tiles = ((g.operands.m + F32Tile::kRows - 1) / F32Tile::kRows) *
                        static_cast<index_t>((g.operands.n + kColumns - 1) / kColumns);
  gemm_f32_kernel<kGated><<<static_cast<unsigned>(tiles), F32Tile::kThreads, F32Tile::kSharedBytes, stream>>>(g);
  return cudaGetLastError();
}

}  // namespace

int launch_gemm_f32(const GemmF32Args& g, bool gated, void* stream) noexcept {
  const auto s = static_cast<cudaStream_t>(stream);
  return gated ? launch<true>(g, s) : launch<false>(g, s);
}

}  // namespace tessera::kernels::cuda
