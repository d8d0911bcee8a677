// Where the numbers of tiles lie in shared memory, who holds those of fragments in registers, and which tile a block
// computes: constexpr, so that tests on the host prove what the kernels rely on.
#pragma once
#include <cstdint>

#include <tessera/cuda/host_device.hpp>

namespace tessera::kernels::cuda {

/// Shared memory is read in 16-byte chunks; eight of them that lie in eight different chunks of 128 bytes make no bank
/// conflict.
inline constexpr int kChunk = 16;

/// Rows of kRowBytes, 32, 64 or 128, whose chunks are permuted so that the chunks of one column in eight rows have banks of
/// their own. The permutation is the one TMA and wgmma call the swizzle of so many bytes: XOR of address bits 4.. with
/// bits 7..
template <int kRowBytes>
struct SwizzledTile {
  static_assert(kRowBytes == 32 || kRowBytes == 64 || kRowBytes == 128);
  static constexpr int kChunks = kRowBytes / kChunk;
  static constexpr int kPitch = kRowBytes;
  /// Bytes from the tile's start, which is a multiple of 1024, to a chunk.
  TESSERA_HOST_DEVICE static constexpr int offset(int row, int chunk) noexcept {
    const int plain = row * kRowBytes + chunk * kChunk;
    return plain ^ ((plain >> 7 & (kChunks - 1)) << 4);
  }
};

/// Rows of any whole number of chunks, one chunk wider where that number is even: an odd pitch visits all banks too.
template <int kRowBytes>
struct PaddedTile {
  static_assert(kRowBytes % kChunk == 0);
  static constexpr int kChunks = kRowBytes / kChunk;
  static constexpr int kPitch = (kChunks | 1) * kChunk;
  TESSERA_HOST_DEVICE static constexpr int offset(int row, int chunk) noexcept { return row * kPitch + chunk * kChunk; }
};

/// An element of a fragment.
struct Place {
  int row, column;
  friend constexpr bool operator==(Place, Place) = default;
};

// Fragments of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type"): what a lane holds. A
// and B come in 32-bit registers of two neighbours in k, the lower one in the low half.

/// A [16, 16]: the first of the two numbers in register r < 4.
TESSERA_HOST_DEVICE constexpr Place fragment_a(int lane, int r) noexcept {
  return {lane / 4 + r % 2 * 8, lane % 4 * 2 + r / 2 * 8};
}
/// B [16, 8] as k, n: the first of the two numbers in register r < 2; the second has the next k.
TESSERA_HOST_DEVICE constexpr Place fragment_b(int lane, int r) noexcept { return {lane % 4 * 2 + r * 8, lane / 4}; }
/// C and D [16, 8]: f32 register r < 4.
TESSERA_HOST_DEVICE constexpr Place fragment_c(int lane, int r) noexcept {
  return {lane / 4 + r / 2 * 8, lane % 4 * 2 + r % 2};
}

// Row and 16-byte chunk (eight numbers of k) whose address a lane gives to ldmatrix.x4, so that its four registers are:

/// ... those of A [16, 16] in fragment_a's order.
TESSERA_HOST_DEVICE constexpr Place ldmatrix_a(int lane) noexcept { return {lane % 16, lane / 16}; }
/// ... those of two B's side by side, stored as n, k: [16, 16]: B0's two, then B1's.
TESSERA_HOST_DEVICE constexpr Place ldmatrix_b(int lane) noexcept { return {lane / 16 * 8 + lane % 8, lane / 8 % 2}; }
/// ... transposed, those of two B's side by side, stored as k, n: [16, 16]: B0's two, then B1's.
TESSERA_HOST_DEVICE constexpr Place ldmatrix_b_transposed(int lane) noexcept { return {lane % 16, lane / 16}; }

/// Which tile of C a block computes: groups of kGroup tile rows, down their columns first, so that blocks which run at a
/// time share rows of A and of W in the L2 cache.
TESSERA_HOST_DEVICE constexpr Place tile_of_block(int block, int tile_rows, int tile_columns) noexcept {
  constexpr int kGroup = 8;
  const int group = block / (kGroup * tile_columns), first = group * kGroup;
  const int rows = tile_rows - first < kGroup ? tile_rows - first : kGroup, rest = block - first * tile_columns;
  return {first + rest % rows, rest / rows};
}

}  // namespace tessera::kernels::cuda
