// Inner products between embeddings.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// out[i,j] = a[i,:] . b[j,:]; the cosine, when the rows have length 1.
/// \param a [M, E] f32.  \param b [N, E] f32.  \param out [M, N] f32, disjoint from both.
/// \throws Error kShapeMismatch, kBadStride.
/// Numerics: f32, 16 virtual lanes and one tree.  Determinism: same bits for any batch, thread count, ISA.
void similarity(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/similarity-inl.hpp>
#endif
