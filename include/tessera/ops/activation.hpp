// Element-wise functions on their own; inside a layer they are part of linear().
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/tables/activation.hpp>

namespace tessera::ops {

/// out[t,c] = act(x[t,c]). \param out [T, C] f32, exactly x or disjoint. \throws Error kShapeMismatch, kBadStride.
/// Numerics: f32 polynomials, absolute error <= 2e-7 * max(1, |x|).  Determinism: same bits on every ISA.
/// Source: GELU, Hendrycks, Gimpel, arXiv:1606.08415; SiLU, Elfwing et al., arXiv:1702.03118.
void activation(Context& ctx, Activation act, View<const float, 2> x, View<float, 2> out);

/// The activation that a config.json calls by that name ("gelu", "gelu_new", "silu", ...), or false.
bool activation_from_name(const char* name, Activation& act) noexcept;

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/activation-inl.hpp>
#endif
