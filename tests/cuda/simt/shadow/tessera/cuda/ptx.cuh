// Stands in for kernels/tessera/cuda/ptx.cuh where kernels run on the host. What an instruction does with registers and
// lanes is written here again, from the PTX ISA, not taken from the library's maps.
#pragma once
#include <cmath>

#include <tessera/core/dtype.hpp>
#include <tessera/cuda/host_device.hpp>

#include "cuda/simt/block.hpp"

#define TESSERA_DEVICE inline
#define TESSERA_KERNEL(threads, blocks_of_sm) void
#define TESSERA_GRID_CONSTANT
#define TESSERA_UNROLLED
#define TESSERA_NOT_UNROLLED

namespace tessera::kernels::cuda {

using shared_t = std::uint32_t;
using bf16_pair = std::uint32_t;

inline simt::Block& rig() { return *simt::Block::now(); }

inline int thread_index() { return rig().thread(); }
inline int block_index() { return rig().x; }
inline int block_index_y() { return rig().y; }
inline shared_t dynamic_shared() { return simt::SharedMemory::kBase; }

template <class T>
T load_shared(shared_t at) {
  rig().require(rig().shared.wrong_with(at, sizeof(T), sizeof(T)));
  rig().require(rig().shared.read(at, sizeof(T), rig().thread(), rig().self().clock));
  T value;
  std::memcpy(&value, rig().shared.at(at), sizeof(T));
  return value;
}
template <class T>
void store_shared(shared_t at, const T& value) {
  rig().require(rig().shared.wrong_with(at, sizeof(T), sizeof(T)));
  rig().require(rig().shared.write(at, sizeof(T), rig().thread(), rig().self().clock));
  std::memcpy(rig().shared.at(at), &value, sizeof(T));
}
template <class T>
T load_global(const T* at) {
  static_assert(sizeof(T) <= 16);
  const std::string wrong = simt::wrong_with(at, sizeof(T), false);
  if (!wrong.empty()) rig().fail("reads " + wrong);
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}
template <class T>
void store_global(T* at, const T& value) {
  static_assert(sizeof(T) <= 16);
  const std::string wrong = simt::wrong_with(at, sizeof(T), true);
  if (!wrong.empty()) rig().fail("writes " + wrong);
  std::memcpy(at, &value, sizeof(T));
}

inline void sync_threads() {
  rig().meet(rig().barrier(0), rig().threads(), "sync_threads", true, [] {});
}
inline void sync_warp() {
  rig().meet(rig().warp().meeting, 32, "sync_warp", true, [] {});
}
inline void sync_named(int barrier, int threads) {
  if (threads % 32 != 0) rig().fail("names a barrier of threads that are not whole warps");
  rig().meet(rig().barrier(barrier), threads, "sync_named", true, [] {});
}

template <class T>
T shuffle_xor(T value, int mask) {
  struct Lane {
    T in, out;
    int mask;
  } mine{value, T{}, mask};
  rig().together("shuffle_xor", mine, [](const auto& all) {
    for (std::size_t i = 0; i < 32; ++i) all[i]->out = all[i ^ static_cast<std::size_t>(all[i]->mask)]->in;
  });
  return mine.out;
}
template <class T>
T shuffle(T value, int from) {
  struct Lane {
    T in, out;
    int from;
  } mine{value, T{}, from};
  rig().together("shuffle", mine, [](const auto& all) {
    for (auto* lane : all) lane->out = all[static_cast<std::size_t>(lane->from) % 32]->in;
  });
  return mine.out;
}
inline std::uint32_t ballot(bool condition) {
  struct Lane {
    bool in;
    std::uint32_t out;
  } mine{condition, 0};
  rig().together("ballot", mine, [](const auto& all) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 32; ++i) bits |= (all[i]->in ? 1U : 0U) << i;
    for (auto* lane : all) lane->out = bits;
  });
  return mine.out;
}

inline int count_bits(std::uint32_t bits) { return __builtin_popcount(bits); }
inline int lowest_bit(std::uint32_t bits) { return __builtin_ctz(bits); }

inline void copy_async_16(shared_t to, const void* from, int bytes) { rig().start_copy(to, from, bytes); }
inline void copy_async_commit() { rig().commit_copies(); }
template <int kPending>
void copy_async_wait() {
  rig().wait_for_copies(kPending);
}

