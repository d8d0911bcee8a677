// Resizing of 8-bit images, sample for sample as Pillow and torchvision do it, and of the values that bytes stand for.
#pragma once
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/ops/filter.hpp>

namespace tessera::ops {

/// Whose fixed-point weights: Pillow's, of 22 bits, or those of torchvision's (and PyTorch's) uint8 kernel with
/// antialias=True on the CPU, of 16 bits. Pillow is 13 or later: up to 12 it always resized the width first, which shows by
/// a grey level where the height shrinks by more than twice as many pixels as the width.
enum class ResampleArithmetic : unsigned char { pillow, torchvision };

/// How one axis is resampled: output i is the sum of weights[i * taps + j] * in[first[i] + j] over j < count[i], in fixed
/// point with `shift` fractional bits.
struct ResampleAxis {
  index_t in = 0, out = 0, taps = 0;
  int shift = 0;
  std::vector<std::int32_t> first, count, weights;
};

/// The weights of an axis of `in` samples that becomes `out` samples. Downscaling widens the filter (antialiasing).
/// Source: Pillow, Resample.c; PyTorch, UpSampleKernelAVXAntialias.h.
/// \throws Error kBadArgument for sizes below 1 or above 2^24, kUnsupported for torchvision with another filter than
/// bilinear and bicubic.
ResampleAxis resample_axis(Filter filter, ResampleArithmetic arithmetic, index_t in, index_t out);

/// Resizes one axis, stores bytes, then resizes the other; an axis that keeps its size is left alone.
/// \param in  [H, W, C], 1 to 4 channels, pixels contiguous.  \param out [H', W', C], not overlapping `in`.
/// Alpha is a channel like others: premultiply before, where that is wanted. Exact, so the same on every machine.
/// \throws Error kBadArgument, kShapeMismatch, kBadStride, kUnsupported, kLimit.
void resample(Context& ctx, View<const std::uint8_t, 3> in, Filter filter, ResampleArithmetic arithmetic,
              View<std::uint8_t, 3> out);

/// The same in f32, of the value that each byte stands for, as torch's interpolate(antialias=True) resizes float tensors on
/// the CPU: weights in f32, the width first. Equal to the last bit to torch 2.15's build for x86-64, whose compiler's choice
/// of fused operations is followed; but of an image that becomes one pixel wide that makes a wrong one, and this the right
/// one. \param in  [H, W, C], pixels contiguous.  \param values [256].  \param out [H', W', C], rows and pixels contiguous.
/// \throws Error as resample(); kBadArgument above 2^22 pixels a side, kUnsupported for filters but bilinear and bicubic.
/// Determinism: same bits for any thread count, ISA.
void resample_values(Context& ctx, View<const std::uint8_t, 3> in, View<const float, 1> values, Filter filter,
                     View<float, 3> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/resample-inl.hpp>
#endif
