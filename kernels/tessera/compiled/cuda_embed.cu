// The kernels of what comes before the first layer, and their launches: embedding lookups, patches of pixels.
#include <tessera/cuda/embed.cuh>
#include <tessera/cuda/launch.hpp>
#include <tessera/cuda/patchify.cuh>

namespace tessera::kernels::cuda {
namespace {

template <int kPieces, class W, class Y>
int launch_pieces(const EmbedArgs<W, Y>& g, unsigned blocks, cudaStream_t stream) {
  embed_norm_kernel<kPieces, W, Y><<<blocks, kNormRows * 32, 0, stream>>>(g);
  return cudaGetLastError();
}
template <class W, class Y>
int launch(const EmbedArgs<W, Y>& g, bool normalise, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  const auto blocks = static_cast<unsigned>((g.tokens + kNormRows - 1) / kNormRows);
  if (!normalise) {
    embed_kernel<W, Y><<<blocks, kNormRows * 32, 0, s>>>(g);
    return cudaGetLastError();
  }
  switch (norm_pieces(g.c)) {
    case 2: return launch_pieces<2>(g, blocks, s);
    case 4: return launch_pieces<4>(g, blocks, s);
    case 8: return launch_pieces<8>(g, blocks, s);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace

int launch_embed(const EmbedArgs<bf16, bf16>& g, bool normalise, void* stream) noexcept {
  return launch(g, normalise, stream);
}
int launch_embed(const EmbedArgs<float, float>& g, bool normalise, void* stream) noexcept {
  return launch(g, normalise, stream);
}
int launch_patchify(const PatchifyArgs& g, void* stream) noexcept {
  const dim3 grid(static_cast<unsigned>(g.blocks_of_image()), static_cast<unsigned>(g.images));
  patchify_kernel<<<grid, kPatchifyThreads, 0, static_cast<cudaStream_t>(stream)>>>(g);
  return cudaGetLastError();
}

}  // namespace tessera::kernels::cuda
