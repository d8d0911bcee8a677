// Tokens beside their neighbours, for convolutions over a sequence.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/ragged_batch.hpp>

namespace tessera::ops {

/// out[t, c kernel + i] = x[u, c] of the token u of t's sequence whose place is place(t) + i - (kernel - 1) / 2, zero where
/// none stands: with the weight of a convolution as it lies in checkpoints, [out channels, C, kernel], and zeros around each
/// sequence, linear() of these rows is that convolution. Places are the batch's columns.
/// \param x   [sum T, C] f32, rows may be padded.
/// \param out [sum T, C kernel] f32, rows may be padded; disjoint from x.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument (a kernel that is not odd), with `out` untouched.
void neighbor_rows(Context& ctx, View<const float, 2> x, const RaggedBatch& batch, index_t kernel, View<float, 2> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/neighbor_rows-inl.hpp>
#endif
