// Hamming distances of rows of bits. Panels: rows [N, bytes] as [ceil(N / 64)][bytes][64], rows beyond N zero.
#pragma once
#include <tessera/tables/gemm.hpp>

namespace tessera::kernels {

/// The longest row: its distances fit into 16 bits.
inline constexpr index_t kMostRowBytes = 8191;

struct HammingArgs {
  const std::uint8_t* queries;  ///< [m, bytes], rows ldq apart
  index_t ldq, bytes;
  std::uint8_t last_mask;  ///< the bits of a query's last byte that count; those of rows are 0 beyond them
  const std::uint8_t* rows;
  index_t n;
  std::uint8_t* room;  ///< this lane's HammingTable::room(), 16-byte aligned
  const Selection* selection;
};

struct HammingTable {
  /// Of queries [m0, m1) and the rows of panels [p0, p1) what selection keeps of the negative distances.
  void (*search)(const HammingArgs& args, index_t m0, index_t m1, index_t p0, index_t p1) noexcept;
  index_t (*room)(
      index_t bytes);  ///< bytes for queries as the kernel reads them, of which several rooms may lie side by side
  /// numpy.packbits(x > 0): element 0 is the highest bit of byte 0, what is missing of the last byte is zero.
  void (*pack)(const float* x, index_t n, std::uint8_t* bytes) noexcept;
};

}  // namespace tessera::kernels
