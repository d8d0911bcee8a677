// From bytes of pixels to rows of bf16 that the patch projection multiplies.
#pragma once
#include <tessera/cuda/numbers.cuh>
#include <tessera/cuda/patchify.hpp>

namespace tessera::kernels::cuda {

/// A thread has eight neighbours of a row: they are written at once, and what a warp reads lies in a few lines of the cache.
/// Grid: blocks_of_image() x images. No shared memory.
static TESSERA_KERNEL(kPatchifyThreads, 1) patchify_kernel(const TESSERA_GRID_CONSTANT PatchifyArgs g) {
  const int eights = g.padded_k() / 8, at = block_index() * kPatchifyThreads + thread_index();
  const int token = at / eights, first = at % eights * 8;
  if (token >= g.tokens()) return;
  const index_t image = block_index_y();
  float value[8] = {};
  if (token >= g.prefix) {
    const int patch = token - g.prefix, top = patch / g.columns * g.height, left = patch % g.columns * g.width;
    int x = first % g.width, y = first / g.width % g.height;
    int frame = first / (g.width * g.height) % g.frames, channel = first / (g.width * g.height * g.frames);
    TESSERA_UNROLLED
    for (int i = 0; i < 8; ++i) {
      if (channel < g.channels) {
        const std::uint8_t byte = load_global(g.pixels + (image * g.frames + frame) * g.ld_frame + (top + y) * g.ld_row +
                                              (left + x) * g.channels + channel);
        value[i] = load_global(g.values + channel * 256 + byte);
      }
      if (++x < g.width) continue;
      x = 0;
      if (++y < g.height) continue;
      y = 0;
      if (++frame < g.frames) continue;
      frame = 0, ++channel;
    }
  }
  store_whole(g.out + (image * g.tokens() + token) * g.ldo + first, value);
}

}  // namespace tessera::kernels::cuda
