// The GEMM kernels of sm_80 and above, and their launches.
#include <tessera/cuda/gemm.cuh>
#include <tessera/cuda/launch.hpp>

namespace tessera::kernels::cuda {
namespace {

template <class Tile, bool kGated, class Out>
int launch_tile(const GemmArgs<Out>& g, cudaStream_t stream) {
  constexpr int kColumns = Tile::columns_of_c(kGated);
  const index_t tiles = ((g.m + Tile::kRows - 1) / Tile::kRows) * static_cast<index_t>((g.n + kColumns - 1) / kColumns);
  const auto kernel = gemm_kernel<Tile, kGated, Out>;
  const cudaError_t ready = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::kSharedBytes);
  if (ready != cudaSuccess) return ready;
  kernel<<<static_cast<unsigned>(tiles), Tile::kThreads, Tile::kSharedBytes, stream>>>(g);
  return cudaGetLastError();
}

template <class Tile, class Out>
int launch_either(const GemmArgs<Out>& g, bool gated, cudaStream_t stream) {
  return gated ? launch_tile<Tile, true>(g, stream) : launch_tile<Tile, false>(g, stream);
}

template <class Out>
int launch(const GemmArgs<Out>& g, bool gated, GemmTileChoice choice, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  switch (choice) {
    case GemmTileChoice::tile_128x128: return launch_either<GemmTile128x128>(g, gated, s);
    case GemmTileChoice::tile_128x64: return launch_either<GemmTile128x64>(g, gated, s);
    case GemmTileChoice::tile_64x128: return launch_either<GemmTile64x128>(g, gated, s);
    case GemmTileChoice::tile_64x64: return launch_either<GemmTile64x64>(g, gated, s);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

int launch_gemm(const GemmArgs<bf16>& g, bool gated, GemmTileChoice choice, void* stream) noexcept {
  return launch(g, gated, choice, stream);
}
int launch_gemm(const GemmArgs<float>& g, bool gated, GemmTileChoice choice, void* stream) noexcept {
  return launch(g, gated, choice, stream);
}

}  // namespace tessera::kernels::cuda
