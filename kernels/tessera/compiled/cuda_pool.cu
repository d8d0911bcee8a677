// The kernels of pooling, and their launches.
#include <tessera/cuda/launch.hpp>
#include <tessera/cuda/pool.cuh>

namespace tessera::kernels::cuda {
namespace {

template <class X>
int launch(const PoolArgs<X>& g, int sequences, void* stream) {
  const dim3 grid(static_cast<unsigned>((g.c + kPoolColumns - 1) / kPoolColumns), static_cast<unsigned>(sequences));
  pool_kernel<X><<<grid, kPoolWarps * 32, kPoolSharedBytes, static_cast<cudaStream_t>(stream)>>>(g);
  return cudaGetLastError();
}

}  // namespace

int launch_pool(const PoolArgs<bf16>& g, int sequences, void* stream) noexcept { return launch(g, sequences, stream); }
int launch_pool(const PoolArgs<float>& g, int sequences, void* stream) noexcept { return launch(g, sequences, stream); }

}  // namespace tessera::kernels::cuda
