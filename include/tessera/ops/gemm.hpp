// Linear layers over packed weights.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>
#include <tessera/tables/activation.hpp>

namespace tessera::ops {

/// The layout of packed weights, for files that hold them: another number for every change of it.
inline constexpr int kPackedLayout = 1;

/// W [N, K] (out, in; rows may be padded) in the layout of the context's backend, as its `packed` says: f32, exactly, bf16,
/// rounded to nearest even, or i8 (see linear()), but then bf16 where K is above 57344 or most_rounding is exceeded. Several
/// matrices of one K are stacked in order, as one [sum N, K]: fused QKV. Where the first part names a store, what that has
/// is taken. \throws Error kShapeMismatch, kBadStride, kUnsupported (dtype), kLimit.
PackedWeight pack_weight(Context& ctx, const WeightView& w);
PackedWeight pack_weight(Context& ctx, const WeightView* parts, int count);

/// Bytes of W [n, k] packed as f32, bf16 or i8, not gated. \throws Error kUnsupported, kLimit, kBadArgument.
std::size_t packed_bytes(index_t n, index_t k, DType packed);

/// The first k input channels of packed rows, as Matryoshka embeddings are cut (Kusupati et al., arXiv:2205.13147): the
/// bytes are shared, and products have the bits of those with the cut rows packed. A slice holds its sixteen rows channel by
/// channel, so that what is cut off lies behind what is kept, and is not read. \param k 1 to w.k(); of bf16 even, or all: a
/// word holds two channels. \throws Error kBadArgument for other k, kUnsupported for i8, whose scales are those of whole
/// rows (pack the cut ones), and for gated matrices.
PackedWeight packed_prefix(const PackedWeight& w, index_t k);

/// By how much the weights of an i8 matrix are moved, relative to their size: root mean squares, half a step for the former,
/// so that the packed bytes are enough to tell. 0 for other types.
double int8_rounding(Context& ctx, const PackedWeight& w);

/// Gate and up projections [N, K] each, interleaved so that the epilogue of linear() sees both; n() is 2 N.
PackedWeight pack_weight_glu(Context& ctx, const WeightView& gate, const WeightView& up);

/// What follows the product while it is still in cache. Absent views are left out.
struct Epilogue {
  View<const float, 1> bias = {};  ///< [N]; gated [2 N], gate first
  Activation act = Activation::identity;
  bool glu = false;                         ///< act(gate) * up, for a weight of pack_weight_glu
  View<const float, 1> channel_scale = {};  ///< [N], the layer scale of CaiT and DINOv2
  View<const float, 2> residual = {};       ///< [T, N], added last; may be `out`
};

/// out[t, n] = residual[t, n] + channel_scale[n] * act(sum_k x[t, k] W[n, k] + bias[n]).
/// \param x    [T, K] f32, rows may be padded.
/// \param out  [T, N] f32, disjoint from x.
/// \throws Error kShapeMismatch, kBadStride, kUnsupported (dtype), with `out` untouched.
/// Numerics: one f32 FMA chain over k = 0 .. K-1 per element, started at 0. For weights of bf16, x is rounded to bf16 too
/// (to nearest even), and the chain is that of the instruction vdpbf16ps on any machine: of every two k the second one goes
/// first, and subnormal numbers and sums count as zero. For weights of i8, an output channel has a scale, a row of x a scale
/// and a zero, and where one number of either is far from the rest it is kept apart as an exact multiple of that scale; the
/// sums are those of integers. A channel or a row that holds NaN or infinity becomes NaN. The epilogue is f32.
/// Determinism: same bits for any batch, thread count, ISA.
/// Scratch: linear_scratch() bytes of the context's arena, which grows to them if nothing is carved from it. Where those for
/// long K do not fit, K stays whole: slower, the same bits.
void linear(Context& ctx, View<const float, 2> x, const PackedWeight& w, const Epilogue& e, View<float, 2> out);
/// Bytes that linear() makes use of for x [rows, k]: for f32 weights 0 for short k or few rows. \param glu of a gated
/// weight.
std::size_t linear_scratch(Context& ctx, index_t rows, index_t k, DType weight = DType::f32, bool glu = false);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/gemm-inl.hpp>
#endif
