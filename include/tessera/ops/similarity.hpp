// Inner products, multilinear ones and distances between embeddings.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// out[i,j] = a[i,:] . b[j,:]; the cosine, when the rows have length 1.
/// \param a [M, E] f32.  \param b [N, E] f32.  \param out [M, N] f32, disjoint from both.
/// \throws Error kShapeMismatch, kBadStride.
/// Numerics: f32, 16 virtual lanes and one tree.  Determinism: same bits for any batch, thread count, ISA.
void similarity(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);

/// Queries of several modalities: out[b,c] = m_0[b,c] * m_1[b,c] * ..., for top_k(), certified_top_k() and Corpus::search(),
/// whose inner product with a row x is then the multilinear one, sum_c x[c] * m_0[c] * m_1[c] * ...
/// It is a pass of its own: a search loads a query once for every 64 rows, so that multiplying as it is loaded would do the
/// same n / 64 times, where this is m - 1 multiplications beside the 2 n of each number of a query.
/// \param modalities `count` >= 1 views [B, E] f32, rows may be padded.  \param out [B, E] f32; may be one of them.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument without any, with `out` untouched.
/// Numerics: f32, in the order given. Products of m unit vectors are as small as E^((1 - m) / 2), so keep them in f32.
/// Determinism: same bits for any batch, thread count, ISA.
/// Source: Saporta, Puli, Goldstein, Ranganath, "Contrasting with Symile", arXiv:2411.01053, sections 3.1 and 3.3.
void multiply_rows(Context& ctx, const View<const float, 2>* modalities, int count, View<float, 2> out);

/// out[b,i] = |queries[b] - rows[ids[b,i]]|^2, of rows that a search found; infinity where an id is -1.
/// \param queries [B, E] f32.  \param rows [N, E] f32.  \param ids [B, k].  \param out [B, k] f32.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument for other ids that are no row, with `out` untouched.
/// Numerics: one f32 FMA chain over the differences, c ascending: never negative, 0 for the same row, where |q|^2 - 2 q . x
/// + |x|^2 cancels.  Determinism: same bits for any batch, thread count, ISA.
void squared_distances(Context& ctx, View<const float, 2> queries, View<const float, 2> rows, View<const index_t, 2> ids,
                       View<float, 2> out);
/// out[r] = -|rows[r]|^2 / 2, the bias by which a search has the order of the Euclidean distance, but for rows whose
/// distances differ by less than that sum rounds.  \param rows [N, E] f32.  \param out [N] f32.  \throws Error
/// kShapeMismatch, kBadStride. Numerics: one f32 FMA chain.
void negative_half_squared_norms(Context& ctx, View<const float, 2> rows, View<float, 1> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/similarity-inl.hpp>
#endif
