// Tokens in 2 or 4 bits a number: the nearest centroid, and what is left in buckets.
#pragma once
#include <span>

#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>

namespace tessera::ops {

/// How tokens of E numbers are coded. A number less its centroid's has as code how many cutoffs are below it, and stands for
/// the weight of that code. Borrowed memory.
struct ResidualCodec {
  View<const float, 2> centroids = {};  ///< [K, E], packed; E a multiple of 8 / bits()
  View<const float, 1> cutoffs = {};    ///< [3] for codes of 2 bits, [15] for 4, ascending
  View<const float, 1> weights = {};    ///< [4] or [16]

  int bits() const noexcept { return cutoffs.extent[0] == 3 ? 2 : 4; }
  index_t bytes() const noexcept { return centroids.extent[1] * bits() / 8; }  ///< of a token's codes
};

/// Cutoffs and weights of codes of 2 or 4 bits from the quantiles of what is left of x [T, E]: of 2^bits buckets of equally
/// many numbers the borders and the medians, quantiles between two numbers linear.
/// \param ids [T] the centroid of each row.  \param cutoffs [2^bits - 1]  \param weights [2^bits]
/// \throws Error kShapeMismatch, kBadStride, kBadArgument (no rows, an id that is no centroid, NaN in x).
/// Memory: of its own, T E numbers.
/// Source: Santhanam et al., "ColBERTv2", NAACL 2022, arXiv:2112.01488, section 3.3.
void residual_buckets(Context& ctx, View<const float, 2> x, View<const float, 2> centroids, View<const std::int32_t, 1> ids,
                      View<float, 1> cutoffs, View<float, 1> weights);

/// codes [T, bytes()] of x [T, E] with the centroids ids [T]. Code after code, the lowest bit of each first, from the
/// highest bit of byte 0 on.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument (an id that is no centroid), kUnsupported, with `codes` untouched.
void residual_encode(Context& ctx, const ResidualCodec& codec, View<const float, 2> x, View<const std::int32_t, 1> ids,
                     View<std::uint8_t, 2> codes);

/// out[t] = u / |u|_2 with u = centroid ids[t] + the weights of codes [T, bytes()].
/// \param out [T, E] f32, rows may be padded.
/// \throws Error as residual_encode().
/// Numerics, determinism: sums f32, lengths as l2_normalize().
void residual_decode(Context& ctx, const ResidualCodec& codec, View<const std::int32_t, 1> ids,
                     View<const std::uint8_t, 2> codes, View<float, 2> out);
/// The same as pack_weight() of these rows has it.
/// \param to memory of packed_bytes(T, E, f32) or more, 64-byte aligned, which the result is a view of.
/// Scratch: a slice of 16 rows for each thread.
PackedWeight residual_decode_packed(Context& ctx, const ResidualCodec& codec, View<const std::int32_t, 1> ids,
                                    View<const std::uint8_t, 2> codes, std::span<std::byte> to);

/// How documents look by their tokens' centroids alone: out[i] = sum over the tokens q of a query of max over the tokens j
/// of document documents[i] of scores[c_j, q], of those with peaks[c_j] >= `threshold`; -infinity where none is left for a
/// token of the query. PLAID's centroid interaction, and with a threshold its centroid pruning.
/// \param scores    [K, Tq rounded up to 16, or more] f32: products of centroids with the tokens of a query, rows may be
/// padded; what lies behind the first Tq is read and does not count.  \param query_tokens Tq.
/// \param peaks     [K] the largest of each row's first Tq.
/// \param ids       [sum Td] the centroid of each token.  \param cu_d [N + 1] offsets of documents.
/// \param documents [n] those to score.  \param out [n] f32.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument (a document that is none, an id that is no centroid).
/// Numerics: NaN passed over; sums f32, tokens of the query ascending.  Determinism: same bits for any thread count, ISA.
/// Scratch: a row of scores for each thread.
/// Source: Santhanam et al., "PLAID", CIKM 2022, arXiv:2205.09707, sections 4.2 and 4.3.
void centroid_interaction(Context& ctx, View<const float, 2> scores, index_t query_tokens, View<const float, 1> peaks,
                          float threshold, View<const std::int32_t, 1> ids, View<const index_t, 1> cu_d,
                          View<const index_t, 1> documents, View<float, 1> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/residual-inl.hpp>
#endif
