// Late interaction: a document's score is what its tokens have for each token of the query.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>

namespace tessera::ops {

/// scores[b, n] = sum over the tokens i of query b of max over the tokens j of document n of q_i . d_j.
/// \param queries   [sum Tq, E] f32: the tokens of all queries, rows may be padded.  \param cu_q [B + 1] offsets.
/// \param documents [sum Td, E] of pack_weight(): the tokens of all documents.  \param cu_d [N + 1] offsets. No padding: a
/// document's score does not depend on what lies beside it.
/// \param scores    [B, N] f32: 0 for a query without tokens, else -infinity for a document without any.
/// \param argmax    [sum Tq, N], optional: the token of the document that each token of a query found, of equal ones the
/// first, -1 where there is none.
/// \throws Error kShapeMismatch, kBadStride, kUnsupported, with the outputs untouched.
/// Numerics: products as linear() has them with the same weight, NaN passed over; sums f32, tokens of the query ascending.
/// Determinism: same bits for any batch, thread count, ISA.
/// Scratch: maxsim_scratch() bytes of the context's arena, which grows to them if nothing is carved from it.
/// The best documents of a query: select_k() of its scores.
/// Source: Khattab and Zaharia, "ColBERT", SIGIR 2020, arXiv:2004.12832, section 3.3.
void maxsim(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const PackedWeight& documents,
            View<const index_t, 1> cu_d, View<float, 2> scores, View<std::int32_t, 2> argmax = {});
std::size_t maxsim_scratch(Context& ctx, index_t query_tokens, const PackedWeight& documents);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/maxsim-inl.hpp>
#endif
