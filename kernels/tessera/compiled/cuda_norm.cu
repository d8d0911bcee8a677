// The kernels of row normalisations, and their launches.
#include <tessera/cuda/launch.hpp>
#include <tessera/cuda/norm.cuh>

namespace tessera::kernels::cuda {
namespace {

template <Norm kNorm, class X, class Y>
int launch_norm_of(const NormArgs<X, Y>& g, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((g.rows + kNormRows - 1) / kNormRows);
  const bool fits = with_norm_pieces(g.c, [&](auto pieces) {
    norm_kernel<kNorm, decltype(pieces)::value, X, Y><<<blocks, kNormRows * 32, 0, stream>>>(g);
  });
  return fits ? cudaGetLastError() : cudaErrorInvalidValue;
}
template <class X, class Y>
int launch(Norm norm, const NormArgs<X, Y>& g, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  switch (norm) {
    case Norm::layer: return launch_norm_of<Norm::layer>(g, s);
    case Norm::rms: return launch_norm_of<Norm::rms>(g, s);
    case Norm::l2:
      if constexpr (sizeof(X) == 4) return launch_norm_of<Norm::l2>(g, s);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

int launch_norm(Norm norm, const NormArgs<bf16, bf16>& g, void* stream) noexcept { return launch(norm, g, stream); }
int launch_norm(Norm norm, const NormArgs<float, bf16>& g, void* stream) noexcept { return launch(norm, g, stream); }
int launch_norm(Norm norm, const NormArgs<float, float>& g, void* stream) noexcept { return launch(norm, g, stream); }

}  // namespace tessera::kernels::cuda
