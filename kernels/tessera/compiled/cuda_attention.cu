// The attention kernels of sm_80 and above, and their launches.
#include <tessera/cuda/attention.cuh>
#include <tessera/cuda/launch.hpp>

namespace tessera::kernels::cuda {
namespace {

template <int kHead>
int launch(const AttentionArgs& g, int sequences, int longest, cudaStream_t stream) {
  constexpr int kBytes = AttentionTile<kHead>::kSharedBytes;
  const auto kernel = attention_kernel<kHead>;
  const cudaError_t ready = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (ready != cudaSuccess) return ready;
  const dim3 grid(static_cast<unsigned>((longest + kAttentionQueries - 1) / kAttentionQueries),
                  static_cast<unsigned>(sequences) * static_cast<unsigned>(g.heads));
  kernel<<<grid, kAttentionThreads, kBytes, stream>>>(g);
  return cudaGetLastError();
}

}  // namespace

int launch_attention(const AttentionArgs& g, int head, int sequences, int longest, void* stream) noexcept {
  const auto s = static_cast<cudaStream_t>(stream);
  switch (head) {
    case 32: return launch<32>(g, sequences, longest, s);
    case 64: return launch<64>(g, sequences, longest, s);
    case 72: return launch<72>(g, sequences, longest, s);
    case 80: return launch<80>(g, sequences, longest, s);
    case 88: return launch<88>(g, sequences, longest, s);
    case 96: return launch<96>(g, sequences, longest, s);
    case 104: return launch<104>(g, sequences, longest, s);
    case 128: return launch<128>(g, sequences, longest, s);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace tessera::kernels::cuda
