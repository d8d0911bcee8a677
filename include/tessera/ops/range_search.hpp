// All rows whose score is high enough.
#pragma once
#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/hamming.hpp>

namespace tessera::ops {

/// What a range search finds: query b has hits [offsets[b], offsets[b + 1]), the best first.
struct InRange {
  View<float, 1> scores;     ///< [capacity]
  View<index_t, 1> ids;      ///< [capacity], as many as scores
  View<index_t, 1> offsets;  ///< [B + 1]
};

/// Every row that has options.least or more for a query, in the order of top_k().
/// \param queries [B, E] f32, rows may be padded; B below 2^32. \param corpus as top_k() takes it.
/// \returns how many there are of all queries, which `offsets` tells by query. Where `out` has no room for so many, it holds
/// none of them, ids -1 and scores -infinity, and offsets and the returned number say how much room it takes.
/// \throws Error as top_k(), with `out` untouched.
/// Numerics, determinism: those of top_k(); one pass, whatever is found.
/// Scratch: range_scratch() bytes of the context's arena, which grows to them if nothing is carved from it.
index_t range_search(Context& ctx, View<const float, 2> queries, const PackedWeight& corpus, const TopKOptions& options,
                     const InRange& out);
std::size_t range_scratch(Context& ctx, index_t batch, const PackedWeight& corpus);

/// The same in f32 by coarse rows, as certified_top_k() does it: bit for bit range_search() of `rows` in f32.
/// Scratch: certified_range_scratch() bytes.
index_t certified_range_search(Context& ctx, View<const float, 2> queries, View<const float, 2> rows,
                               const CoarseRows& coarse, const TopKOptions& options, const InRange& out,
                               CertifiedStats* stats = nullptr);
std::size_t certified_range_scratch(Context& ctx, index_t batch, const CoarseRows& coarse);

/// The same by Hamming distance, as hamming_top_k() does it. Scratch: hamming_range_scratch() bytes.
index_t hamming_range_search(Context& ctx, View<const std::uint8_t, 2> queries, const BitRows& rows,
                             const HammingOptions& options, const InRange& out);
std::size_t hamming_range_scratch(Context& ctx, index_t batch, const BitRows& rows);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/range_search-inl.hpp>
#endif
