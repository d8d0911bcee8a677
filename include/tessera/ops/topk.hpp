// The best k of many: of stored scores, and of products with packed rows that are never stored.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>

namespace tessera::ops {

/// What top_k() finds, the best first. Where a row has fewer than k, the rest of it is id -1 and score -infinity.
struct TopK {
  View<float, 2> scores;    ///< [B, k]
  View<index_t, 2> ids;     ///< [B, k] rows of the corpus, or columns of the scores
  View<index_t, 1> counts;  ///< [B]: how many were found
};

/// score = (query . row + bias[row]) * scale[row]: with scale = 1 / |row| and queries of length 1 the cosine, with the bias
/// of negative_half_squared_norms() the order of the Euclidean distance, which squared_distances() has for what was found.
struct TopKOptions {
  View<const float, 1> scale = {}, bias = {};  ///< [N], or empty
  /// [ceil(N / 64)], or empty: bit r % 64 of word r / 64 says whether row r may be found (row_filter.hpp makes them of
  /// ranges and ids). Rows of whole words without any cost nothing, and the fewer there are in a word, the less the others
  /// do.
  View<const std::uint64_t, 1> allowed = {};
  float least = -__builtin_inff();  ///< lower scores are not found
};

/// The k best rows of a corpus for each query: a matrix product with what is not among the best left out as it appears.
/// \param queries [B, E] f32, rows may be padded.
/// \param corpus  [N, E] of pack_weight(), f32, bf16 or i8; N below 2^32.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument, kUnsupported, kLimit, with `out` untouched.
/// Order: by score, higher first, then by id, lower first; -0 and 0 are one, NaN is never found.
/// Numerics: the products are those of linear() with the same weight.
/// Determinism: same ids and bits for any batch, thread count, ISA.
/// Scratch: topk_scratch() bytes of the context's arena, which grows to them if nothing is carved from it.
void top_k(Context& ctx, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& options,
           const TopK& out);
std::size_t topk_scratch(Context& ctx, index_t batch, index_t k, const PackedWeight& corpus);

/// The k best of each row of scores [B, N], in the same order. \throws Error as top_k(). Scratch: select_scratch() bytes.
void select_k(Context& ctx, View<const float, 2> scores, const TopK& out);
std::size_t select_scratch(Context& ctx, index_t k);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/topk-inl.hpp>
#endif
