// The kernels of what comes before the first layer, and their launches: embedding lookups, patches of pixels.
#include <tessera/cuda/embed.cuh>
#include <tessera/cuda/launch.hpp>
#include <tessera/cuda/patchify.cuh>

namespace tessera::kernels::cuda {
namespace {

template <class W, class Y>
int launch(const EmbedArgs<W, Y>& g, bool normalise, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  const auto blocks = static_cast<unsigned>((g.tokens + kNormRows - 1) / kNormRows);
  if (!normalise) {
    embed_kernel<W, Y><<<blocks, kNormRows * 32, 0, s>>>(g);
    return cudaGetLastError();
  }
  const bool fits = with_norm_pieces(
      g.c, [&](auto pieces) { embed_norm_kernel<decltype(pieces)::value, W, Y><<<blocks, kNormRows * 32, 0, s>>>(g); });
  return fits ? cudaGetLastError() : cudaErrorInvalidValue;
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
