// The kernels of token merging, and their launches.
#include <tessera/cuda/launch.hpp>
#include <tessera/cuda/merge.cuh>

namespace tessera::kernels::cuda {
namespace {

unsigned blocks_of(int rows, int of_block) { return static_cast<unsigned>((rows + of_block - 1) / of_block); }

template <Norm kNorm, class X, class Y>
int launch_merge_of(const MergeArgs<X, Y>& g, cudaStream_t stream) {
  const bool fits = with_norm_pieces(g.c, [&](auto pieces) {
    merge_kernel<kNorm, decltype(pieces)::value, X, Y><<<blocks_of(g.rows, kNormRows), kNormRows * 32, 0, stream>>>(g);
  });
  return fits ? cudaGetLastError() : cudaErrorInvalidValue;
}
template <class X, class Y>
int launch(Norm norm, const MergeArgs<X, Y>& g, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  if (norm == Norm::layer) return launch_merge_of<Norm::layer>(g, s);
  return norm == Norm::rms ? launch_merge_of<Norm::rms>(g, s) : cudaErrorInvalidValue;
}

}  // namespace

int launch_key_metric(const KeyMetricArgs& g, void* stream) noexcept {
  key_metric_kernel<<<blocks_of(g.tokens, kNormRows), kNormRows * 32, 0, static_cast<cudaStream_t>(stream)>>>(g);
  return cudaGetLastError();
}
int launch_merge_match(const MergeMatchArgs& g, int longest, void* stream) noexcept {
  const dim3 grid(blocks_of((longest + 1) / 2, F32Tile::kRows), static_cast<unsigned>(g.batch.sequences));
  merge_match_kernel<<<grid, F32Tile::kThreads, F32Tile::kSharedBytes, static_cast<cudaStream_t>(stream)>>>(g);
  return cudaGetLastError();
}
int launch_merge_select(const MergeSelectArgs& g, int longest, void* stream) noexcept {
  const int bytes = merge_select_bytes(longest);
  const cudaError_t ready = cudaFuncSetAttribute(merge_select_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (ready != cudaSuccess) return ready;
  merge_select_kernel<<<static_cast<unsigned>(g.batch.sequences), kMergeSelectThreads, bytes,
                        static_cast<cudaStream_t>(stream)>>>(g);
  return cudaGetLastError();
}
int launch_merge(Norm norm, const MergeArgs<bf16, bf16>& g, void* stream) noexcept { return launch(norm, g, stream); }
int launch_merge(Norm norm, const MergeArgs<float, bf16>& g, void* stream) noexcept { return launch(norm, g, stream); }
int launch_merge(Norm norm, const MergeArgs<float, float>& g, void* stream) noexcept { return launch(norm, g, stream); }

}  // namespace tessera::kernels::cuda
