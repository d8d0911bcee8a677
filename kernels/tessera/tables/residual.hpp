// Tokens as a centroid and a few bits for each number of what is left: residual codes.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

struct ResidualArgs {
  const float* centroids;  ///< [K, c]
  index_t c;               ///< a multiple of 8 / bits
  int bits;                ///< 2 or 4
  const float* cutoffs;    ///< [2^bits - 1], ascending: a code says how many of them are below the number
  const float* values;     ///< [256, 8 / bits]: what the codes in a byte stand for
};

struct ResidualTable {
  /// Codes [row1 - row0, c * bits / 8] of rows [row0, row1) of x less their centroids. Code by code, the lowest bit first,
  /// from the highest bit of byte 0 on.
  void (*encode)(const ResidualArgs& args, const float* x, index_t ldx, const std::int32_t* ids, index_t row0, index_t row1,
                 std::uint8_t* codes) noexcept;
  /// out [rows, c], ld apart: centroids plus what the codes stand for, each row then of length 1.
  void (*decode)(const ResidualArgs& args, const std::int32_t* ids, const std::uint8_t* codes, index_t rows, float* out,
                 index_t ld) noexcept;
  /// most[j] = max(most[j], scores[ids[i], j]) over the i < n whose peak, peaks[ids[i]], is `least` or more:
  /// j < width, a multiple of 16; rows ld apart. NaN is passed over.
  void (*interact)(const float* scores, index_t ld, index_t width, const float* peaks, float least, const std::int32_t* ids,
                   index_t n, float* most) noexcept;
};

}  // namespace tessera::kernels
