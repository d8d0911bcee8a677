// JPEG by libjpeg-turbo, set up as Pillow sets it up.
#pragma once
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it before

#include <jpeglib.h>

#include <tessera/image/codec/source.hpp>

namespace tessera::image::detail {

/// One decompression. libjpeg reports errors by longjmp: no method here holds anything that a jump would leave behind.
class JpegReader {
 public:
  explicit JpegReader(std::string_view file) noexcept {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = [](j_common_ptr info) {
      auto* e = reinterpret_cast<Errors*>(info->err);
      info->err->format_message(info, e->message);
      std::longjmp(e->jump, 1);
    };
    errors_.base.output_message = [](j_common_ptr) {};  // warnings: of damage that decoding gets over, as in Pillow
    // All is in memory already; whoever asks for more has reached the end too early.
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(file.data());
    source_.bytes_in_buffer = file.size();
    source_.init_source = source_.term_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.skip_input_data = [](j_decompress_ptr info, long bytes) {
      if (bytes <= 0) return;
      const std::size_t n = static_cast<std::size_t>(bytes), have = info->src->bytes_in_buffer;
      info->src->next_input_byte += n < have ? n : have;
      info->src->bytes_in_buffer -= n < have ? n : have;
    };
    progress_.progress_monitor = [](j_common_ptr info) {
      // A progressive file may repeat its scans without end.
      constexpr int kMostScans = 500;
      if (info->is_decompressor && reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMostScans) {
        auto* e = reinterpret_cast<Errors*>(info->err);
        (void)std::snprintf(e->message, sizeof e->message, "more than %d scans", kMostScans);
        std::longjmp(e->jump, 1);
      }
    };
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.src = &source_;
    info_.progress = &progress_;
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xffff);
    if (jpeg_read_header(&info_, TRUE) != JPEG_HEADER_OK) return truncated();
    info_.out_color_space = info_.num_components == 1 ? JCS_GRAYSCALE : info_.num_components == 3 ? JCS_RGB : JCS_CMYK;
    return true;
  }
  bool read_rows(std::uint8_t* pixels, std::size_t row) {
    if (setjmp(errors_.jump) != 0) return false;
    if (!jpeg_start_decompress(&info_)) return truncated();
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW to = pixels + info_.output_scanline * row;
      if (jpeg_read_scanlines(&info_, &to, 1) != 1) return truncated();
    }
    return true;  // what follows the last row, an end marker or none, changes nothing
  }
  const jpeg_decompress_struct& info() const noexcept { return info_; }
  const char* problem() const noexcept { return errors_.message; }

 private:
  struct Errors {
    jpeg_error_mgr base;  // first: libjpeg knows the address of this alone
    std::jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
  };
  bool truncated() {
    (void)std::snprintf(errors_.message, sizeof errors_.message, "truncated");
    return false;
  }
  jpeg_decompress_struct info_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  Errors errors_{};
};

inline Found read_jpeg(std::string_view file, const DecodeOptions& options) {
  JpegReader reader(file);
  if (!reader.read_header()) throw Error(Code::kFormat, {"JPEG: ", reader.problem()});
  const jpeg_decompress_struct& info = reader.info();
  if (info.num_components != 1 && info.num_components != 3 && info.num_components != 4)
    throw Error(Code::kUnsupported, {"JPEG of ", std::to_string(info.num_components), " components"});
  // An 8x8 block takes at least a bit of a progressive file, and stands for 16x16 pixels of chroma-subsampled ones.
  check_size(info.image_width, info.image_height, file.size(), 4096, options);
  Found found;
  constexpr std::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  for (const jpeg_marker_struct* m = info.marker_list; m; m = m->next) {
    const std::string_view data(reinterpret_cast<const char*>(m->data), m->data_length);
    if (found.exif.empty() && data.starts_with(std::string_view("Exif\0\0", 6))) found.exif = data;
    if (data.starts_with(kXmp)) found.xmp = data.substr(kXmp.size());
  }
  const PixelFormat format = info.num_components == 1   ? PixelFormat::gray
                             : info.num_components == 3 ? PixelFormat::rgb
                                                        : PixelFormat::cmyk;
  found.image = Image(format, static_cast<index_t>(info.image_height), static_cast<index_t>(info.image_width));
  const std::size_t row = static_cast<std::size_t>(found.image.width * bytes_per_pixel(format));
  if (!reader.read_rows(found.image.pixels.data(), row)) throw Error(Code::kFormat, {"JPEG: ", reader.problem()});
  if (format == PixelFormat::cmyk)  // stored inverted, as Adobe does
    for (std::uint8_t& v : found.image.pixels) v = static_cast<std::uint8_t>(255 - v);
  return found;
}

}  // namespace tessera::image::detail
