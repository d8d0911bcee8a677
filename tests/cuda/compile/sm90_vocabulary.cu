// Every instruction of the vocabulary of sm_90a once, those included that no kernel uses yet: the assembler must take them,
// and other architectures must compile them as traps.
#include <tessera/cuda/ring.cuh>
#include <tessera/cuda/sm90_wgmma.cuh>
#include <tessera/cuda/tensor_map_encode.cuh>

#include <utility>

namespace tessera::kernels::cuda {

template <int N, bool kFromRegisters>
__global__ void __launch_bounds__(128) multiply_once(float* out, std::uint64_t a, std::uint64_t b, std::uint32_t registers) {
  float sums[N / 2] = {};
  const std::uint32_t of_a[4] = {registers, registers + 1, registers + 2, registers + 3};
  wgmma_hold(sums);
  wgmma_fence();
  if constexpr (kFromRegisters) {
    Wgmma<N>::rs(sums, of_a, b, true);
  } else {
    Wgmma<N>::ss(sums, a, b, threadIdx.x == 0);
  }
  wgmma_commit();
  wgmma_wait<0>();
  wgmma_hold(sums);
  TESSERA_UNROLLED
  for (int i = 0; i < N / 2; ++i) out[i * 128 + static_cast<int>(threadIdx.x)] = sums[i];
}
template <int... kBlocks>
const void* all(std::integer_sequence<int, kBlocks...>) {
  const void* kernels[] = {reinterpret_cast<const void*>(multiply_once<8 * kBlocks + 8, false>)...,
                           reinterpret_cast<const void*>(multiply_once<8 * kBlocks + 8, true>)...};
  return kernels[0];
}
const void* all_products() { return all(std::make_integer_sequence<int, 32>()); }

template <class... At>
TESSERA_DEVICE void there_and_back(const TensorMap& map, Mbarrier barrier, std::uint64_t policy, At... at) {
  tma_load(dynamic_shared(), map, barrier, policy, at...);
  tma_load_multicast(dynamic_shared(), map, barrier, 3, policy, at...);
  tma_store(map, dynamic_shared(), policy, at...);
}
__global__ void __launch_bounds__(256, 1) other_instructions(const __grid_constant__ TensorMap map, std::uint32_t* out) {
  Ring<2, Mbarriers> ring{{dynamic_shared() + 1024}};
  Turns<2, Mbarriers> turns{ring.barriers, 4};
  ring.init(4);
  turns.init(4);
  fence_barrier_init();
  prefetch_map(map);
  cluster_sync();
  wait_for_previous_kernel();
  if (threadIdx.x < 128) {
    give_registers<40>();
  } else {
    take_registers<232>();
  }
  auto at = RingPosition<2>::producer();
  ring.acquire(at, 16);
  std::uint32_t turn = turns.parity(1);
  turns.wait(1, turn);
  const Mbarrier full = ring.barriers[ring.full(at)];
  there_and_back(map, full, cache_policy(CacheHint::normal), 0, 1);
  there_and_back(map, full, cache_policy(CacheHint::evict_first), 0, 1, 2);
  there_and_back(map, full, cache_policy(CacheHint::evict_last), 0, 1, 2, 3);
  there_and_back(map, full, cache_policy(CacheHint::normal), 0, 1, 2, 3, 4);
  tma_commit();
  tma_wait_read<1>();
  tma_wait_written<0>();
  at.next();
  ring.wait(at);
  stmatrix(dynamic_shared(), {1, 2, 3, 4});
  fence_proxy_async();
  ring.release(at);
  turns.pass(1);
  Mbarrier(full).arrive_at(cluster_rank() ^ 1);
  let_next_kernel_start();
  out[threadIdx.x] = Mbarrier(full).passed(0) + static_cast<std::uint32_t>(grid_size());
}

}  // namespace tessera::kernels::cuda
