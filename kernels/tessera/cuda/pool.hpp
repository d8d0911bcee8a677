// What the kernel from token vectors to one vector a sequence is asked: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/host_device.hpp>
#include <tessera/tables/embed.hpp>

namespace tessera::kernels::cuda {

using kernels::Pooling;

/// out[b] = pool over rows cu_seqlens[b] .. cu_seqlens[b + 1] of x, as the CPU's op means it; an empty sequence gives a row
/// of 0. c and ldx are multiples of 8, x is 16-byte aligned. Sums are f32 in an order that depends on the sequence alone.
template <class X>
struct PoolArgs {
  const X* x;  ///< [T, c]
  index_t ldx;
  const std::int32_t* cu_seqlens;  ///< [sequences + 1], ascending from 0
  float* out;                      ///< [sequences, c]
  index_t ldo;
  int c;
  Pooling mode;
  const float* weights = nullptr;  ///< [T], only for weighted_mean; null: 1, 2, ... within a sequence
};

/// A block has 256 columns of a sequence, each of its warps every kPoolWarps-th token of them.
inline constexpr int kPoolWarps = 8, kPoolColumns = 256;
/// Shared memory: what each warp found, and its sum of weights.
inline constexpr int kPoolSharedBytes = kPoolWarps * kPoolColumns * 4 + kPoolWarps * 4;

}  // namespace tessera::kernels::cuda
