// One pass of separable resampling over 8-bit samples.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

/// out = clamp((2^(shift-1) + sum_j w[i, j] * in[first[i] + j]) >> shift, 0, 255) for output i of the axis, j < count[i].
/// Sums are modulo 2^32, so that only the whole sum has to fit. w = low + 2^15 * high.
struct ResampleArgs {
  const std::uint8_t* in;
  index_t ld_in;  ///< bytes between rows
  index_t in_rows;
  std::uint8_t* out;
  index_t ld_out;
  index_t channels;  ///< 1 to 4, interleaved
  index_t in_width;  ///< pixels
  index_t out_width;
  const std::int32_t* first;
  const std::int32_t* count;
  const std::int16_t* low;   ///< [outputs, ld_weights], zero beyond count
  const std::int16_t* high;  ///< the same, or null: all zero
  index_t ld_weights;        ///< a multiple of 2 for vertical, of 32 for horizontal passes
  int shift;
};

struct ResampleTable {
  /// Rows [y0, y1): each becomes out_width pixels. \param scratch resample_scratch(in_width, channels) bytes
  void (*horizontal)(const ResampleArgs& args, index_t y0, index_t y1, std::uint8_t* scratch) noexcept;
  /// Output rows [y0, y1), each from rows of the same width.
  void (*vertical)(const ResampleArgs& args, index_t y0, index_t y1) noexcept;
  /// out = sum_i weights[i] * rows[i] of floats, [c] each, i < n, n >= 1: the first product; then, in the order given,
  /// products that are rounded before they are added, as many as fill groups of four; the last ones by fused multiply-adds.
  void (*weigh)(const float* const* rows, const float* weights, index_t n, index_t c, float* out) noexcept;
};

/// Lanes for a pixel's channels: a power of two.
constexpr int padded_channels(int channels) noexcept { return channels == 3 ? 4 : channels; }
/// Vectors may read so many bytes behind a row.
inline constexpr index_t kResampleReadsBeyond = 40;
/// Four rows with as many bytes behind each.
constexpr index_t resample_scratch(index_t in_width, index_t channels) noexcept {
  return (4 * (in_width * channels + kResampleReadsBeyond) + 63) / 64 * 64;
}

}  // namespace tessera::kernels
