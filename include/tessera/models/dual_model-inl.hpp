#pragma once
#include <utility>

#include <tessera/io/json.hpp>
#include <tessera/models/dual_model.hpp>
#include <tessera/models/families/clip_image.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/family_table.hpp>

namespace tessera::models {

namespace detail {

inline constexpr const char* kForBoth = " for images and texts";

inline ContrastiveHead read_head(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  const auto checkpoint = folder.checkpoint();
  const auto scalar = [&](const char* name) {
    TensorSource source(ctx, checkpoint, {""}, name, options);
    const auto v = source.by_last({name});
    if (v.size() != 1) throw Error(Code::kShapeMismatch, {"checkpoint: ", name, " is not one number"});
    return v(0, 0);
  };
  ContrastiveHead head;
  head.logit_scale = scalar("logit_scale");
  if (checkpoint->find("logit_bias")) head.logit_bias = scalar("logit_bias");
  return head;
}

inline DualModel both_towers(const char* family, ImageModel image, TextModel text, const ContrastiveHead& head) {
  expect_one_space(image, text);
  DualModel m;
  m.family = family, m.image = std::move(image), m.text = std::move(text), m.head = head;
  return m;
}

}  // namespace detail

inline void detail::expect_one_space(const ImageModel& image, const TextModel& text) {
  const index_t e = text.head ? text.head->projection.linear.weight.n() : 0;
  if (e != image.dim())
    throw Error(Code::kShapeMismatch,
                {"checkpoint: images become ", std::to_string(image.dim()), " numbers, texts ", std::to_string(e)});
}

inline ContrastiveHead clip_head(Context& ctx, const io::ModelFolder& folder, const io::Json&, const LoadOptions& options) {
  return detail::read_head(ctx, folder, options);
}
inline ContrastiveHead siglip_head(Context& ctx, const io::ModelFolder& folder, const io::Json&,
                                   const LoadOptions& options) {
  ContrastiveHead head = detail::read_head(ctx, folder, options);
  head.sigmoid = true;
  return head;
}

inline DualModel load_clip(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  return detail::both_towers("clip", load_clip_image(ctx, folder, json, options), load_clip_text(ctx, folder, json, options),
                             clip_head(ctx, folder, json, options));
}
inline DualModel load_siglip(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const char* family = io::get_string(json, "model_type", "") == "siglip2" ? "siglip2" : "siglip";
  return detail::both_towers(family, load_siglip_image(ctx, folder, json, options),
                             load_siglip_text(ctx, folder, json, options), siglip_head(ctx, folder, json, options));
}

inline ContrastiveHead load_contrastive_head(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<ContrastiveHead> kFamilies[] = {
      {"clip", clip_head}, {"siglip", siglip_head}, {"siglip2", siglip_head}};
  return detail::load_family<ContrastiveHead>(ctx, folder, options, detail::kForBoth, kFamilies);
}

inline DualModel load_dual_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<DualModel> kFamilies[] = {
      {"clip", load_clip}, {"siglip", load_siglip}, {"siglip2", load_siglip}};
  return detail::load_family<DualModel>(ctx, folder, options, detail::kForBoth, kFamilies);
}

}  // namespace tessera::models
