#pragma once
#include <string_view>
#include <utility>

#include <tessera/core/mmap.hpp>
#include <tessera/image/codec/bmp.hpp>
#include <tessera/image/codec/decode.hpp>
#include <tessera/image/codec/jpeg.hpp>
#include <tessera/image/codec/png.hpp>
#include <tessera/image/codec/pnm.hpp>
#include <tessera/image/codec/webp.hpp>
#include <tessera/image/convert.hpp>

namespace tessera::image {

inline Image decode(std::span<const std::byte> file, const DecodeOptions& options, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  try {
    const auto any = [&]() -> detail::Found {
      if (text.starts_with("\xff\xd8\xff")) return detail::read_jpeg(text, options);
      if (text.starts_with(std::string_view("\x89PNG\r\n\x1a\n", 8))) return detail::read_png(text, options);
      if (text.starts_with("RIFF") && text.substr(0, 12).ends_with("WEBP")) return detail::read_webp(text, options);
      if (text.starts_with("BM")) return detail::read_bmp(text, options);
      if (text.size() > 2 && text[0] == 'P' && text[1] >= '1' && text[1] <= '6') return detail::read_pnm(text, options);
      if (text.starts_with("version https://git-lfs"))
        throw Error(Code::kFormat, "a Git-LFS pointer, not the file itself; run 'git lfs pull'");
      throw Error(Code::kFormat, "not an image that is read here: JPEG, PNG, WebP, BMP, PBM, PGM or PPM");
    };
    detail::Found found = any();
    if (!options.apply_orientation) return std::move(found.image);
    const int orientation = detail::orientation_of(found);
    return upright(std::move(found.image), orientation);
  } catch (const Error& e) {
    throw Error(e.code(), {name, ": ", e.what()});
  }
}

inline Image load(const std::string& path, const DecodeOptions& options) {
  const MappedFile file = MappedFile::open(path.c_str());
  return decode({file.data(), file.bytes()}, options, path);
}

}  // namespace tessera::image
