#pragma once
#include <utility>

#include <tessera/models/dual_model.hpp>
#include <tessera/models/families/clip_image.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/family_table.hpp>

namespace tessera::models {

namespace detail {

inline DualModel both_towers(Context& ctx, const io::ModelFolder& folder, const char* family, ImageModel image,
                             TextModel text, const LoadOptions& options) {
  DualModel m;
  m.family = family, m.image = std::move(image), m.text = std::move(text);
  const index_t e = m.text.head ? m.text.head->projection.linear.weight.n() : 0;
  if (e != m.image.dim())
    throw Error(Code::kShapeMismatch,
                {"checkpoint: images become ", std::to_string(m.image.dim()), " numbers, texts ", std::to_string(e)});
  const auto checkpoint = folder.checkpoint();
  const auto scalar = [&](const char* name) {
    TensorSource source(ctx, checkpoint, {""}, name, options);
    const auto v = source.by_first({name});
    if (v.size() != 1) throw Error(Code::kShapeMismatch, {"checkpoint: ", name, " is not one number"});
    return v(0, 0);
  };
  m.logit_scale = scalar("logit_scale");
  if (checkpoint->find("logit_bias")) m.logit_bias = scalar("logit_bias");
  return m;
}

}  // namespace detail

inline DualModel load_clip(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  return detail::both_towers(ctx, folder, "clip", load_clip_image(ctx, folder, json, options),
                             load_clip_text(ctx, folder, json, options), options);
}
inline DualModel load_siglip(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const char* family = io::get_string(json, "model_type", "") == "siglip2" ? "siglip2" : "siglip";
  return detail::both_towers(ctx, folder, family, load_siglip_image(ctx, folder, json, options),
                             load_siglip_text(ctx, folder, json, options), options);
}

inline DualModel load_dual_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<DualModel> kFamilies[] = {
      {"clip", load_clip}, {"siglip", load_siglip}, {"siglip2", load_siglip}};
  return detail::load_family<DualModel>(ctx, folder, options, " for images and texts", kFamilies);
}

}  // namespace tessera::models
