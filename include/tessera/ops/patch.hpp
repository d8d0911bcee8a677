// Patch embedding: pixels to tokens, for images and clips.
#pragma once
#include <span>

#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>

namespace tessera::ops {

/// What becomes one token: `frames` x `height` x `width` samples of `channels` channels. frames > 1 makes tubelets.
struct PatchShape {
  index_t channels = 3, frames = 1, height = 16, width = 16;
  index_t size() const noexcept { return channels * frames * height * width; }  ///< K of the projection
};

/// An image, or one frame of a clip: f32 planes, or bytes as decoders give them with what each of them means.
struct Pixels {
  View<const float, 3> planes = {};        ///< [channels, H, W], any strides
  View<const std::uint8_t, 3> bytes = {};  ///< [H, W, channels], any strides
  View<const float, 2> values = {};        ///< [channels, 256], packed: the value of each byte, as ImageProcessor::values()
  index_t height() const noexcept { return planes.data ? planes.extent[1] : bytes.extent[0]; }
  index_t width() const noexcept { return planes.data ? planes.extent[2] : bytes.extent[1]; }
};

/// Patches of a clip of this size: frames by rows by columns. What is left over at the ends belongs to none.
struct PatchGrid {
  index_t frames = 1, height = 0, width = 0;
  index_t tokens() const noexcept { return frames * height * width; }
};
PatchGrid patch_grid(const PatchShape& shape, std::span<const Pixels> frames) noexcept;

/// out[n] = W patch[n] + bias + positions[n] over the grid's patches, row by row; a patch's samples in the order of a
/// convolution's weight: channel, frame, row, column. One pass: each block of patches is gathered, valued, projected and
/// placed while it is in cache.
/// \param w          [C, shape.size()] packed.  \param bias [C], or empty.
/// \param positions  [tokens, C], or empty.     \param out  [tokens, C] f32.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument (frames of several sizes, bytes without values), with `out`
/// untouched.
/// Scratch comes from the context's arena, which grows to patch_scratch() bytes if nothing is carved from it.
/// Determinism: same bits for any batch, thread count, ISA, and for bytes and the planes of their values.
/// Source: Dosovitskiy et al., arXiv:2010.11929, 3.1; tubelets: Arnab et al., arXiv:2103.15691, 3.2.
void patch_embed(Context& ctx, const PatchShape& shape, std::span<const Pixels> frames, const PackedWeight& w,
                 View<const float, 1> bias, View<const float, 2> positions, View<float, 2> out);
std::size_t patch_scratch(Context& ctx, const PatchShape& shape, index_t tokens, DType weight = DType::f32);

/// How a table of positions is read at another size: the ways of torch's interpolate(align_corners=False).
enum class PositionInterpolation : unsigned char {
  bicubic,            ///< Keys' kernel with a = -0.75, ends repeated: ViT, DeiT, CLIP, SigLIP, DINOv2
  bicubic_antialias,  ///< Filter::bicubic: DINOv2 with registers
  bilinear_antialias  ///< Filter::bilinear: SigLIP 2
};

/// A table of positions for another grid, with which models take images of sizes they were not trained on.
/// \param table [h, w, C], channels contiguous.  \param out [H, W, C], packed, disjoint from it.
/// \throws Error kShapeMismatch, kBadStride.
void interpolate_positions(Context& ctx, PositionInterpolation how, View<const float, 3> table, View<float, 3> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/patch-inl.hpp>
#endif
