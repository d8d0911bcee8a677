// PNG by libpng, with the conversions that Pillow's own reader makes.
#pragma once
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <png.h>

#include <tessera/image/codec/source.hpp>

namespace tessera::image::detail {

/// One file. libpng reports errors by longjmp: no method here holds anything that a jump would leave behind.
class PngReader {
 public:
  explicit PngReader(std::string_view file) : rest_(file), chunk_memory_(std::max<std::size_t>(file.size(), 8000000)) {
    png_ = png_create_read_struct_2(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp text) {
          auto* r = static_cast<PngReader*>(png_get_error_ptr(png));
          (void)std::snprintf(r->message_, sizeof r->message_, "%s", text);
          std::longjmp(r->jump_, 1);
        },
        [](png_structp, png_const_charp) {}, this,
        [](png_structp png, png_alloc_size_t bytes) {
          const auto* r = static_cast<const PngReader*>(png_get_mem_ptr(png));
          return r->in_chunks_ && bytes > r->chunk_memory_ ? nullptr : std::malloc(bytes);
        },
        [](png_structp, png_voidp p) { std::free(p); });
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) throw std::bad_alloc();
    png_set_read_fn(png_, this, [](png_structp png, png_bytep to, std::size_t bytes) {
      auto* r = static_cast<PngReader*>(png_get_io_ptr(png));
      if (bytes > r->rest_.size()) png_error(png, "truncated");
      std::memcpy(to, r->rest_.data(), bytes);
      r->rest_.remove_prefix(bytes);
    });
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // check_size() has the say
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, info_ ? &info_ : nullptr, nullptr); }

  bool read_header() {
    if (setjmp(jump_) != 0) return false;
    png_read_info(png_, info_);
    return true;
  }
  /// What the rows will be; takes memory for one.
  bool begin_rows() {
    if (setjmp(jump_) != 0) return false;
    in_chunks_ = false;
    const int type = png_get_color_type(png_, info_), depth = png_get_bit_depth(png_, info_);
    const bool keyed = png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
    gray16_ = type == PNG_COLOR_TYPE_GRAY && depth == 16;
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png_);
    if (keyed && !gray16_) png_set_tRNS_to_alpha(png_);
    if (depth == 16 && !gray16_) png_set_strip_16(png_);
    if (type == PNG_COLOR_TYPE_GRAY_ALPHA && depth == 16) png_set_gray_to_rgb(png_);  // as Pillow has it
    if (gray16_) png_set_swap(png_);
    (void)png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  std::uint32_t width() const noexcept { return png_get_image_width(png_, info_); }
  std::uint32_t height() const noexcept { return png_get_image_height(png_, info_); }
  PixelFormat format() const noexcept {
    if (gray16_) return PixelFormat::gray16;
    switch (png_get_channels(png_, info_)) {
      case 1: return PixelFormat::gray;
      case 2: return PixelFormat::gray_alpha;
      case 3: return PixelFormat::rgb;
      default: return PixelFormat::rgba;
    }
  }
  std::size_t row_bytes() const noexcept { return png_get_rowbytes(png_, info_); }
  bool read_rows(png_bytepp rows) {
    if (setjmp(jump_) != 0) return false;
    png_read_image(png_, rows);
    return true;
  }
  /// The chunks behind the pixels; that they are missing is no error.
  void read_end() {
    if (setjmp(jump_) != 0) return;
    in_chunks_ = true;
    png_read_end(png_, info_);
  }
  std::string_view exif() {
    png_uint_32 bytes = 0;
    png_bytep data = nullptr;
    if (png_get_eXIf_1(png_, info_, &bytes, &data) == 0) return {};
    return {reinterpret_cast<const char*>(data), bytes};
  }
  std::string_view xmp() {
    png_textp texts = nullptr;
    int n = 0;
    png_get_text(png_, info_, &texts, &n);
    std::string_view found;
    for (int i = 0; i < n; ++i)
      if (std::string_view(texts[i].key) == "XML:com.adobe.xmp" && texts[i].text) found = texts[i].text;
    return found;
  }
  const char* problem() const noexcept { return message_; }

 private:
  std::string_view rest_;
  // libpng takes and clears a chunk's memory before it reads it: no more than the file could hold, or 8 MB unpacked, which
  // is its own usual limit (some builds have none, and none makes an error of it).
  std::size_t chunk_memory_;
  bool in_chunks_ = true;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_{};
  char message_[200] = {};
  bool gray16_ = false;
};

inline Found read_png(std::string_view file, const DecodeOptions& options) {
  PngReader reader(file);
  if (!reader.read_header()) throw Error(Code::kFormat, {"PNG: ", reader.problem()});
  check_size(reader.width(), reader.height(), file.size(), 8 * 1032, options);  // deflate's best, at a bit a pixel
  if (!reader.begin_rows()) throw Error(Code::kFormat, {"PNG: ", reader.problem()});
  Found found;
  found.image = Image(reader.format(), static_cast<index_t>(reader.height()), static_cast<index_t>(reader.width()));
  if (reader.row_bytes() * reader.height() != found.image.pixels.size())
    throw Error(Code::kUnsupported, "PNG: a pixel layout that is not read");
  std::vector<png_bytep> rows;
  for (index_t y = 0; y < found.image.height; ++y) rows.push_back(found.image.row(y));
  if (!reader.read_rows(rows.data())) throw Error(Code::kFormat, {"PNG: ", reader.problem()});
  reader.read_end();
  found.exif = reader.exif();
  found.xmp = reader.xmp();
  return found;
}

}  // namespace tessera::image::detail
