#pragma once
#include <cmath>

#include <tessera/core/error.hpp>
#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/position_rows.hpp>

namespace tessera::ops {

inline index_t position_row(index_t distance, index_t rows, index_t log_distance) {
  const index_t span = rows / 2, middle = span / 2;
  if (rows < 2 || rows % 2 != 0 || (log_distance > 0 && (span < 2 || log_distance - 1 <= middle)))
    throw Error(Code::kBadArgument, {"relative positions: a table of ", std::to_string(rows), " rows and distances up to ",
                                     std::to_string(log_distance), "; expected an even number of rows, and on the ",
                                     "logarithmic scale at least 4 and a distance above a quarter of them"});
  const index_t apart = distance < 0 ? -distance : distance;
  index_t step = apart;
  if (log_distance > 0 && apart > middle) {
    const FpModeScope mode;
    // Rounded to f32 wherever transformers is, so that what lies next to a whole number lies on the same side of it.
    const auto log_of = [&](index_t d) {
      const float quotient = static_cast<float>(d) / static_cast<float>(middle);
      return static_cast<float>(std::log(static_cast<double>(quotient)));
    };
    step =
        static_cast<index_t>(std::ceil(log_of(apart) / log_of(log_distance - 1) * static_cast<float>(middle - 1))) + middle;
  }
  const index_t row = span + (distance < 0 ? step : -step);
  return row < 0 ? 0 : row < rows ? row : rows - 1;
}

inline void position_rows(index_t rows, index_t log_distance, View<std::int32_t, 1> out) {
  if (out.extent[0] % 2 != 1) throw Error(Code::kShapeMismatch, "position_rows: out must be [2 R + 1]");
  const index_t most = out.extent[0] / 2;
  for (index_t d = -most; d <= most; ++d) out(most + d) = static_cast<std::int32_t>(position_row(d, rows, log_distance));
}

}  // namespace tessera::ops
