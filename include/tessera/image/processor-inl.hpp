#pragma once
#include <algorithm>
#include <cmath>
#include <utility>

#include <tessera/core/fp_mode.hpp>
#include <tessera/image/processor.hpp>
#include <tessera/io/json_reader-inl.hpp>

namespace tessera::image {

namespace detail {

inline constexpr std::array<double, 3> kClipMean{0.48145466, 0.4578275, 0.40821073},
    kClipStd{0.26862954, 0.26130258, 0.27577711};

// The class attributes of transformers' processors.
inline ProcessorConfig defaults_of(const std::string& type) {
  ProcessorConfig c;
  if (type == "ViTImageProcessor") return c;
  if (type == "DeiTImageProcessor") {
    c.filter = Filter::bicubic;
    c.height = c.width = 256;
    c.center_crop = true;
    return c;
  }
  if (type == "SiglipImageProcessor") {
    c.filter = Filter::bicubic;
    return c;
  }
  if (type == "Siglip2ImageProcessor") {
    c.size = ProcessorConfig::Size::patches;
    return c;
  }
  if (type == "BlipImageProcessor") {
    c.filter = Filter::bicubic;
    c.height = c.width = 384;
    c.mean = kClipMean, c.std = kClipStd;
    return c;
  }
  if (type == "CLIPImageProcessor" || type == "BitImageProcessor") {
    c.filter = Filter::bicubic;
    c.size = ProcessorConfig::Size::shortest_edge;
    c.center_crop = true;
    c.mean = kClipMean, c.std = kClipStd;
    return c;
  }
  if (type == "DINOv3ViTImageProcessor") {
    c.resize_floats = true;
    c.mean = {0.485, 0.456, 0.406}, c.std = {0.229, 0.224, 0.225};
    return c;
  }
  throw Error(Code::kUnsupported,
              {"preprocessor_config.json: image_processor_type '", type,
               "' is not supported; known: ViT, DeiT, CLIP, Siglip, Siglip2, Bit, DINOv3ViT, Blip ImageProcessor"});
}

inline std::string processor_type(const io::Json& json) {
  std::string type = io::get_string(json, "image_processor_type", "");
  if (type.empty()) type = io::get_string(json, "feature_extractor_type", "");
  if (type.empty())
    throw Error(Code::kUnsupported, "preprocessor_config.json: no image_processor_type, so not known how to resize");
  for (const char* old : {"FeatureExtractor", "ImageProcessorFast", "ImageProcessorPil"})
    if (type.ends_with(old)) type = type.substr(0, type.size() - std::string_view(old).size()) + "ImageProcessor";
  return type;
}

inline constexpr std::int64_t kMostPixels = 1 << 24;  // a side

inline index_t pixels(const io::Json& size, const char* key) { return io::get_int(size, key, 1, kMostPixels); }

// "size": a number or an object.
inline void read_size(const io::Json& json, bool square, ProcessorConfig& c) {
  const io::Json& size = io::member(json, "size");
  if (size.is_null()) return;
  using Size = ProcessorConfig::Size;
  if (size.is_number()) {
    c.size = square ? Size::exact : Size::shortest_edge;
    c.height = c.width = c.edge = pixels(json, "size");
  } else if (io::has(size, "shortest_edge")) {
    c.edge = pixels(size, "shortest_edge");
    c.size = Size::shortest_edge;
    if (!io::member(size, "longest_edge").is_null()) c.size = Size::edges, c.longest_edge = pixels(size, "longest_edge");
  } else if (io::has(size, "height") && io::has(size, "width")) {
    c.size = Size::exact, c.height = pixels(size, "height"), c.width = pixels(size, "width");
  } else {
    throw Error(Code::kUnsupported,
                {"preprocessor_config.json: size is ", io::shown(&size), ", not height and width, or shortest_edge"});
  }
}

inline void read_crop(const io::Json& json, ProcessorConfig& c) {
  const io::Json& crop = io::member(json, "crop_size");
  if (crop.is_null()) return;
  if (crop.is_number())
    c.crop_height = c.crop_width = pixels(json, "crop_size");
  else
    c.crop_height = pixels(crop, "height"), c.crop_width = pixels(crop, "width");
}

inline Filter filter_of(std::int64_t pillow) {
  switch (pillow) {
    case 1: return Filter::lanczos;
    case 2: return Filter::bilinear;
    case 3: return Filter::bicubic;
    case 4: return Filter::box;
    case 5: return Filter::hamming;
    default: throw Error(Code::kUnsupported, "preprocessor_config.json: resample 0, nearest, is not supported");
  }
}

inline void read_channels(const io::Json& json, const char* key, std::array<double, 3>& out) {
  const io::Json& list = io::member(json, key);
  if (list.is_null()) return;
  const auto bad = [&] {
    return Error(Code::kFormat, {"preprocessor_config.json: ", key, " is ", io::shown(&list), ", not three numbers"});
  };
  if (list.is_number()) {
    out.fill(list.get<double>());
    return;
  }
  if (!list.is_array() || list.size() != 3) throw bad();
  for (std::size_t i = 0; i < 3; ++i) {
    if (!list[i].is_number()) throw bad();
    out[i] = list[i].get<double>();
  }
}

// A null is Python's None, which switches off.
inline bool switched(const io::Json& json, const char* key, bool absent) {
  return io::has(json, key) ? io::get_bool(json, key, false) : absent;
}

}  // namespace detail

inline ProcessorConfig processor_config(const io::Json& json) {
  const std::string type = detail::processor_type(json);
  ProcessorConfig c = detail::defaults_of(type);
  c.resize = detail::switched(json, "do_resize", c.resize);
  c.rescale = detail::switched(json, "do_rescale", c.rescale);
  c.normalize = detail::switched(json, "do_normalize", c.normalize);
  if (c.size == ProcessorConfig::Size::patches) {
    c.patch = io::get_int(json, "patch_size", 1, 1 << 12, c.patch);
    c.max_patches = io::get_int(json, "max_num_patches", 1, 1 << 20, c.max_patches);
  } else {
    c.center_crop = detail::switched(json, "do_center_crop", c.center_crop);
    // A lone number is the short side for those processors that crop afterwards, and for SigLIP.
    detail::read_size(json, type != "CLIPImageProcessor" && type != "BitImageProcessor" && type != "SiglipImageProcessor",
                      c);
    detail::read_crop(json, c);
  }
  if (!io::member(json, "resample").is_null()) c.filter = detail::filter_of(io::get_int(json, "resample", 0, 5));
  c.rescale_factor = io::get_number(json, "rescale_factor", c.rescale_factor);
  detail::read_channels(json, "image_mean", c.mean);
  detail::read_channels(json, "image_std", c.std);
  return c;
}

inline ImageProcessor::ImageProcessor(const ProcessorConfig& config, Backend backend)
    : config_(config), backend_(config.resize_floats ? Backend::torchvision : backend) {
  if (backend_ == Backend::torchvision && config.resize && config.filter != Filter::bilinear &&
      config.filter != Filter::bicubic)
    throw Error(Code::kUnsupported, "image processor: torchvision resizes by bilinear and bicubic filters alone");
  const FpModeScope mode;
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t v = 0; v < 256; ++v) {
      auto x = static_cast<float>(v);
      auto mean = static_cast<float>(config.mean[c]), std = static_cast<float>(config.std[c]);
      if (floats()) {
        values_[c][v] = x * static_cast<float>(config.rescale_factor);
        continue;
      }
      if (config.rescale && config.normalize && backend_ == Backend::torchvision) {
        // Fused there: the bytes stay, mean and deviation are scaled, in float.
        const auto factor = static_cast<float>(1.0 / config.rescale_factor);
        mean *= factor, std *= factor;
      } else if (config.rescale) {
        x = backend_ == Backend::pil ? static_cast<float>(static_cast<double>(v) * config.rescale_factor)
                                     : x * static_cast<float>(config.rescale_factor);
      }
      values_[c][v] = config.normalize ? (x - mean) / std : x;
    }
}

