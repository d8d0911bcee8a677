// The kernels of search, and their launches: the best rows of a corpus, late interaction.
#include <tessera/cuda/launch.hpp>
#include <tessera/cuda/maxsim.cuh>
#include <tessera/cuda/topk.cuh>

namespace tessera::kernels::cuda {
namespace {

template <int kList>
int launch_list(const TopKArgs& g, cudaStream_t stream) {
  using Tile = TopKTile<kList>;
  const auto kernel = topk_kernel<kList>;
  constexpr int kBytes = kTopKSharedBytes<kList>;
  const cudaError_t ready = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (ready != cudaSuccess) return ready;
  const dim3 grid(static_cast<unsigned>(g.chunks()), static_cast<unsigned>((g.batch + Tile::kRows - 1) / Tile::kRows));
  kernel<<<grid, Tile::kThreads, kBytes, stream>>>(g);
  return cudaGetLastError();
}

}  // namespace

int launch_topk(const TopKArgs& g, void* stream) noexcept {
  if (g.k < 1 || g.k > kTopKMost || g.chunk % 128 != 0) return cudaErrorInvalidValue;
  const auto s = static_cast<cudaStream_t>(stream);
  return g.k <= 32 ? launch_list<32>(g, s) : launch_list<kTopKMost>(g, s);
}
int launch_topk_merge(const TopKMergeArgs& g, void* stream) noexcept {
  if (g.k < 1 || g.k > kTopKMost) return cudaErrorInvalidValue;
  const auto s = static_cast<cudaStream_t>(stream);
  const auto blocks = static_cast<unsigned>((g.batch + kTopKMergeQueries - 1) / kTopKMergeQueries);
  if (g.k <= 32) {
    topk_merge_kernel<32><<<blocks, kTopKMergeQueries * 32, 0, s>>>(g);
  } else {
    topk_merge_kernel<kTopKMost><<<blocks, kTopKMergeQueries * 32, 0, s>>>(g);
  }
  return cudaGetLastError();
}
int launch_maxsim(const MaxSimArgs& g, int queries, int documents, void* stream) noexcept {
  const dim3 grid(static_cast<unsigned>(documents), static_cast<unsigned>(queries));
  maxsim_kernel<<<grid, MaxSimTile::kThreads, MaxSimTile::kSharedBytes, static_cast<cudaStream_t>(stream)>>>(g);
  return cudaGetLastError();
}

}  // namespace tessera::kernels::cuda
