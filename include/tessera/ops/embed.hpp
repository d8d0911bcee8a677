// Token embedding: rows gathered from tables and added.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// The tables of an embedding layer, [rows, C] f32 packed. Only `word` is required.
struct EmbeddingTables {
  View<const float, 2> word = {};      ///< [V, C]
  View<const float, 2> position = {};  ///< [max T, C]
  View<const float, 2> segment = {};   ///< [types, C]
  float scale = 1.f;                   ///< of the sum: sqrt(C) in Gemma
};

/// out[t] = scale * ((word[ids[t]] + segment[segments[t]]) + position[positions[t]]), in BERT's order.
/// \param ids       [T].  \param positions [T], required with a position table.  \param segments [T], or empty: all 0.
/// \param out       [T, C] f32.
/// \throws Error kBadArgument for an id, position or segment outside its table (named with its index), kShapeMismatch.
void embed(Context& ctx, const EmbeddingTables& tables, View<const std::int32_t, 1> ids,
           View<const std::int32_t, 1> positions, View<const std::int32_t, 1> segments, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/embed-inl.hpp>
#endif
