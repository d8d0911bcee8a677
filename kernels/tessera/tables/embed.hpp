// Table lookups and reductions over tokens.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

/// out[t] = scale * ((word[ids[t]] + segment[segments[t]]) + position[positions[t]]); absent tables are left out.
struct EmbedArgs {
  const std::int32_t* ids;
  const std::int32_t* segments = nullptr;   ///< null: row 0 for every token
  const std::int32_t* positions = nullptr;  ///< must be given with position
  const float* word;
  const float* segment = nullptr;
  const float* position = nullptr;
  index_t c;
  float* out;
  index_t ldo;
  float scale = 1.f;
};

enum class Pooling : unsigned char { cls, mean, mean_sqrt, max, weighted_mean, last };

struct EmbedTable {
  void (*embed)(const EmbedArgs& args, index_t t0, index_t t1) noexcept;
  /// Rows x [t, c], t >= 1, to out [c]. `weights` [t] only for weighted_mean; null: 1, 2, ... t.
  void (*pool)(Pooling mode, const float* x, index_t ldx, index_t t, index_t c, const float* weights, float* out) noexcept;
  /// out = sum_i weights[i] * rows[i], [c] each, one FMA chain in the order given.
  void (*combine)(const float* const* rows, const float* weights, index_t n, index_t c, float* out) noexcept;
};

}  // namespace tessera::kernels
