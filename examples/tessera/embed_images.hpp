// tessera embed --image, behind the options that it shares with --text.
#pragma once
#include <tessera/image/processor.hpp>
#include <tessera/models/image_encoder.hpp>

#include "images.hpp"
#include "shard.hpp"
#include "tool.hpp"

namespace tool {

struct ImageJob {
  RunOptions run;
  tessera::models::ImageEmbedOptions embed;
  tessera::image::Backend backend;
};

/// Embeds the shard's inputs into its part, and writes the manifest where it has one. \returns the exit code.
int embed_images(tessera::Context& ctx, const ImageJob& job, ImageInputs& inputs, const Shard& shard,
                 const tessera::io::Json& manifest);

}  // namespace tool
