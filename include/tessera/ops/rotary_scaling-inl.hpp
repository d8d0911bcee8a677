#pragma once
#include <algorithm>
#include <cmath>

#include <tessera/core/fp_mode.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/rotary_scaling.hpp>

namespace tessera::ops {

TESSERA_PUSH_BITS
inline void scale_frequencies(const Llama3Scaling& s, View<float, 1> frequencies) {
  const FpModeScope mode;
  for (index_t i = 0; i < frequencies.extent[0]; ++i) {
    const double own = static_cast<double>(frequencies(i)), wave = 6.28318530717958647692 / own;
    if (wave > s.original / s.low) {
      frequencies(i) = static_cast<float>(own / s.factor);
    } else if (wave >= s.original / s.high) {
      const double share = (s.original / wave - s.low) / (s.high - s.low);
      frequencies(i) = static_cast<float>((1 - share) * own / s.factor + share * own);
    }
  }
}

inline void scale_frequencies(const YarnScaling& s, View<float, 1> frequencies) {
  const FpModeScope mode;
  const double dim = 2 * static_cast<double>(frequencies.extent[0]);
  const auto turning = [&](double turns) {  // the pair that turns so often within the original places
    return dim * std::log(s.original / (turns * 6.28318530717958647692)) / (2 * std::log(s.base));
  };
  double from = turning(s.fast), to = turning(s.slow);
  if (s.whole) from = std::floor(from), to = std::ceil(to);
  from = std::max(from, 0.0), to = std::min(to, dim - 1);
  if (from == to) to += 0.001;
  for (index_t i = 0; i < frequencies.extent[0]; ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - from) / (to - from), 0.0, 1.0);
    const double own = static_cast<double>(frequencies(i));
    frequencies(i) = static_cast<float>(own / s.factor * ramp + own * (1 - ramp));
  }
}

inline double yarn_attention_scale(double factor, double weight) {
  const FpModeScope mode;
  return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}
inline double longrope_attention_scale(double factor, double original) {
  const FpModeScope mode;
  return factor <= 1 || original <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
}
TESSERA_POP_BITS

}  // namespace tessera::ops
