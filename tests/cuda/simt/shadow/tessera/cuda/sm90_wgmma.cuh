// Stands in for kernels/tessera/cuda/sm90_wgmma.cuh where kernels run on the host.
#pragma once
#include <tessera/cuda/sm90_ptx.cuh>
#include <tessera/cuda/wgmma_layout.hpp>

namespace tessera::kernels::cuda {

template <int N>
struct Wgmma {
  static_assert(N % 8 == 0 && N >= 8 && N <= 256);
  static void ss(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool add) { issue(d, nullptr, a, b, add); }
  static void rs(float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b, bool add) { issue(d, a, 0, b, add); }

 private:
  static void issue(float* d, const std::uint32_t* registers, std::uint64_t a, std::uint64_t b, bool add) {
    simt::Engines::Lane mine{d, registers, a, b, add, &rig().self().clock, rig().thread()};
    rig().together("wgmma", mine, [](const auto& all) { engines().multiply(all, N); });
  }
};
inline void wgmma_fence() {
  rig().meet(rig().warp().meeting, 32, "wgmma_fence", false, [] { engines().fence_sums(); });
}
inline void wgmma_commit() {
  rig().meet(rig().warp().meeting, 32, "wgmma_commit", false, [] { engines().commit_products(); });
}
template <int kPending>
void wgmma_wait() {
  rig().meet(rig().warp().meeting, 32, "wgmma_wait", false, [] { engines().wait_for_products(kPending); });
}
template <int kRegisters>
void wgmma_hold(float (&)[kRegisters]) {}

}  // namespace tessera::kernels::cuda
