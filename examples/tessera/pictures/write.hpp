// Pictures as files; the ending chooses the format.
#pragma once
#include <string>

#include <tessera/io/atomic_file.hpp>

#include "../tool.hpp"
#include "png.hpp"
#include "raster.hpp"
#include "svg.hpp"

namespace tool::pictures {

/// \throws Failure kUsage where the name ends with neither .png nor .svg: to be called before any work.
inline void check_picture_name(const std::string& option, const std::string& path) {
  if (!path.empty() && !path.ends_with(".png") && !path.ends_with(".svg"))
    throw Failure{kUsage, option + " " + path + ": expected a name that ends with .png or .svg"};
}

/// Written aside, synced, renamed. \throws Failure kOutput.
inline void write_picture(const std::string& path, const Picture& picture) {
  const std::string bytes = path.ends_with(".svg") ? SvgWriter(picture).text() : png_of(rasterise(picture));
  or_exit(kOutput, [&] {
    tessera::io::AtomicFile file(path);
    file.write(bytes.data(), bytes.size());
    file.commit();
  });
}

}  // namespace tool::pictures
