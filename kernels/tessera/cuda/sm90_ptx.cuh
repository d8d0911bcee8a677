// Every instruction of sm_90a that is not wgmma: barriers in shared memory, the copy engine (TMA), matrix stores, fences,
// the share-out of registers, the start of the next kernel. Thin: one function, one instruction. Source: PTX ISA 8.0.
// Compiled for another architecture a call traps. The test rig takes this header's place too (tests/cuda/simt/shadow).
#pragma once
#include <tessera/cuda/ptx.cuh>

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define TESSERA_SM90A(...) asm volatile(__VA_ARGS__)
#else
#define TESSERA_SM90A(...) __trap()
#endif

namespace tessera::kernels::cuda {

/// The copy engine's 128 bytes. Kernels take it by value as `const __grid_constant__ TensorMap`.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

TESSERA_DEVICE std::uint64_t map_address(const TensorMap& map) { return reinterpret_cast<std::uint64_t>(&map); }

TESSERA_DEVICE int grid_size() { return static_cast<int>(gridDim.x); }

/// With TESSERA_CHAOS, waits now and then, a time that differs by thread and call: races that mostly go well then show.
TESSERA_DEVICE void chaos() {
#ifdef TESSERA_CHAOS
  const std::uint32_t x =
      (static_cast<std::uint32_t>(clock64()) ^ threadIdx.x * 0x9e3779b9U ^ blockIdx.x * 0x85ebca6bU) * 0x2c1b3c6dU;
  if (x >> 31) __nanosleep(x >> 20 & 0x3ff);
#endif
}

/// A barrier in shared memory (mbarrier): 8 bytes there. Its phase ends when all arrivals and all expected bytes have come.
struct Mbarrier {
  static constexpr int kBytes = 8;
  shared_t at;

