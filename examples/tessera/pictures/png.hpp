// Pixels as PNG files, by libpng with fixed settings.
#pragma once
#include <csetjmp>
#include <string>
#include <utility>

#include <png.h>

#include <tessera/core/error.hpp>
#include <tessera/image/image.hpp>

namespace tool::pictures {

using tessera::image::Image;

namespace detail {

/// libpng reports errors by longjmp: nothing here holds what a jump would leave behind.
struct PngWriter {
  std::string bytes;
  std::jmp_buf jump{};
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~PngWriter() { png_destroy_write_struct(&png, &info); }
  bool write(const Image& image) {
    png = png_create_write_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp p, png_const_charp) { std::longjmp(static_cast<PngWriter*>(png_get_error_ptr(p))->jump, 1); },
        [](png_structp, png_const_charp) {});
    info = png ? png_create_info_struct(png) : nullptr;
    if (!info || setjmp(jump) != 0) return false;
    png_set_write_fn(
        png, this,
        [](png_structp p, png_bytep data, std::size_t n) {
          auto* w = static_cast<PngWriter*>(png_get_io_ptr(p));
          if (!w->append(data, n)) png_error(p, "out of memory");
        },
        [](png_structp) {});
    png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 6);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_PAETH);
    png_write_info(png, info);
    for (tessera::index_t y = 0; y < image.height; ++y) png_write_row(png, image.row(y));
    png_write_end(png, nullptr);
    return true;
  }

 private:
  bool append(const png_byte* data, std::size_t n) noexcept {
    try {
      bytes.append(reinterpret_cast<const char*>(data), n);
      return true;
    } catch (...) {
      return false;
    }
  }
};

}  // namespace detail

/// An RGB image as a PNG file's bytes: the same for the same image and zlib. \throws Error kLimit out of memory.
inline std::string png_of(const Image& image) {
  detail::PngWriter writer;
  if (!writer.write(image)) throw tessera::Error(tessera::Code::kLimit, "out of memory while a PNG was made");
  return std::move(writer.bytes);
}

}  // namespace tool::pictures
