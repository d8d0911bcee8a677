// Row normalisations.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// LayerNorm over channels: out[t,c] = gamma[c] * (x[t,c] - mean_t) / sqrt(var_t + eps) + beta[c].
/// \param x     [T, C] f32 tokens; rows may be padded, channels contiguous.
/// \param gamma [C] f32 scale.  \param beta [C] f32 shift.
/// \param eps   >= 0, added to the biased (1/C) variance; the checkpoint decides it (1e-5, 1e-6, 1e-12).
/// \param out   [T, C] f32; exactly `x` (in place) or disjoint from it.
/// \throws Error kShapeMismatch, kBadStride or kBadArgument, with `out` untouched.
/// Numerics: two passes, f32, 16 virtual lanes.  Determinism: same bits for any batch, thread count, ISA.
/// Source: Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
void layer_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, View<const float, 1> beta, float eps,
                View<float, 2> out);

/// out[t] += LayerNorm(x[t]): a norm between a half and the sum it goes into. Arguments, errors, numerics as layer_norm, the
/// sum rounded once more; out is disjoint from x.
void add_layer_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, View<const float, 1> beta, float eps,
                    View<float, 2> out);

/// RMSNorm: out[t,c] = gamma[c] * x[t,c] / sqrt(mean_c x[t,c]^2 + eps). Arguments, errors, numerics as layer_norm.
/// Source: Zhang, Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467.
void rms_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, float eps, View<float, 2> out);

/// out[t] += RMSNorm(x[t]): what some stacks do with the result of a half (Gemma 2). Arguments, errors, numerics as
/// rms_norm, the sum rounded once more; out is disjoint from x.
void add_rms_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, float eps, View<float, 2> out);

/// RMSNorm of each head: the numbers of x[t, h] by gamma [D], the same for all heads. \param x [T, H, D] f32 in place, any
/// strides but the last (heads of a fused buffer). Errors, numerics as rms_norm.
/// Source: Henry et al., "Query-Key Normalization for Transformers", arXiv:2010.04245; with a scale as Qwen 3 has it.
void rms_norm_heads(Context& ctx, View<float, 3> x, View<const float, 1> gamma, float eps);

/// out[t] = x[t] / max(|x[t]|_2, eps), torch's F.normalize. A zero row stays zero. Arguments, errors as layer_norm.
void l2_normalize(Context& ctx, View<const float, 2> x, View<float, 2> out, float eps = 1e-12f);

/// Whether no element of the packed array is NaN or infinite.
bool all_finite(Context& ctx, View<const float, 1> x);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/norm-inl.hpp>
#endif
