// tessera embed --image, behind the options that it shares with --text.
#pragma once
#include <string>
#include <vector>

#include <tessera/image/processor.hpp>
#include <tessera/models/image_encoder.hpp>

#include "tool.hpp"

namespace tool {

struct ImageJob {
  RunOptions run;
  std::vector<std::string> images;
  std::string out;
  tessera::models::ImageEmbedOptions embed;
  tessera::image::Backend backend;
};

/// \returns the exit code.
int embed_images(tessera::Context& ctx, const ImageJob& job);

}  // namespace tool