inline ImageProcessor ImageProcessor::load(const std::string& folder, Backend backend) {
  return ImageProcessor(processor_config(io::read_json(folder + "/preprocessor_config.json")), backend);
}

namespace detail {

/// The largest height and width, found by bisection of a scale, whose patches are at most so many.
/// In doubles and Python's order of operations; no product is added to, so a compiler has nothing to contract.
/// Source: transformers, image_processing_siglip2.py, get_image_size_for_max_num_patches.
inline std::pair<index_t, index_t> size_for_patches(index_t height, index_t width, index_t patch, index_t most) {
  const FpModeScope mode;
  const auto side = [&](double scale, index_t size) {
    const double patches = std::ceil(static_cast<double>(size) * scale / static_cast<double>(patch));
    return patches < 1.0 ? patch : static_cast<index_t>(patches) * patch;
  };
  constexpr double kNear = 1e-5;
  double low = kNear / 10, high = 100.0;
  while (high - low >= kNear) {
    const double scale = (low + high) / 2;
    const index_t rows = side(scale, height) / patch, columns = side(scale, width) / patch;
    (static_cast<double>(rows) * static_cast<double>(columns) <= static_cast<double>(most) ? low : high) = scale;
  }
  return {side(low, height), side(low, width)};
}

}  // namespace detail

