#pragma once
#include <cmath>

#include <tessera/core/error.hpp>
#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/distance_bias.hpp>

namespace tessera::ops {

inline index_t relative_bucket(index_t distance, index_t buckets, index_t max_distance) {
  if (buckets < 4 || buckets % 4 != 0 || max_distance <= buckets / 4)
    throw Error(Code::kBadArgument,
                {"relative positions: ", std::to_string(buckets), " buckets up to a distance of ",
                 std::to_string(max_distance), "; expected a multiple of 4, and a distance above a quarter of them"});
  const index_t half = buckets / 2, exact = half / 2, side = distance > 0 ? half : 0;
  const index_t apart = distance < 0 ? -distance : distance;
  if (apart < exact) return side + apart;
  const FpModeScope mode;
  // transformers takes logarithms in f32, exact where the quotient is a power of two. Here the last bits of a logarithm,
  // which libraries round differently, decide nothing: the fraction keeps such quotients on their side.
  const double scale = std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const double steps =
      std::log(static_cast<double>(apart) / static_cast<double>(exact)) / scale * static_cast<double>(half - exact);
  const index_t large = exact + static_cast<index_t>(steps + 1e-7);
  return side + (large < half ? large : half - 1);
}

inline void relative_distance_bias(View<const float, 2> table, index_t max_distance, View<float, 2> out) {
  if (out.extent[0] != table.extent[1] || out.extent[1] % 2 != 1)
    throw Error(Code::kShapeMismatch, "relative_distance_bias: out must be [heads of the table, 2 R + 1]");
  const index_t most = out.extent[1] / 2;
  for (index_t d = -most; d <= most; ++d) {
    const index_t bucket = relative_bucket(d, table.extent[0], max_distance);
    for (index_t h = 0; h < out.extent[0]; ++h) out(h, most + d) = table(bucket, h);
  }
}

inline float alibi_slope(index_t head, index_t heads) {
  if (head < 0 || head >= heads)
    throw Error(Code::kBadArgument, {"ALiBi: head ", std::to_string(head), " of ", std::to_string(heads)});
  index_t power = 1, step = head + 1;
  while (power <= heads / 2) power *= 2;
  if (head >= power) step = 2 * (head - power) + 1, power *= 2;
  const FpModeScope mode;
  // Not by a power function, whose last bits libraries round differently.
  double root = 0x1p-8, slope = 1;
  for (index_t p = power; p > 1; p /= 2) root = std::sqrt(root);
  for (index_t i = 0; i < step; ++i) slope *= root;
  return static_cast<float>(slope);
}

inline void alibi_distance_bias(View<float, 2> out) {
  if (out.extent[1] % 2 != 1) throw Error(Code::kShapeMismatch, "alibi_distance_bias: out must be [heads, 2 R + 1]");
  const FpModeScope mode;
  const index_t most = out.extent[1] / 2;
  for (index_t h = 0; h < out.extent[0]; ++h) {
    const float slope = -alibi_slope(h, out.extent[0]);
    for (index_t d = 0; d <= most; ++d) out(h, most + d) = out(h, most - d) = slope * static_cast<float>(d);
  }
}

}  // namespace tessera::ops
