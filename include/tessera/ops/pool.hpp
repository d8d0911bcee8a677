// From token vectors to one vector a sequence.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/ragged_batch.hpp>
#include <tessera/tables/embed.hpp>

namespace tessera::ops {

/// cls: first token; last: last token; mean, mean_sqrt: sum / T, sum / sqrt(T); max: per channel; weighted_mean: weights
/// 1 .. T (sentence-transformers' weightedmean_tokens) or given ones.
using kernels::Pooling;

/// out[b] = pool over rows cu_seqlens[b] .. cu_seqlens[b+1]; an empty sequence gives a row of 0.
/// \param x       [sum T, C] f32.  \param weights [sum T] for weighted_mean, or empty.
/// \param out     [B, C] f32, disjoint from x; rows may be padded (modes side by side).
/// \throws Error kShapeMismatch, kBadStride.
/// Numerics: f32, tokens added in order.  Determinism: same bits for any batch, thread count, ISA.
void pool(Context& ctx, Pooling mode, View<const float, 2> x, View<const index_t, 1> cu_seqlens,
          View<const float, 1> weights, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/pool-inl.hpp>
#endif
