// Two towers that meet in one space: what transformers loads as CLIPModel, SiglipModel or Siglip2Model.
#pragma once
#include <string>

#include <tessera/models/contrastive_head.hpp>
#include <tessera/models/image_model.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

struct DualModel {
  std::string family;  ///< "clip", "siglip" or "siglip2"
  ImageModel image;
  TextModel text;
  ContrastiveHead head;

  index_t dim() const noexcept { return image.dim(); }
};

/// What a folder of CLIP, SigLIP or SigLIP 2 holds beside the towers. \throws Error as load_dual_model().
ContrastiveHead load_contrastive_head(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options = {});

/// CLIP, SigLIP or SigLIP 2. \throws Error kUnsupported naming the model_type, and as load_text_model.
DualModel load_dual_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options = {});

namespace detail {
/// Throws kShapeMismatch unless both towers end with as many numbers.
void expect_one_space(const ImageModel& image, const TextModel& text);
}  // namespace detail

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/dual_model-inl.hpp>
#endif