/// ldmatrix: eight lanes give the rows of a matrix; a lane receives row lane / 4, elements 2 (lane % 4) and the next, or, of
/// the transpose, column lane / 4 of these two rows.
inline void emulated_ldmatrix(const char* what, std::uint32_t (&r)[4], shared_t row, bool transposed) {
  struct Lane {
    std::uint16_t matrix_row[8];
    std::uint32_t* out;
  } mine;
  rig().require(rig().shared.wrong_with(row, 16, 16));
  rig().require(rig().shared.read(row, 16, rig().thread(), rig().self().clock));
  std::memcpy(mine.matrix_row, rig().shared.at(row), 16);
  mine.out = r;
  rig().together(what, mine, [transposed](const auto& all) {
    for (std::size_t lane = 0; lane < 32; ++lane)
      for (std::size_t matrix = 0; matrix < 4; ++matrix) {
        std::uint32_t pair[2];
        for (std::size_t i = 0; i < 2; ++i) {
          const std::size_t one = lane / 4, other = 2 * (lane % 4) + i;
          pair[i] = transposed ? all[8 * matrix + other]->matrix_row[one] : all[8 * matrix + one]->matrix_row[other];
        }
        all[lane]->out[matrix] = pair[0] | pair[1] << 16;
      }
  });
}
inline void load_matrices(std::uint32_t (&r)[4], shared_t row) { emulated_ldmatrix("load_matrices", r, row, false); }
inline void load_matrices_transposed(std::uint32_t (&r)[4], shared_t row) {
  emulated_ldmatrix("load_matrices_transposed", r, row, true);
}

/// mma.m16n8k16: with g = lane / 4 and t = lane % 4, A's registers are (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)
/// and their right neighbours, B's (2t, g), (2t + 8, g) and the next k, C's (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t +
/// 1).
inline void mma_m16n8k16(float (&d)[4], const bf16_pair (&a)[4], const bf16_pair (&b)[2]) {
  struct Lane {
    float* d;
    const bf16_pair *a, *b;
  } mine{d, a, b};
  rig().together("mma_m16n8k16", mine, [](const auto& all) {
    float of_a[16][16], of_b[16][8], c[16][8];
    const auto half = [](bf16_pair pair, std::size_t i) {
      return __builtin_bit_cast(float, i == 0 ? pair << 16 : pair & 0xffff0000U);
    };
    for (std::size_t lane = 0; lane < 32; ++lane) {
      const std::size_t g = lane / 4, t = 2 * (lane % 4);
      for (std::size_t i = 0; i < 2; ++i) {
        of_a[g][t + i] = half(all[lane]->a[0], i);
        of_a[g + 8][t + i] = half(all[lane]->a[1], i);
        of_a[g][t + 8 + i] = half(all[lane]->a[2], i);
        of_a[g + 8][t + 8 + i] = half(all[lane]->a[3], i);
        of_b[t + i][g] = half(all[lane]->b[0], i);
        of_b[t + 8 + i][g] = half(all[lane]->b[1], i);
        c[g][t + i] = all[lane]->d[i];
        c[g + 8][t + i] = all[lane]->d[2 + i];
      }
    }
    for (std::size_t m = 0; m < 16; ++m)
      for (std::size_t k = 0; k < 16; ++k)
        for (std::size_t n = 0; n < 8; ++n) c[m][n] += of_a[m][k] * of_b[k][n];
    for (std::size_t lane = 0; lane < 32; ++lane) {
      const std::size_t g = lane / 4, t = 2 * (lane % 4);
      for (std::size_t i = 0; i < 2; ++i) {
        all[lane]->d[i] = c[g][t + i];
        all[lane]->d[2 + i] = c[g + 8][t + i];
      }
    }
  });
}

inline bf16 to_bf16(float x) { return simt::host_bf16(x); }
inline bf16_pair to_bf16_pair(float low, float high) {
  return to_bf16(low).bits | static_cast<bf16_pair>(to_bf16(high).bits) << 16;
}
inline float exp2_approximate(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

}  // namespace tessera::kernels::cuda
