#pragma once
#include <tessera/models/auto_model.hpp>
#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/families/t5.hpp>
#include <tessera/models/family_table.hpp>

namespace tessera::models {

inline TextModel load_text_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<TextModel> kFamilies[] = {{"bert", load_bert},
                                                            {"roberta", load_roberta},
                                                            {"xlm-roberta", load_roberta},
                                                            {"camembert", load_roberta},
                                                            {"electra", load_electra},
                                                            {"distilbert", load_distilbert},
                                                            {"mpnet", load_mpnet},
                                                            {"t5", load_t5},
                                                            {"mt5", load_t5},
                                                            {"clip", load_clip_text},
                                                            {"clip_text_model", load_clip_text},
                                                            {"siglip", load_siglip_text},
                                                            {"siglip_text_model", load_siglip_text},
                                                            {"siglip2", load_siglip_text},
                                                            {"siglip2_text_model", load_siglip_text}};
  return detail::load_family<TextModel>(ctx, folder, options, " for texts", kFamilies);
}

}  // namespace tessera::models
