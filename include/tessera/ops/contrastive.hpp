// From the vectors of two towers to logits and probabilities.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// logits_per_image: out[i,t] = exp(log_scale) * images[i,:] . texts[t,:] + bias.
/// \param images [I, E] f32 rows of length 1.  \param texts [T, E] likewise.  \param out [I, T], disjoint from both.
/// \throws Error kShapeMismatch, kBadStride.  Determinism: same bits for any batch, thread count, ISA.
/// Source: CLIP, Radford et al., arXiv:2103.00020, figure 3; SigLIP, Zhai et al., arXiv:2303.15343, section 3.2.
void contrastive_logits(Context& ctx, View<const float, 2> images, View<const float, 2> texts, float log_scale, float bias,
                        View<float, 2> out);

/// out[i,:] = softmax(x[i,:]). \param out [I, T] f32, exactly x or disjoint. \throws Error kShapeMismatch.
/// Numerics: double within, rounded once. On the caller's thread: for scores that people read, not for layers.
void softmax(View<const float, 2> x, View<float, 2> out);
/// out[i,t] = 1 / (1 + exp(-x[i,t])). The rest as softmax().
void sigmoid(View<const float, 2> x, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/contrastive-inl.hpp>
#endif
