#pragma once
#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/families/clip_image.hpp>
#include <tessera/models/families/dinov3.hpp>
#include <tessera/models/family_table.hpp>

namespace tessera::models {

inline ImageModel load_image_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<ImageModel> kFamilies[] = {{"vit", load_vit},
                                                             {"deit", load_vit},
                                                             {"dinov2", load_dinov2},
                                                             {"dinov2_with_registers", load_dinov2},
                                                             {"dinov3_vit", load_dinov3},
                                                             {"clip", load_clip_image},
                                                             {"clip_vision_model", load_clip_image},
                                                             {"siglip", load_siglip_image},
                                                             {"siglip_vision_model", load_siglip_image},
                                                             {"siglip2", load_siglip_image},
                                                             {"siglip2_vision_model", load_siglip_image}};
  return detail::load_family<ImageModel>(ctx, folder, options, " for images", kFamilies);
}

}  // namespace tessera::models
