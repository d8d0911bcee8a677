#pragma once
#include <tessera/models/dual_encoder.hpp>
#include <tessera/models/dual_model.hpp>

namespace tessera::models {

inline DualEncoder DualEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options,
                                     image::Backend backend) {
  const io::ModelFolder folder = io::ModelFolder::open(path);
  DualEncoder e;
  e.head_ = load_contrastive_head(ctx, folder, options);  // first: it refuses what has not both towers
  e.image_ = ImageEncoder::load(ctx, path, options, backend);
  e.text_ = TextEncoder::load(ctx, path, options);
  folder.naming([&] { detail::expect_one_space(e.image_.model(), e.text_.model()); });
  return e;
}

}  // namespace tessera::models
