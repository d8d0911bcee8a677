// Rotary positions: queries and keys turned by angles that grow with their places.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// Which numbers of a head turn together, of the R that do.
enum class RotaryPairs : unsigned char {
  halves,   ///< i and i + R / 2: transformers' rotate_half (Llama, ModernBERT, DINOv3)
  adjacent  ///< 2 i and 2 i + 1: the paper's (GPT-J, RoFormer)
};

/// The angles of all places that tokens may have, however many axes a place has: a row is a place.
struct Rotary {
  View<const float, 2> cos = {}, sin = {};  ///< [places, R / 2]; the first R numbers of a head turn. Empty: nothing does.
  RotaryPairs pairs = RotaryPairs::halves;
};

/// Each pair (a, b) of each head becomes (a cos - b sin, b cos + a sin), by the row places[t] of the tables.
/// \param x      [T, H, D] f32 in place, any strides but the last; R <= D.
/// \param places [T] rows of the tables, or negative for a token that stays (class and register tokens); empty: row t.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument for a place beyond the tables, with `x` untouched.
/// Determinism: same bits for any batch, thread count, ISA.
/// Source: Su et al., "RoFormer", arXiv:2104.09864, 3.4.2.
void rotary(Context& ctx, View<float, 3> x, const Rotary& tables, View<const std::int32_t, 1> places);

/// The tables of places by their coordinates: column j turns by coordinates[t][axes[j]] * frequencies[j], rounded to f32 as
/// transformers does. One axis is text; two, each with half of the columns, an image (axial); three, in sections, M-RoPE.
/// \param coordinates [places, A] f32.         \param axes [R / 2] in [0, A), or empty: all 0.
/// \param frequencies [R / 2] radians a unit.  \param cos, sin [places, R / 2], rows contiguous.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument for an axis that is none, or an angle beyond 2^20.
/// Numerics: sine and cosine in double by exactly rounded operations alone, no library's, then rounded to f32: within 0.51
/// units in the last place for angles below 1000, and the same bits on every machine.
void rotary_tables(View<const float, 2> coordinates, View<const std::int32_t, 1> axes, View<const float, 1> frequencies,
                   View<float, 2> cos, View<float, 2> sin);

/// frequencies[i] = 1 / base^(i / n), i < n, with the exponent, the power and the quotient rounded to f32 as transformers
/// does; its own power may be one unit in the last place away. \throws Error kBadArgument unless 0 < base < infinity.
void rotary_frequencies(double base, View<float, 1> frequencies);

/// The coordinates of a grid's patches as DINOv3 has them: 2 pi times their centres on [-1, 1], down and across.
/// \param coordinates [height * width, 2] packed.  Source: Siméoni et al., arXiv:2508.10104; transformers,
/// modeling_dinov3_vit.py.  \throws Error kShapeMismatch, kBadStride.
void rotary_grid(index_t height, index_t width, View<float, 2> coordinates);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/rotary-inl.hpp>
#endif
