// Late interaction: a document's score is what its tokens have for each token of the query.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>
#include <tessera/ops/topk.hpp>

namespace tessera::ops {

/// The documents of each query that are scored: of query b ids[cu[b]], ..., ids[cu[b + 1] - 1], in any order, though least
/// is computed where they ascend. Without them all documents are scored by each query.
struct Candidates {
  View<const index_t, 1> cu = {};   ///< [B + 1] offsets, or empty
  View<const index_t, 1> ids = {};  ///< [cu[B]], each in [0, N)
};

/// scores[b, n] = sum over the tokens i of query b of max over the tokens j of document n of q_i . d_j.
/// \param queries   [sum Tq, E] f32: the tokens of all queries, rows may be padded.  \param cu_q [B + 1] offsets.
/// \param documents [sum Td, E] of pack_weight(): the tokens of all documents.  \param cu_d [N + 1] offsets. No padding: a
/// document's score does not depend on what lies beside it.
/// \param scores    [B, N] f32: 0 for a query without tokens, else -infinity for a document without any. With candidates
/// [B, at least the longest list], scores[b, c] that of the c-th of query b, -infinity where it has none.
/// \param argmax    [sum Tq, columns of scores], optional: the token of the document that each token of a query found, of
/// equal ones the first, -1 where there is none.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument (an id that is no document's), kUnsupported, with the outputs
/// untouched.
/// Numerics: products as linear() has them with the same weight, NaN passed over; sums f32, tokens of the query ascending.
/// Determinism: same bits for any batch, candidates, thread count, ISA.
/// Scratch: maxsim_scratch() bytes of the context's arena, which grows to them if nothing is carved from it.
/// Source: Khattab and Zaharia, "ColBERT", SIGIR 2020, arXiv:2004.12832, section 3.3.
void maxsim(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const PackedWeight& documents,
            View<const index_t, 1> cu_d, View<float, 2> scores, View<std::int32_t, 2> argmax = {},
            const Candidates& candidates = {});
std::size_t maxsim_scratch(Context& ctx, index_t query_tokens, const PackedWeight& documents);

struct MaxSimTopKOptions {
  Candidates candidates = {};
  /// [ceil(N / 64)], or empty: bit d % 64 of word d / 64 says whether document d may be found.
  View<const std::uint64_t, 1> allowed = {};
  float least = -__builtin_inff();  ///< lower scores are not found
};

/// The k best documents of each query: what select_k() finds in the scores of maxsim(), which are not stored. An id that
/// stands twice in a list counts twice.
/// \param out ids are documents; N below 2^32.
/// \throws Error as maxsim() and top_k(), with `out` untouched.
/// Order, numerics, determinism: those of select_k() and maxsim().
/// Scratch: maxsim_topk_scratch() bytes, as maxsim() has them.
void maxsim_top_k(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const PackedWeight& documents,
                  View<const index_t, 1> cu_d, const MaxSimTopKOptions& options, const TopK& out);
std::size_t maxsim_topk_scratch(Context& ctx, index_t batch, index_t query_tokens, const PackedWeight& documents,
                                index_t count, index_t k);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/maxsim-inl.hpp>
#endif
