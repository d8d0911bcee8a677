// What a kernel of embedding lookups is asked: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/norm.hpp>

namespace tessera::kernels::cuda {

/// y[t] = scale * ((word[ids[t]] + segment[segments[t]]) + position[positions[t]]), in BERT's order and the CPU's, then
/// LayerNorm where a kernel is asked for it. Absent tables are left out. Tokens lie one after the other; those of a padded
/// batch are just tokens whose positions begin anew. Indices are rows of their tables. Tables have rows of c numbers of W; c
/// and ldy are multiples of 8, tables, gamma, beta and y are 16-byte aligned.
template <class W, class Y>
struct EmbedArgs {
  const std::int32_t* ids;  ///< [tokens]
  const W* word;            ///< [V, c]
  Y* y;                     ///< [tokens, c]
  index_t ldy;
  int tokens, c;
  const std::int32_t* segments = nullptr;   ///< [tokens]; null: row 0 for every token
  const W* segment = nullptr;               ///< [types, c]
  const std::int32_t* positions = nullptr;  ///< [tokens]; given with position
  const W* position = nullptr;              ///< [max T, c]
  float scale = 1;
  const float* gamma = nullptr;  ///< [c]; null: all 1
  const float* beta = nullptr;   ///< [c]; null: all 0
  float eps = 0;
};

}  // namespace tessera::kernels::cuda
