// Two towers that meet in one space: what transformers loads as CLIPModel, SiglipModel or Siglip2Model.
#pragma once
#include <string>

#include <tessera/models/image_model.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// logits_per_image = exp(logit_scale) * cos + logit_bias; CLIP takes a softmax over the texts, SigLIP a sigmoid of each.
struct DualModel {
  std::string family;  ///< "clip", "siglip" or "siglip2"
  ImageModel image;
  TextModel text;
  float logit_scale = 0.f, logit_bias = 0.f;

  index_t dim() const noexcept { return image.dim(); }
};

/// CLIP, SigLIP or SigLIP 2. \throws Error kUnsupported naming the model_type, and as load_text_model.
DualModel load_dual_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options = {});

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/dual_model-inl.hpp>
#endif
