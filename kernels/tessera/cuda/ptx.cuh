// Everything of sm_80 and above that is not plain C++: the one header with PTX, CUDA's built-in names and attributes.
// Kernels reach memory and each other through it alone, so that the test rig can take its place and run them on the host
// (tests/cuda/simt/shadow).
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include <tessera/core/dtype.hpp>
#include <tessera/cuda/host_device.hpp>

#define TESSERA_DEVICE __device__ __forceinline__
#define TESSERA_KERNEL(threads, blocks_of_sm) __global__ void __launch_bounds__(threads, blocks_of_sm)
#define TESSERA_GRID_CONSTANT __grid_constant__
#define TESSERA_UNROLLED _Pragma("unroll")
#define TESSERA_NOT_UNROLLED _Pragma("unroll 1")

namespace tessera::kernels::cuda {

/// An address in the block's shared memory.
using shared_t = std::uint32_t;
/// Two bf16: the first one in the low half.
using bf16_pair = std::uint32_t;

TESSERA_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
TESSERA_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
TESSERA_DEVICE int block_index_y() { return static_cast<int>(blockIdx.y); }

/// The dynamic shared memory, 1024-byte aligned.
TESSERA_DEVICE shared_t dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char tessera_dynamic_shared[];
  return static_cast<shared_t>(__cvta_generic_to_shared(tessera_dynamic_shared));
}
/// T is 1, 2, 4, 8 or 16 bytes, aligned to its size.
template <class T>
TESSERA_DEVICE T load_shared(shared_t at) {
  return *static_cast<const T*>(__cvta_shared_to_generic(at));
}
template <class T>
TESSERA_DEVICE void store_shared(shared_t at, const T& value) {
  *static_cast<T*>(__cvta_shared_to_generic(at)) = value;
}
template <class T>
TESSERA_DEVICE T load_global(const T* at) {
  return *at;
}
template <class T>
TESSERA_DEVICE void store_global(T* at, const T& value) {
  *at = value;
}

/// All threads of the block.
TESSERA_DEVICE void sync_threads() { __syncthreads(); }
/// All lanes of the warp.
TESSERA_DEVICE void sync_warp() { __syncwarp(); }
/// `threads` threads, whole warps, that name the same barrier of the sixteen; 0 is sync_threads' own.
TESSERA_DEVICE void sync_named(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

/// The lane `lane ^ mask`'s value, of 4 or 8 bytes; all lanes call.
template <class T>
TESSERA_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffU, value, mask);
}
/// Lane `from % 32`'s value, of 4 or 8 bytes; all lanes call.
template <class T>
TESSERA_DEVICE T shuffle(T value, int from) {
  return __shfl_sync(0xffffffffU, value, from);
}
/// Bit i: lane i's condition; all lanes call.
TESSERA_DEVICE std::uint32_t ballot(bool condition) { return __ballot_sync(0xffffffffU, condition); }

/// How many bits are 1, and which one is the lowest of some that are.
TESSERA_DEVICE int count_bits(std::uint32_t bits) { return __popc(bits); }
TESSERA_DEVICE int lowest_bit(std::uint32_t bits) { return __ffs(static_cast<int>(bits)) - 1; }

/// Starts a copy of the first `bytes` of 16, the others become 0. Both addresses are 16-byte aligned; with 0 bytes nothing
/// is read. Other threads may read it when this one has waited for it and they have met at a barrier.
TESSERA_DEVICE void copy_async_16(shared_t to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
/// Makes a group of what this thread has started since the last one.
TESSERA_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most the kPending last groups of this thread are under way.
template <int kPending>
TESSERA_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Four 8 x 8 matrices of 16-bit numbers; lane i gives the address of row i % 8 of matrix i / 8. Lane i gets of each the
/// pair of row i / 4 from column 2 (i % 4) on.
TESSERA_DEVICE void load_matrices(std::uint32_t (&r)[4], shared_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
/// The same of the matrices' transposes.
TESSERA_DEVICE void load_matrices_transposed(std::uint32_t (&r)[4], shared_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
/// d += A [16, 16] B [16, 8] of bf16, by fragment_a, _b and _c of tiles.hpp.
TESSERA_DEVICE void mma_m16n8k16(float (&d)[4], const bf16_pair (&a)[4], const bf16_pair (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// To nearest, ties to even.
TESSERA_DEVICE bf16 to_bf16(float x) {
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bf16{bits};
}
TESSERA_DEVICE bf16_pair to_bf16_pair(float low, float high) {
  bf16_pair pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
/// 2^x to about 2 units in the last place, results below 2^-126 are 0.
TESSERA_DEVICE float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace tessera::kernels::cuda
