// What attention adds to a score for how far its key is from its query.
#pragma once
#include <tessera/core/view.hpp>

namespace tessera::ops {

/// T5's bucket of a distance (place of the key - place of the query): half of the buckets are for keys behind the query,
/// half of those for single distances, the rest for distances on a logarithmic scale up to max_distance, and for all beyond.
/// \throws Error kBadArgument unless buckets is a positive multiple of 4 and max_distance above buckets / 4.
/// Source: Raffel et al., arXiv:1910.10683, section 2.1; transformers' T5Attention (MPNet has the same).
index_t relative_bucket(index_t distance, index_t buckets, index_t max_distance);

/// out[h, R + d] = table[relative_bucket(d), h] for distances d from -R to R: AttentionParams::distance_bias.
/// \param table [buckets, H] f32.  \param out [H, 2 R + 1].  \throws Error kShapeMismatch, and as relative_bucket().
void relative_distance_bias(View<const float, 2> table, index_t max_distance, View<float, 2> out);

/// ALiBi's slope of a head: 2^(-8 (head + 1) / heads) where the number of heads is a power of two. Else the first heads have
/// the slopes of the largest power of two p below it, the others those of 2 p heads, every other one from the first on.
/// \throws Error kBadArgument unless 0 <= head < heads.  Numerics: square roots and products in double, rounded once.
/// Source: Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation",
/// arXiv:2108.12409, section 3, and its authors' rule for other numbers of heads.
float alibi_slope(index_t head, index_t heads);

/// out[h, R + d] = -alibi_slope(h, H) |d| for distances d from -R to R: AttentionParams::distance_bias of an encoder, the
/// same before a query and behind it. Source: Günther et al., "Jina Embeddings 2", arXiv:2310.19923, section 3.
/// \param out [H, 2 R + 1].  \throws Error kShapeMismatch.
void alibi_distance_bias(View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/distance_bias-inl.hpp>
#endif