  TESSERA_DEVICE void init(std::uint32_t arrivals) {
    TESSERA_SM90A("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
  }
  TESSERA_DEVICE void arrive() {
    chaos();
    TESSERA_SM90A("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
  }
  /// Arrives at this barrier's twin in block `block` of the cluster.
  TESSERA_DEVICE void arrive_at(std::uint32_t block) {
    chaos();
    TESSERA_SM90A(
        "{\n.reg .b32 twin;\n"
        "mapa.shared::cluster.u32 twin, %0, %1;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [twin];\n}" ::"r"(at),
        "r"(block)
        : "memory");
  }
  TESSERA_DEVICE void arrive_expect(std::uint32_t bytes) {
    chaos();
    TESSERA_SM90A("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
  }
  /// Whether the phase of this parity is over; may take a while to say no.
  TESSERA_DEVICE bool passed(std::uint32_t parity) {
    std::uint32_t over = 0;
    TESSERA_SM90A(
        "{\n.reg .pred over;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.u32 %0, 1, 0, over;\n}"
        : "=r"(over)
        : "r"(at), "r"(parity)
        : "memory");
    return over != 0;
  }
  TESSERA_DEVICE void wait(std::uint32_t parity) {
    while (!passed(parity)) {}
    chaos();
  }
};

/// Barriers one after the other, as Ring wants them.
struct Mbarriers {
  shared_t first;
  TESSERA_DEVICE Mbarrier operator[](int i) const { return {first + static_cast<shared_t>(i * Mbarrier::kBytes)}; }
  TESSERA_DEVICE void init(int i, int arrivals) const { (*this)[i].init(static_cast<std::uint32_t>(arrivals)); }
  TESSERA_DEVICE void wait(int i, std::uint32_t parity) const { (*this)[i].wait(parity); }
  TESSERA_DEVICE void arrive(int i) const { (*this)[i].arrive(); }
  TESSERA_DEVICE void arrive_expect(int i, int bytes) const { (*this)[i].arrive_expect(static_cast<std::uint32_t>(bytes)); }
};

/// Makes barriers that were just set up known to the copy engine and to the cluster; a barrier of all threads must follow.
TESSERA_DEVICE void fence_barrier_init() { TESSERA_SM90A("fence.mbarrier_init.release.cluster;" ::: "memory"); }
/// What this thread wrote to shared memory may be read by copies and by wgmma: before the barrier that tells their issuer.
TESSERA_DEVICE void fence_proxy_async() { TESSERA_SM90A("fence.proxy.async.shared::cta;" ::: "memory"); }
/// A warpgroup gives registers back, or waits for others' and takes them; all its warps do so.
template <int kRegisters>
TESSERA_DEVICE void give_registers() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
  TESSERA_SM90A("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
TESSERA_DEVICE void take_registers() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
  TESSERA_SM90A("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
/// Programmatic dependent launch: waits until the kernel before has ended, its writes seen; lets the next one start.
TESSERA_DEVICE void wait_for_previous_kernel() { TESSERA_SM90A("griddepcontrol.wait;" ::: "memory"); }
TESSERA_DEVICE void let_next_kernel_start() { TESSERA_SM90A("griddepcontrol.launch_dependents;" :::); }

/// Rank of this block in its cluster, and a barrier of all threads of the cluster.
TESSERA_DEVICE std::uint32_t cluster_rank() {
  std::uint32_t rank = 0;
  TESSERA_SM90A("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
TESSERA_DEVICE void cluster_sync() {
  TESSERA_SM90A("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/// What L2 should do with the lines of a copy.
enum class CacheHint : std::uint8_t { normal, evict_first, evict_last };
TESSERA_DEVICE std::uint64_t cache_policy(CacheHint hint) {
  std::uint64_t policy = 0;
  if (hint == CacheHint::normal) TESSERA_SM90A("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
  if (hint == CacheHint::evict_first) TESSERA_SM90A("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  if (hint == CacheHint::evict_last) TESSERA_SM90A("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

TESSERA_DEVICE void prefetch_map(const TensorMap& map) {
  TESSERA_SM90A("prefetch.tensormap [%0];" ::"l"(map_address(map)) : "memory");
}

/// Starts a copy of the box at `at` (elements, innermost first) to shared memory: its bytes count on `barrier` as they come.
template <class... At>
TESSERA_DEVICE void tma_load(shared_t to, const TensorMap& map, Mbarrier barrier, std::uint64_t policy, At... at) {
  static_assert(sizeof...(At) >= 2 && sizeof...(At) <= 5);
  const std::int32_t c[] = {at...};
#define TESSERA_TMA(DIMENSIONS, COORDINATES, ...)                                     \
  if constexpr (sizeof...(At) == DIMENSIONS)                                          \
  TESSERA_SM90A("cp.async.bulk.tensor." #DIMENSIONS                                   \
                "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"          \
                ".L2::cache_hint [%0], [%1, {" COORDINATES "}], [%2], %3;" ::"r"(to), \
                "l"(map_address(map)), "r"(barrier.at), "l"(policy), __VA_ARGS__      \
                : "memory")
  TESSERA_TMA(2, "%4, %5", "r"(c[0]), "r"(c[1]));
  TESSERA_TMA(3, "%4, %5, %6", "r"(c[0]), "r"(c[1]), "r"(c[2]));
  TESSERA_TMA(4, "%4, %5, %6, %7", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
  TESSERA_TMA(5, "%4, %5, %6, %7, %8", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]));
#undef TESSERA_TMA
}
/// The same into every block of the cluster whose bit is set in `blocks`, at the same places, each on its own barrier.
template <class... At>
TESSERA_DEVICE void tma_load_multicast(shared_t to, const TensorMap& map, Mbarrier barrier, std::uint16_t blocks,
                                       std::uint64_t policy, At... at) {
  static_assert(sizeof...(At) >= 2 && sizeof...(At) <= 5);
  const std::int32_t c[] = {at...};
#define TESSERA_TMA(DIMENSIONS, COORDINATES, ...)                                                            \
  if constexpr (sizeof...(At) == DIMENSIONS)                                                                 \
  TESSERA_SM90A("cp.async.bulk.tensor." #DIMENSIONS                                                          \
                "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"                                 \
                ".multicast::cluster.L2::cache_hint [%0], [%1, {" COORDINATES "}], [%2], %3, %4;" ::"r"(to), \
                "l"(map_address(map)), "r"(barrier.at), "h"(blocks), "l"(policy), __VA_ARGS__                \
                : "memory")
  TESSERA_TMA(2, "%5, %6", "r"(c[0]), "r"(c[1]));
  TESSERA_TMA(3, "%5, %6, %7", "r"(c[0]), "r"(c[1]), "r"(c[2]));
  TESSERA_TMA(4, "%5, %6, %7, %8", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
  TESSERA_TMA(5, "%5, %6, %7, %8, %9", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]));
#undef TESSERA_TMA
}
/// Starts a copy from shared memory to the box at `at`; what lies outside of the region is dropped. tma_commit() closes a
/// group.
template <class... At>
TESSERA_DEVICE void tma_store(const TensorMap& map, shared_t from, std::uint64_t policy, At... at) {
  static_assert(sizeof...(At) >= 2 && sizeof...(At) <= 5);
  const std::int32_t c[] = {at...};
#define TESSERA_TMA(DIMENSIONS, COORDINATES, ...)                              \
  if constexpr (sizeof...(At) == DIMENSIONS)                                   \
  TESSERA_SM90A("cp.async.bulk.tensor." #DIMENSIONS                            \
                "d.global.shared::cta.tile.bulk_group.L2::cache_hint"          \
                " [%0, {" COORDINATES "}], [%1], %2;" ::"l"(map_address(map)), \
                "r"(from), "l"(policy), __VA_ARGS__                            \
                : "memory")
  TESSERA_TMA(2, "%3, %4", "r"(c[0]), "r"(c[1]));
  TESSERA_TMA(3, "%3, %4, %5", "r"(c[0]), "r"(c[1]), "r"(c[2]));
  TESSERA_TMA(4, "%3, %4, %5, %6", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
  TESSERA_TMA(5, "%3, %4, %5, %6, %7", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]));
#undef TESSERA_TMA
}
TESSERA_DEVICE void tma_commit() { TESSERA_SM90A("cp.async.bulk.commit_group;" ::: "memory"); }
/// Waits until all but the latest kPending groups of this thread have read their shared memory, which may then be reused.
template <int kPending>
TESSERA_DEVICE void tma_wait_read() {
  TESSERA_SM90A("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
/// Waits until all but the latest kPending groups of this thread are written.
template <int kPending>
TESSERA_DEVICE void tma_wait_written() {
  TESSERA_SM90A("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}

/// A warp stores four 8 x 8 matrices of 16-bit numbers: lane l gives the address of row l % 8 of matrix l / 8, and in
/// register i its two numbers of matrix i, stored_place().
TESSERA_DEVICE void stmatrix(shared_t row, const std::uint32_t (&r)[4]) {
  TESSERA_SM90A("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row), "r"(r[0]), "r"(r[1]),
                "r"(r[2]), "r"(r[3])
                : "memory");
}

}  // namespace tessera::kernels::cuda
