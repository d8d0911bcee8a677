#pragma once
#include <tessera/models/auto_model.hpp>
#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/families/deberta.hpp>
#include <tessera/models/families/gemma.hpp>
#include <tessera/models/families/gpt2.hpp>
#include <tessera/models/families/jina_bert.hpp>
#include <tessera/models/families/llama.hpp>
#include <tessera/models/families/modern_bert.hpp>
#include <tessera/models/families/rotary_bert.hpp>
#include <tessera/models/families/t5.hpp>
#include <tessera/models/family_table.hpp>

namespace tessera::models {

inline TextModel load_text_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<TextModel> kFamilies[] = {{"bert", load_bert_or_jina},
                                                            {"roberta", load_roberta},
                                                            {"xlm-roberta", load_roberta},
                                                            {"camembert", load_roberta},
                                                            {"electra", load_electra},
                                                            {"distilbert", load_distilbert},
                                                            {"mpnet", load_mpnet},
                                                            {"deberta-v2", load_deberta},
                                                            {"t5", load_t5},
                                                            {"mt5", load_t5},
                                                            {"modernbert", load_modern_bert},
                                                            {"nomic_bert", load_nomic_bert},
                                                            {"gte", load_gte},
                                                            {"new", load_gte},
                                                            {"eurobert", load_llama},
                                                            {"llama", load_llama},
                                                            {"mistral", load_llama},
                                                            {"qwen2", load_llama},
                                                            {"qwen3", load_llama},
                                                            {"phi3", load_llama},
                                                            {"gpt2", load_gpt2},
                                                            {"opt", load_opt},
                                                            {"gemma", load_gemma},
                                                            {"gemma2", load_gemma},
                                                            {"gemma3", load_gemma},
                                                            {"gemma3_text", load_gemma},
                                                            {"clip", load_clip_text},
                                                            {"clip_text_model", load_clip_text},
                                                            {"siglip", load_siglip_text},
                                                            {"siglip_text_model", load_siglip_text},
                                                            {"siglip2", load_siglip_text},
                                                            {"siglip2_text_model", load_siglip_text}};
  TextModel model = detail::load_family<TextModel>(ctx, folder, options, " for texts", kFamilies);
  if (options.causal && model.transformer->config().block.attention.causal != *options.causal)
    throw Error(Code::kUnsupported, {folder.path("config.json"), ": a model of type '", model.family, "' cannot be made ",
                                     *options.causal ? "causal" : "to see all tokens"});
  return model;
}

}  // namespace tessera::models