inline ImageProcessor::Extent ImageProcessor::resized(index_t height, index_t width) const {
  if (height < 1 || width < 1) throw Error(Code::kBadArgument, "image processor: an image without pixels");
  if (!config_.resize) return {height, width};
  using Size = ProcessorConfig::Size;
  if (config_.size == Size::exact) return {config_.height, config_.width};
  if (config_.size == Size::patches) {
    const auto [h, w] = detail::size_for_patches(height, width, config_.patch, config_.max_patches);
    if (h > detail::kMostPixels || w > detail::kMostPixels)
      throw Error(Code::kLimit, "image processor: max_num_patches makes a side of more than 2^24 pixels");
    return {h, w};
  }
  const index_t small = std::min(height, width), large = std::max(height, width);
  index_t edge = config_.edge, far = edge * large / small;  // exact below 2^53, as Python's quotient is then rounded down
  if (config_.size == Size::edges) {
    // In transformers' order of operations, in doubles.
    const auto s = static_cast<double>(small), l = static_cast<double>(large),
               most = static_cast<double>(config_.longest_edge);
    if (l / s * static_cast<double>(edge) > most) {
      const double raw = most * s / l;
      edge = static_cast<index_t>(std::nearbyint(raw));
      far = static_cast<index_t>(raw * l / s);
    }
    if (small == edge) far = large;
  }
  if (edge < 1 || far > detail::kMostPixels)
    throw Error(Code::kLimit, {"image processor: an image of ", std::to_string(height), " x ", std::to_string(width),
                               " pixels is too narrow to resize"});
  return width <= height ? Extent{far, edge} : Extent{edge, far};
}

inline ImageProcessor::Extent ImageProcessor::output_size(index_t height, index_t width) const {
  const Extent size = resized(height, width);
  return config_.center_crop ? Extent{config_.crop_height, config_.crop_width} : size;
}

inline index_t ImageProcessor::crop_begin(index_t have, index_t want) const noexcept {
  if (have >= want) return (have - want) / 2;
  // Pillow's processors put the odd pixel of black above and left, torchvision's below and right.
  return -(backend_ == Backend::pil ? (want - have + 1) / 2 : (want - have) / 2);
}

inline Image ImageProcessor::resized(Context& ctx, const Image& rgb, Extent size) const {
  Image scaled(PixelFormat::rgb, size.height, size.width);
  ops::resample(ctx, rgb.view(), config_.filter,
                backend_ == Backend::pil ? ops::ResampleArithmetic::pillow : ops::ResampleArithmetic::torchvision,
                View<std::uint8_t, 3>(scaled.pixels.data(), size.height, size.width, 3));
  return scaled;
}

