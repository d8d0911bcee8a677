// Weights of a vocabulary's words for texts, from the tokens' logits, of which no more than a panel exists at a time.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// How the tokens of a text are put together, and what is made of a logit x before: log(1 + relu(x)), or, twice,
/// log(1 + log(1 + relu(x))), as OpenSearch's models have it (arXiv:2504.14839).
struct SpladeOptions {
  bool sum = false;    ///< the sum over tokens (SPLADE), not the largest (SPLADE v2)
  bool twice = false;  ///< log1p_relu
};

/// out[b, v] = max or sum over the tokens t of text b of log(1 + relu(x_t . W_v + bias_v)); 0 for a text without tokens.
/// \param x    [sum T, C] f32, rows may be padded: what the head for masked tokens makes of hidden states.
/// \param cu   [B + 1] offsets.
/// \param decoder [V, C] f32, rows may be padded: it is read as it lies, so that a table that is mapped need not be packed.
/// \param bias [V], or empty.
/// \param out  [B, V] f32. A text with a token that is not finite gets a row of NaN.
/// \throws Error kShapeMismatch, kBadStride, with `out` untouched.
/// Numerics: the product is one f32 FMA chain over channels; logarithms in double, rounded once; sums in double, rounded
/// once. Determinism: same bits for any batch, thread count, ISA. Memory: for each thread some 512 rows of the decoder times
/// the tokens, or times the texts where the largest is wanted. Source: Formal et al., "SPLADE", SIGIR 2021,
/// arXiv:2107.05720, equation 1; "SPLADE v2", arXiv:2109.10086, equation 6.
void splade(Context& ctx, View<const float, 2> x, View<const index_t, 1> cu, View<const float, 2> decoder,
            View<const float, 1> bias, const SpladeOptions& options, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/splade-inl.hpp>
#endif
