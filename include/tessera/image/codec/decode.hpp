// Image files to pixels: JPEG (libjpeg-turbo), PNG (libpng), WebP (libwebp), BMP, PBM/PGM/PPM. Byte for byte what Pillow
// makes of them. Link with -ljpeg -lpng -lwebpdemux -lwebp.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include <tessera/image/codec/options.hpp>
#include <tessera/image/image.hpp>

namespace tessera::image {

/// The format is found by content. Of an animation the first frame. Palettes and colour keys become RGB, with alpha where
/// there is transparency; 16-bit colour keeps the high byte (grey with alpha becomes RGBA), 16-bit grey both.
/// \param name what errors call the file
/// \throws Error kFormat for what is no image, corrupt or truncated, kUnsupported for a kind that is not read, kLimit for
/// too many pixels; each sentence begins with the name.
Image decode(std::span<const std::byte> file, const DecodeOptions& options = {}, const std::string& name = "image");

/// The same for a file. \throws Error kNotFound, kIo as well.
Image load(const std::string& path, const DecodeOptions& options = {});

}  // namespace tessera::image

#ifndef TESSERA_COMPILED
#include <tessera/image/codec/decode-inl.hpp>
#endif
