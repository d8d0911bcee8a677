#pragma once
#include <tessera/io/json.hpp>
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/masked_lm_head.hpp>

namespace tessera::models {

namespace detail {

/// Names of transformers. The words' table lies under one of two prefixes, the head beside them.
struct MaskedLmNames {
  const char *type, *prefix, *dense, *norm, *decoder, *bias;
  const char* activation;  ///< the key of config.json; null: GELU
  const char* eps;         ///< the same; null: as if it were absent
  const char* words = "embeddings.word_embeddings.weight";
  bool biases = true;         ///< of the norm and of the words; else they may be absent
  double absent_eps = 1e-12;  ///< where config.json does not say
};
inline constexpr const char* kBertEps = "layer_norm_eps";
inline constexpr const char *kRobertaDense = "lm_head.dense", *kRobertaNorm = "lm_head.layer_norm";
inline constexpr MaskedLmNames kMaskedLmNames[] = {
    {"bert", "bert.", "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder",
     "cls.predictions.bias", "hidden_act", kBertEps},
    {"distilbert", "distilbert.", "vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias",
     "activation", nullptr},
    {"roberta", "roberta.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, kBertEps},
    {"xlm-roberta", "roberta.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, kBertEps},
    {"camembert", "roberta.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, kBertEps},
    {"mpnet", "mpnet.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, kBertEps},
    {"electra", "electra.", "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head",
     "generator_lm_head.bias", nullptr, kBertEps},
    {"modernbert", "model.", "head.dense", "head.norm", "decoder", "decoder.bias", "classifier_activation", "norm_eps",
     "embeddings.tok_embeddings.weight", false, 1e-5}};

}  // namespace detail

inline MaskedLmHead MaskedLmHead::read(Context& ctx, const io::ModelFolder& folder, const TextModel& model,
                                       const LoadOptions& options) {
  const detail::MaskedLmNames* names = nullptr;
  std::string known;
  for (const auto& n : detail::kMaskedLmNames) {
    if (model.family == n.type) names = &n;
    known += (known.empty() ? "" : ", ") + std::string(n.type);
  }
  if (!names)
    throw Error(Code::kUnsupported, {folder.path("config.json"), ": no head for masked tokens is known of model_type '",
                                     model.family, "'; known: ", known});
  const io::Json config = folder.config();
  TensorSource source(ctx, folder.checkpoint(), {""}, (std::string(names->dense) + ".weight").c_str(), options);
  MaskedLmHead head;
  head.transform =
      PredictionHead::read(ctx, source, names->dense, names->norm, -1, model.transformer->width(), names->biases);
  head.transform.dense.act = names->activation ? activation_of(config, names->activation, "gelu") : Activation::gelu_erf;
  head.transform.eps =
      static_cast<float>(names->eps ? io::get_number(config, names->eps, names->absent_eps) : names->absent_eps);
  const index_t width = head.transform.width();
  const std::string own = std::string(names->decoder) + ".weight", words = std::string(names->prefix) + names->words;
  // Where both are tied, files have one of them or both; what a tied decoder of its own says is not what transformers reads.
  const bool tied = io::get_bool(config, "tie_word_embeddings", true);
  head.decoder = tied ? source.table({words.c_str(), own.c_str()}) : source.table({own.c_str()});
  if (head.decoder.extent[1] != width)
    throw Error(Code::kShapeMismatch, {"checkpoint: the decoder takes ", std::to_string(head.decoder.extent[1]),
                                       " numbers, the layer before it gives ", std::to_string(width)});
  const std::string beside = std::string(names->decoder) + ".bias";
  const auto bias = names->biases ? source.vector({names->bias, beside.c_str()}) : source.optional_vector({names->bias});
  if (bias.data && bias.extent[0] != head.vocabulary())
    throw Error(Code::kShapeMismatch, {"checkpoint: tensor ", names->bias, " has ", std::to_string(bias.extent[0]),
                                       " numbers, expected ", std::to_string(head.vocabulary())});
  head.bias.assign(static_cast<std::size_t>(head.vocabulary()), 0.f);
  if (bias.data) head.bias.assign(bias.data, bias.data + bias.extent[0]);
  head.keep_alive = source.keep_alive();
  return head;
}

}  // namespace tessera::models
