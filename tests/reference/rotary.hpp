// Naive rotary positions in double precision.
#pragma once
#include <cmath>
#include <vector>

#include <tessera/core/view.hpp>
#include "reference/result.hpp"

namespace tessera::ref {

/// x [T, H, D] with its first 2 * cos.extent[1] numbers turned by row places[t], as a matrix [T, H D].
inline Result rotary(View<const float, 3> x, View<const float, 2> cos, View<const float, 2> sin,
                     const std::vector<std::int32_t>& places, bool adjacent) {
  const index_t heads = x.extent[1], d = x.extent[2], half = cos.extent[1];
  Result out(x.extent[0], heads * d);
  for (index_t t = 0; t < out.rows; ++t)
    for (index_t h = 0; h < heads; ++h)
      for (index_t i = 0; i < d; ++i) {
        const index_t place = places[static_cast<std::size_t>(t)], pair = adjacent ? i / 2 : i % (half ? half : 1);
        const bool first = adjacent ? i % 2 == 0 : i < half, turns = place >= 0 && i < 2 * half;
        double v = x(t, h, i), magnitude = 0;
        if (turns) {
          const index_t other = adjacent ? i ^ 1 : (i + half) % (2 * half);
          const double kept = v * double{cos(place, pair)}, added = double{x(t, h, other)} * double{sin(place, pair)};
          v = first ? kept - added : kept + added;
          magnitude = std::fabs(kept) + std::fabs(added);
        }
        out.set(t, h * d + i, v, magnitude);
      }
  return out;
}

}  // namespace tessera::ref
