// Where bytes lie in shared memory as the copy engine (TMA) and wgmma of sm_90a see them, and who holds what of a product.
// Plain constexpr C++, for host and device. Source: PTX ISA 8.0, "Asynchronous Warpgroup Level Matrix Instructions".
#pragma once
#include <cstdint>

#include <tessera/cuda/host_device.hpp>
#include <tessera/cuda/tiles.hpp>

namespace tessera::kernels::cuda {

/// The address that holds what would be at `address` without a swizzle of `span` bytes, 32, 64 or 128 (0: none): within rows
/// of so many bytes 16-byte chunks change places. SwizzledTile::offset() is the same of a tile that begins at a multiple of
/// 1024.
TESSERA_HOST_DEVICE constexpr std::uint32_t swizzled(int span, std::uint32_t address) noexcept {
  return span == 0 ? address : address ^ ((address >> 7 & (static_cast<std::uint32_t>(span) / 16 - 1)) << 4);
}

/// The 64 bits that tell wgmma where an operand lies: a tile in shared memory, K-major, whose rows of kRowBytes are
/// swizzled. In 16-byte units: address bits 0-13; leading offset 16-29, which swizzled K-major tiles do not use; stride
/// offset, from 8 rows to the next, 32-45. Then the base offset, bits 49-51, 0 as tiles begin at multiples of 8 rows; the
/// swizzle, bits 62-63.
template <int kRowBytes>
struct OperandDescriptor {
  static_assert(kRowBytes == 32 || kRowBytes == 64 || kRowBytes == 128);
  static constexpr std::uint32_t kAlignment = 8 * kRowBytes;
  std::uint64_t bits;

  /// `address`: a multiple of kAlignment.
  TESSERA_HOST_DEVICE static constexpr OperandDescriptor at(std::uint32_t address) noexcept {
    constexpr std::uint64_t kSwizzle = kRowBytes == 128 ? 1 : kRowBytes == 64 ? 2 : 3;
    return {kSwizzle << 62 | std::uint64_t{kAlignment >> 4} << 32 | std::uint64_t{1} << 16 | (address & 0x3ffffU) >> 4};
  }
  /// From number `k` of the rows on, a multiple of 16: the hardware permutes by the bits of the address that it computes.
  TESSERA_HOST_DEVICE constexpr OperandDescriptor advance(int k) const noexcept {
    return {bits + (static_cast<std::uint32_t>(k) * 2 >> 4)};
  }
  /// From row `row` on, a multiple of 8.
  TESSERA_HOST_DEVICE constexpr OperandDescriptor from_row(int row) const noexcept {
    return {bits + (static_cast<std::uint32_t>(row) * kRowBytes >> 4)};
  }
};

/// The element of a 64 x N product that register r < N / 2 of thread t < 128 of a warpgroup holds.
TESSERA_HOST_DEVICE constexpr Place wgmma_sum(int thread, int r) noexcept {
  return {thread / 32 * 16 + thread % 32 / 4 + r / 2 % 2 * 8, r / 4 * 8 + thread % 4 * 2 + r % 2};
}
/// A [64, 16] from registers: the first of the two numbers in register r < 4; the second has the next k.
TESSERA_HOST_DEVICE constexpr Place wgmma_a(int thread, int r) noexcept {
  return {thread / 32 * 16 + thread % 32 / 4 + r % 2 * 8, thread % 4 * 2 + r / 2 * 8};
}
/// Row and 16-byte chunk whose address a lane gives to stmatrix.x4 so that 16 rows of two neighbouring column blocks of
/// sums, rounded to pairs of 16 bits in the order of their registers, lie as rows.
TESSERA_HOST_DEVICE constexpr Place stmatrix_sums(int lane) noexcept { return {lane % 16, lane / 16}; }

}  // namespace tessera::kernels::cuda
