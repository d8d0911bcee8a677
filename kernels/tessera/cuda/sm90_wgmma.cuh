// wgmma: a warpgroup of 128 threads multiplies a 64 x 16 by a 16 x N tile of bf16 and adds to 64 x N sums of f32 that its
// threads hold, wgmma_sum(). It runs on its own after it was issued: until wgmma_wait() says that it is over, its operands
// in shared memory must stay and its sums must not be touched. Source: PTX ISA 8.0, section "wgmma.mma_async".
#pragma once
#include <tessera/cuda/sm90_ptx.cuh>
#include <tessera/cuda/wgmma_layout.hpp>

namespace tessera::kernels::cuda {

/// N: 8, 16 ... 256. a and b are the bits of an OperandDescriptor. ss(): A [64, 16] and B [N, 16] in shared memory, both
/// K-major; rs(): A in registers, wgmma_a(). Without `add` the sums start from 0.
template <int N>
struct Wgmma;

#define TESSERA_WGMMA(N, NAMES, SUMS, O0, O1, O2, O3, O4, O5)                                                   \
  template <>                                                                                                   \
  struct Wgmma<N> {                                                                                             \
    TESSERA_DEVICE static void ss(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool add) {              \
      TESSERA_SM90A("{\n.reg .pred add;\nsetp.ne.b32 add, " O2 ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N     \
                    "k16.f32.bf16.bf16 {" NAMES "}, " O0 ", " O1 ", add, 1, 1, 0, 0;\n}"                        \
                    : SUMS                                                                                      \
                    : "l"(a), "l"(b), "r"(static_cast<int>(add))                                                \
                    : "memory");                                                                                \
    }                                                                                                           \
    TESSERA_DEVICE static void rs(float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b, bool add) {  \
      TESSERA_SM90A("{\n.reg .pred add;\nsetp.ne.b32 add, " O5 ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N     \
                    "k16.f32.bf16.bf16 {" NAMES "}, {" O0 ", " O1 ", " O2 ", " O3 "}, " O4 ", add, 1, 1, 0;\n}" \
                    : SUMS                                                                                      \
                    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add))            \
                    : "memory");                                                                                \
    }                                                                                                           \
  };
#include <tessera/cuda/sm90_wgmma.inc>
#undef TESSERA_WGMMA

/// Before the first wgmma on sums, and before one on sums or A in registers that were written by other instructions.
TESSERA_DEVICE void wgmma_fence() { TESSERA_SM90A("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Closes a group: the wgmma since the group before.
TESSERA_DEVICE void wgmma_commit() { TESSERA_SM90A("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Waits until all but the latest kPending groups are over.
template <int kPending>
TESSERA_DEVICE void wgmma_wait() {
  TESSERA_SM90A("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Keeps the compiler from moving what it does with the sums over this place.
template <int kRegisters>
TESSERA_DEVICE void wgmma_hold(float (&d)[kRegisters]) {
  TESSERA_UNROLLED
  for (int i = 0; i < kRegisters; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

}  // namespace tessera::kernels::cuda