inline void ImageProcessor::resized_floats(Context& ctx, const Image& rgb, Extent size, PreparedImage& out) const {
  std::vector<float> scaled(static_cast<std::size_t>(size.height * size.width * 3));
  ops::resample_values(ctx, rgb.view(), View<const float, 1>(values_[0].data(), 256), config_.filter,
                       View<float, 3>(scaled.data(), size.height, size.width, 3));
  const index_t top = config_.center_crop ? crop_begin(size.height, out.height) : 0,
                left = config_.center_crop ? crop_begin(size.width, out.width) : 0;
  out.planes.resize(static_cast<std::size_t>(3 * out.height * out.width));
  ctx.parallel_for(3 * out.height, [&](index_t row, int) {
    const auto c = static_cast<std::size_t>(row / out.height);
    const index_t y = row % out.height + top;
    const auto mean = static_cast<float>(config_.mean[c]), std = static_cast<float>(config_.std[c]);
    for (index_t i = 0; i < out.width; ++i) {
      const index_t x = i + left;
      const bool inside = y >= 0 && y < size.height && x >= 0 && x < size.width;
      const float v = inside ? scaled[static_cast<std::size_t>((y * size.width + x) * 3) + c] : 0.f;
      out.planes[static_cast<std::size_t>(row * out.width + i)] = config_.normalize ? (v - mean) / std : v;
    }
  });
}

inline PreparedImage ImageProcessor::prepare(Context& ctx, const Image& image, Alpha alpha) const {
  const FpModeScope mode;
  const bool is_rgb = image.format == PixelFormat::rgb;
  const Image converted = is_rgb ? Image() : to_rgb(image, alpha);
  const Image& rgb = is_rgb ? image : converted;
  const Extent size = resized(rgb.height, rgb.width);
  PreparedImage out;
  out.height = config_.center_crop ? config_.crop_height : size.height;
  out.width = config_.center_crop ? config_.crop_width : size.width;
  if (floats()) {
    resized_floats(ctx, rgb, size, out);
    return out;
  }
  const bool scales = size.height != rgb.height || size.width != rgb.width;
  Image scaled = scales ? resized(ctx, rgb, size) : Image();
  if (!config_.center_crop) {
    if (scales) {
      out.bytes = std::move(scaled.pixels);
    } else {
      out.bytes = rgb.pixels;
    }
    return out;
  }
  const Image& from = scales ? scaled : rgb;
  out.bytes.resize(static_cast<std::size_t>(out.height * out.width * 3));
  const index_t top = crop_begin(size.height, out.height), left = crop_begin(size.width, out.width);
  for (index_t y = std::max<index_t>(0, -top); y < out.height && y + top < from.height; ++y) {
    const index_t x = std::max<index_t>(0, -left), end = std::min(out.width, from.width - left);
    std::copy_n(from.row(y + top) + 3 * (x + left), 3 * (end - x), out.bytes.data() + 3 * (y * out.width + x));
  }
  return out;
}

inline ops::Pixels ImageProcessor::pixels(const PreparedImage& prepared) const {
  ops::Pixels p;
  if (!prepared.planes.empty()) {
    p.planes = View<const float, 3>(prepared.planes.data(), 3, prepared.height, prepared.width);
  } else {
    p.bytes = View<const std::uint8_t, 3>(prepared.bytes.data(), prepared.height, prepared.width, 3);
    p.values = View<const float, 2>(values_[0].data(), 3, 256);
  }
  return p;
}

inline void ImageProcessor::pixel_values(Context& ctx, const Image& image, View<float, 3> out, Alpha alpha) const {
  values_of(ctx, prepare(ctx, image, alpha), out);
}

inline void ImageProcessor::values_of(Context& ctx, const PreparedImage& image, View<float, 3> out) const {
  if (out.extent[0] != 3 || out.extent[1] != image.height || out.extent[2] != image.width)
    throw Error(Code::kShapeMismatch, {"pixel_values: out is ", std::to_string(out.extent[0]), " x ",
                                       std::to_string(out.extent[1]), " x ", std::to_string(out.extent[2]),
                                       ", expected 3 x ", std::to_string(image.height), " x ", std::to_string(image.width)});
  if (out.stride[2] != 1) throw Error(Code::kBadStride, "pixel_values: the last dimension must be contiguous");
  const ops::Pixels p = pixels(image);
  ctx.parallel_for(image.height, [&](index_t y, int) {
    for (index_t c = 0; c < 3; ++c) {
      float* to = out.data + c * out.stride[0] + y * out.stride[1];
      if (p.planes.data) {
        std::copy_n(&p.planes(c, y, 0), image.width, to);
        continue;
      }
      const std::uint8_t* in = &p.bytes(y, 0, c);
      const float* values = p.values.data + 256 * c;
      for (index_t x = 0; x < image.width; ++x) to[x] = values[in[3 * x]];
    }
  });
}

}  // namespace tessera::image
