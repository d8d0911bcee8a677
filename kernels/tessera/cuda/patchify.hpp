// What the kernel from pixels to the rows of the patch projection is asked: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/host_device.hpp>

namespace tessera::kernels::cuda {

inline constexpr int kPatchifyThreads = 256;

/// out[image, prefix + patch, k] = values[channel, byte], k in the order of a convolution's weight: channel, frame, row,
/// column; patches of an image row by row. Pixels are bytes as decoders give them, [images * frames, H, W, channels]; what
/// is left over at the ends of H and W belongs to no patch. The first `prefix` rows of an image (class token, registers) and
/// what lies between k and padded_k() become 0: so one product writes all tokens where they belong, and its repeated
/// residual (GemmArgs::residual_rows) gives the prefix its tokens and the others their positions. ldo is a multiple of 8 and
/// at least padded_k(), out is 16-byte aligned; images are below 65536.
/// Source: Dosovitskiy et al., arXiv 2010.11929, 3.1; tubelets: Arnab et al., arXiv 2103.15691, 3.2.
struct PatchifyArgs {
  const std::uint8_t* pixels;
  index_t ld_frame, ld_row;  ///< bytes
  const float* values;       ///< [channels, 256]: what each byte means, mean and standard deviation in it
  bf16* out;                 ///< [images * tokens(), ldo]
  index_t ldo;
  int images, prefix;
  int rows, columns;                    ///< of patches
  int channels, frames, height, width;  ///< of a patch

  TESSERA_HOST_DEVICE constexpr int k() const noexcept { return channels * frames * height * width; }
  TESSERA_HOST_DEVICE constexpr int padded_k() const noexcept { return (k() + 7) / 8 * 8; }
  TESSERA_HOST_DEVICE constexpr int tokens() const noexcept { return prefix + rows * columns; }
  constexpr int blocks_of_image() const noexcept {
    return (tokens() * (padded_k() / 8) + kPatchifyThreads - 1) / kPatchifyThreads;
  }
};

}  // namespace tessera::kernels::cuda
