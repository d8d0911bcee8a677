#pragma once
#include <tessera/io/json.hpp>
#include <tessera/models/families/stack_config.hpp>
#include <tessera/models/masked_lm_head.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::models {

namespace detail {

/// Names of transformers. The words' table lies under one of two prefixes, the head beside them.
struct MaskedLmNames {
  const char *type, *prefix, *dense, *norm, *decoder, *bias;
  const char* activation;  ///< the key of config.json; null: GELU
  bool eps;                ///< layer_norm_eps of config.json; else 1e-12
};
inline constexpr const char *kRobertaDense = "lm_head.dense", *kRobertaNorm = "lm_head.layer_norm";
inline constexpr MaskedLmNames kMaskedLmNames[] = {
    {"bert", "bert.", "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder",
     "cls.predictions.bias", "hidden_act", true},
    {"distilbert", "distilbert.", "vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias",
     "activation", false},
    {"roberta", "roberta.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, true},
    {"xlm-roberta", "roberta.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, true},
    {"camembert", "roberta.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, true},
    {"mpnet", "mpnet.", kRobertaDense, kRobertaNorm, "lm_head.decoder", "lm_head.bias", nullptr, true},
    {"electra", "electra.", "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head",
     "generator_lm_head.bias", nullptr, true}};

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
  head.transform = read_dense(ctx, source, names->dense, -1, model.transformer->config().block.channels);
  head.transform.act = names->activation ? activation_of(config, names->activation, "gelu") : Activation::gelu_erf;
  if (names->eps) head.eps = static_cast<float>(io::get_number(config, "layer_norm_eps", 1e-12));
  const index_t width = head.transform.linear.weight.n();
  const auto keep = [&](std::vector<float>& into, std::initializer_list<const char*> all, index_t n) {
    const auto v = source.vector(all);
    if (v.extent[0] != n)
      throw Error(Code::kShapeMismatch, {"checkpoint: tensor ", *all.begin(), " has ", std::to_string(v.extent[0]),
                                         " numbers, expected ", std::to_string(n)});
    into.assign(v.data, v.data + n);
  };
  const std::string norm = names->norm, own = std::string(names->decoder) + ".weight",
                    words = std::string(names->prefix) + "embeddings.word_embeddings.weight";
  keep(head.gamma, {(norm + ".weight").c_str(), (norm + ".gamma").c_str()}, width);
  keep(head.beta, {(norm + ".bias").c_str(), (norm + ".beta").c_str()}, width);
  // Where both are tied, files have one of them or both; what a tied decoder of its own says is not what transformers reads.
  const bool tied = io::get_bool(config, "tie_word_embeddings", true);
  head.decoder = tied ? source.table({words.c_str(), own.c_str()}) : source.table({own.c_str()});
  if (head.decoder.extent[1] != width)
    throw Error(Code::kShapeMismatch, {"checkpoint: the decoder takes ", std::to_string(head.decoder.extent[1]),
                                       " numbers, the layer before it gives ", std::to_string(width)});
  keep(head.bias, {names->bias, (std::string(names->decoder) + ".bias").c_str()}, head.vocabulary());
  head.keep_alive = source.keep_alive();
  return head;
}

inline void MaskedLmHead::transform_tokens(Context& ctx, View<const float, 2> hidden, View<float, 2> out) const {
  ops::linear(ctx, hidden, transform.linear.weight, {.bias = transform.linear.bias, .act = transform.act}, out);
  ops::layer_norm(ctx, out, View<const float, 1>(gamma.data(), width()), View<const float, 1>(beta.data(), width()), eps,
                  out);
}

}  // namespace tessera::models
