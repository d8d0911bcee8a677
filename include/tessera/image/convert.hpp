// From what a file holds to what a model takes: colour and orientation, as Pillow converts them.
#pragma once
#include <tessera/image/image.hpp>

namespace tessera::image {

/// What becomes of transparency.
enum class Alpha : unsigned char {
  drop,  ///< the colours as they are: Pillow's convert("RGB"), so transformers' load_image, and open_clip
  white  ///< on a white background: transformers 5 where a processor has do_convert_rgb and gets the image itself
};

/// Any format as RGB. Grey is repeated, 16-bit grey clips at 255 (Pillow does not scale it), CMYK by
/// (255 - ink) * (255 - black) / 255; colour profiles are ignored.
Image to_rgb(const Image& image, Alpha alpha = Alpha::drop);

/// The image turned upright. \param orientation Exif tag 0x0112, 1 to 8; other values change nothing.
Image upright(Image image, int orientation);

}  // namespace tessera::image

#ifndef TESSERA_COMPILED
#include <tessera/image/convert-inl.hpp>
#endif
