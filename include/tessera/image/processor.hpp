// From an image to a model's pixel_values, as preprocessor_config.json says.
#pragma once
#include <array>
#include <string>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/image/convert.hpp>
#include <tessera/io/json_reader.hpp>
#include <tessera/ops/patch.hpp>
#include <tessera/ops/resample.hpp>

namespace tessera::image {

/// What an image processor of transformers does, in its order: RGB, resize, centre crop, rescale, normalise.
struct ProcessorConfig {
  /// How `size` is meant.
  enum class Size : unsigned char {
    exact,          ///< height x width
    shortest_edge,  ///< the short side becomes `edge`, the long one in proportion, rounded down
    edges,          ///< the same, but no side longer than `longest_edge`
    patches         ///< as large as `max_patches` patches allow, each side a multiple of `patch` (SigLIP 2, NaFlex)
  };
  bool resize = true, center_crop = false, rescale = true, normalize = true;
  bool resize_floats = false;  ///< rescaled first, then resized (DINOv3)
  Size size = Size::exact;
  index_t height = 224, width = 224, edge = 224, longest_edge = 0;
  index_t patch = 16, max_patches = 256;
  Filter filter = Filter::bilinear;
  index_t crop_height = 224, crop_width = 224;
  double rescale_factor = 1.0 / 255.0;
  std::array<double, 3> mean{0.5, 0.5, 0.5}, std{0.5, 0.5, 0.5};
};

/// From a preprocessor_config.json, with the defaults of its image_processor_type (or feature_extractor_type): ViT, DeiT,
/// CLIP, SigLIP, SigLIP 2, Bit (DINOv2), DINOv3, BLIP, with or without "Fast".
/// \throws Error kFormat for values that mean nothing, kUnsupported for other processors and filters.
ProcessorConfig processor_config(const io::Json& json);

/// Whose arithmetic: transformers has each processor on Pillow and numpy, and on torchvision. They differ by a grey level
/// here and there when resizing, and in the last bit when normalising. DINOv3's is on torchvision alone, whatever is asked
/// for.
enum class Backend : unsigned char { pil, torchvision };

/// An image as a model takes it: RGB bytes and what each of them means, or the pixel values themselves where floats are
/// resized.
struct PreparedImage {
  index_t height = 0, width = 0;
  std::vector<std::uint8_t> bytes = {};  ///< [height, width, 3]
  std::vector<float> planes = {};        ///< [3, height, width], or empty
};

/// Const and safe to share.
class ImageProcessor {
 public:
  /// \throws Error kUnsupported for a filter that torchvision has not.
  explicit ImageProcessor(const ProcessorConfig& config, Backend backend = Backend::pil);
  /// Reads folder/preprocessor_config.json. \throws Error kNotFound, kIo, and as processor_config().
  static ImageProcessor load(const std::string& folder, Backend backend = Backend::pil);

  struct Extent {
    index_t height, width;
  };
  /// The size of the pixel values of an image of that size. \throws Error kLimit where a side would pass 2^24 pixels.
  Extent output_size(index_t height, index_t width) const;
  /// The image as RGB, resized and cropped. Where a crop is larger than the image, black surrounds it.
  PreparedImage prepare(Context& ctx, const Image& image, Alpha alpha = Alpha::drop) const;
  /// The same, rescaled and normalised. \param out [3, height, width] of output_size(), rows contiguous.
  /// Equal to transformers' to the last bit. \throws Error kShapeMismatch, kBadStride.
  void pixel_values(Context& ctx, const Image& image, View<float, 3> out, Alpha alpha = Alpha::drop) const;

  /// The second half of it: the pixel values of what prepare() made.
  void values_of(Context& ctx, const PreparedImage& prepared, View<float, 3> out) const;
  /// As patch_embed takes it; borrows both.
  ops::Pixels pixels(const PreparedImage& prepared) const;

  const ProcessorConfig& config() const noexcept { return config_; }
  /// The pixel value of each byte, by channel: what rescaling and normalising make of it; rescaling alone where floats are
  /// resized.
  const std::array<std::array<float, 256>, 3>& values() const noexcept { return values_; }

 private:
  Extent resized(index_t height, index_t width) const;
  Image resized(Context& ctx, const Image& rgb, Extent size) const;
  void resized_floats(Context& ctx, const Image& rgb, Extent size, PreparedImage& out) const;
  /// Where the output's first pixel lies in an image of that extent: before it where that is smaller.
  index_t crop_begin(index_t have, index_t want) const noexcept;
  bool floats() const noexcept { return config_.resize_floats && config_.rescale; }
  ProcessorConfig config_;
  Backend backend_;
  std::array<std::array<float, 256>, 3> values_{};
};

}  // namespace tessera::image

#ifndef TESSERA_COMPILED
#include <tessera/image/processor-inl.hpp>
#endif
