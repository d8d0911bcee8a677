#pragma once
#include <algorithm>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/cross_encoder.hpp>
#include <tessera/models/families/deberta.hpp>
#include <tessera/models/families/jina_bert.hpp>
#include <tessera/models/families/modern_bert.hpp>
#include <tessera/models/family_table.hpp>
// Limits of folders, class names and offsets, which compiled builds do not declare elsewhere.
#include <tessera/models/sentence_folder-inl.hpp>
#include <tessera/models/text_backbone-inl.hpp>
#include <tessera/ops/contrastive.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/text/tokenizer_config-inl.hpp>  // as above

namespace tessera::models {

namespace detail {

/// transformers' num_labels: said, or counted in id2label, or 2.
inline index_t label_count(const io::Json& config) {
  const io::Json& names = io::member(config, "id2label");
  const auto counted = static_cast<std::int64_t>(names.is_object() && !names.empty() ? names.size() : 2);
  return io::get_int(config, "num_labels", 1, 1 << 24, counted);
}

/// Whether scores are sigmoids. \param saved config_sentence_transformers.json.
inline bool scores_are_sigmoids(const io::Json& saved, const io::Json& config, index_t labels) {
  std::string name = io::get_string(saved, "activation_fn", "");
  if (!name.starts_with("torch.")) {  // code of others is not run, there as here
    const io::Json& own = io::member(config, "sentence_transformers");
    name = io::has(own, "activation_fn") ? io::get_string(own, "activation_fn", "")
                                         : io::get_string(config, "sbert_ce_default_activation_function", "");
  }
  if (!name.starts_with("torch.")) return labels == 1;
  const std::string act = class_name(name);
  if (act != "Sigmoid" && act != "Identity")
    throw Error(Code::kUnsupported, {"activation_fn '", name, "' is not supported; known: Sigmoid, Identity"});
  return act == "Sigmoid";
}

/// What stands between a token's last state and the scores: two layers, the first with an activation.
struct ClassifierHead {
  const char *type, *dense;
  Activation act;
  const char* out;
  const char* act_key = nullptr;   ///< what config.json calls the activation, where it says one
  const char* norm = nullptr;      ///< behind the first layer
  const char* eps_key = nullptr;   ///< of that, 1e-5 if config.json does not say
  const char* pool_key = nullptr;  ///< where config.json says "cls" or "mean"; null: the first token
};
inline constexpr ClassifierHead kClassifierHeads[] = {
    {"bert", nullptr, Activation::tanh, "classifier"},  // its pooler is the first layer
    {"roberta", "classifier.dense", Activation::tanh, "classifier.out_proj"},
    {"xlm-roberta", "classifier.dense", Activation::tanh, "classifier.out_proj"},
    {"camembert", "classifier.dense", Activation::tanh, "classifier.out_proj"},
    {"mpnet", "classifier.dense", Activation::tanh, "classifier.out_proj"},
    {"electra", "classifier.dense", Activation::gelu_erf, "classifier.out_proj"},
    {"distilbert", "pre_classifier", Activation::relu, "classifier"},
    {"deberta-v2", "pooler.dense", Activation::gelu_erf, "classifier", "pooler_hidden_act"},
    {"modernbert", "head.dense", Activation::gelu_erf, "classifier", "classifier_activation", "head.norm", "norm_eps",
     "classifier_pooling"}};

/// Whether the model is given token types: what tokenizer_config.json says, or the tokenizer class of transformers, of
/// which BERT's, ELECTRA's and DeBERTa's alone give them.
inline bool gives_token_types(const io::Json& says, const std::string& family) {
  if (const io::Json& names = io::member(says, "model_input_names"); names.is_array())
    return std::find(names.begin(), names.end(), "token_type_ids") != names.end();
  const std::string type = io::get_string(says, "tokenizer_class",
                                          family == "electra"      ? "Electra"
                                          : family == "bert"       ? "Bert"
                                          : family == "deberta-v2" ? "Deberta"
                                                                   : "");
  return type.starts_with("Bert") || type.starts_with("Electra") || type.starts_with("Deberta");
}

/// Refuses a modules.json with more than the one Transformer that classifies. \returns where that lies.
inline std::string classifier_module(const io::ModelFolder& folder) {
  const io::Json modules = folder.json("modules.json");
  if (!modules.is_array() || modules.size() != 1 || class_name(io::get_string(modules[0], "type")) != "Transformer")
    throw Error(Code::kUnsupported, {folder.path("modules.json"), ": expected one module, a Transformer that classifies"});
  return io::get_string(modules[0], "path", "");
}

}  // namespace detail

inline CrossEncoder CrossEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options) {
  const FpModeScope mode;  // as in load_text_model
  const io::ModelFolder folder = io::ModelFolder::open(path);
  CrossEncoder e;
  folder.naming([&] { e.read(ctx, folder, options); });
  return e;
}

inline void CrossEncoder::read(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  io::Json saved = io::empty_object();  // what CrossEncoder.save writes beside the model
  std::optional<io::Json> limits;
  std::string at;
  if (folder.has("modules.json")) {
    at = detail::classifier_module(folder);
    if (!at.empty()) at += "/";
    limits = detail::read_limits(folder, at);
    if (folder.has("config_sentence_transformers.json")) saved = folder.json("config_sentence_transformers.json");
  }
  const io::ModelFolder inner = at.empty() ? folder : folder.sub(at);
  static constexpr detail::Family<TextModel> kFamilies[] = {
      {"bert", load_bert_or_jina}, {"roberta", load_roberta},    {"xlm-roberta", load_roberta},
      {"camembert", load_roberta}, {"electra", load_electra},    {"distilbert", load_distilbert},
      {"mpnet", load_mpnet},       {"deberta-v2", load_deberta}, {"modernbert", load_modern_bert}};
  model_ = detail::load_family<TextModel>(ctx, inner, options, " for pairs of texts", kFamilies);
  const io::Json config = inner.config();
  const auto* head = detail::kClassifierHeads;
  while (model_.family != head->type) ++head;  // every family above is there
  const std::string out = std::string(head->out) + ".weight";
  TensorSource source(ctx, inner.checkpoint(), {""}, out.c_str(), options);
  const index_t labels = detail::label_count(config), channels = model_.transformer->width();
  if (head->dense) {
    head_ = PredictionHead::read(ctx, source, head->dense, head->norm, channels, channels, false);
  } else if (model_.pooler) {
    head_.dense = *std::move(model_.pooler);
    model_.pooler.reset();
  } else {
    throw Error(Code::kNotFound, "checkpoint: tensor pooler.dense.weight is missing, which the classifier reads");
  }
  head_.dense.act = head->act_key && io::has(config, head->act_key) ? activation_of(config, head->act_key, "") : head->act;
  if (head->eps_key) head_.eps = static_cast<float>(io::get_number(config, head->eps_key, 1e-5));
  if (head->pool_key) {
    const std::string pooling = io::get_string(config, head->pool_key, "cls");
    if (pooling != "cls" && pooling != "mean")
      throw Error(Code::kUnsupported,
                  {"config.json: ", head->pool_key, " '", pooling, "' is not supported; known: cls, mean"});
    if (pooling == "mean") pooling_ = ops::Pooling::mean;
  }
  classifier_ = read_dense(ctx, source, head->out, labels, channels);
  sigmoid_ = detail::scores_are_sigmoids(saved, config, labels);
  if (const std::string name = io::get_string(saved, "default_prompt_name", ""); !name.empty())
    prompt_ = io::get_string(io::member(saved, "prompts"), name.c_str());

  text::LoadOptions text_options;
  text_options.lowercase = limits && io::get_bool(*limits, "do_lower_case", false);
  tokenizer_ = std::make_unique<text::Tokenizer>(text::Tokenizer::load(inner.root(), text_options));
  max_length_ = detail::length_limit(inner, limits, model_.max_length);
  const io::Json says = text::detail::read_config(inner.root());
  segments_ = detail::gives_token_types(says, model_.family);
  if (io::has(says, "truncation_side")) {
    auto truncation = tokenizer_->truncation().value_or(text::Truncation{});
    truncation.left = io::get_string(says, "truncation_side") == "left";
    tokenizer_->set_truncation(truncation);
  }
}

inline std::vector<CrossEncoder::Tokens> CrossEncoder::tokenize(Context& ctx, std::span<const TextPair> pairs,
                                                                index_t max_length) const {
  std::vector<Tokens> tokens(pairs.size());
  ctx.parallel_for(static_cast<index_t>(pairs.size()), [&](index_t i, int) {
    auto [first, second] = pairs[static_cast<std::size_t>(i)];
    auto& [ids, segments] = tokens[static_cast<std::size_t>(i)];
    std::string prompted;
    if (!prompt_.empty()) first = prompted.append(prompt_).append(first);
    try {
      tokenizer_->encode_pair_ids(first, second, ids, segments, max_length);
    } catch (const Error& e) {
      throw Error(e.code(), {"pair ", std::to_string(i), ": ", e.what()});
    }
    if (!segments_) std::fill(segments.begin(), segments.end(), 0);
  });
  return tokens;
}

inline void CrossEncoder::classify(Context& ctx, const TokenInputs& in, View<float, 2> out) const {
  const index_t c = model_.transformer->width(), tokens = in.batch.tokens(), n = in.batch.sequences();
  const Buffer hidden_memory(static_cast<std::size_t>(tokens * c) * sizeof(float));
  const View<float, 2> hidden(hidden_memory.as<float>(), tokens, c);
  std::vector<float> memory(static_cast<std::size_t>(2 * n * c));
  const View<float, 2> chosen(memory.data(), n, c), pooled(memory.data() + n * c, n, c);
  model_.transformer->forward(ctx, in, hidden);
  ops::pool(ctx, pooling_, hidden, in.batch.cu_seqlens, {}, chosen);
  head_.run(ctx, chosen, pooled);
  ops::linear(ctx, pooled, classifier_.linear.weight, {.bias = classifier_.linear.bias}, out);
}

inline std::vector<float> CrossEncoder::score(Context& ctx, std::span<const TextPair> pairs, const ScoreOptions& o) const {
  const index_t most = o.max_length > 0 ? o.max_length : max_length_;
  if (most > model_.max_length)
    throw Error(Code::kBadArgument, {"max length ", std::to_string(most), ": this model has positions for ",
                                     std::to_string(model_.max_length), " tokens"});
  const std::vector<Tokens> all = tokenize(ctx, pairs, most);
  std::vector<float> scores(pairs.size() * static_cast<std::size_t>(labels()));
  const View<float, 2> out(scores.data(), static_cast<index_t>(pairs.size()), labels());
  for (std::size_t b = 0, end = 0; b < all.size(); b = end) {
    Tokens batch;
    std::vector<index_t> cu{0};
    const auto size = [&] { return static_cast<index_t>(batch.ids.size()); };
    do {
      batch.ids.insert(batch.ids.end(), all[end].ids.begin(), all[end].ids.end());
      batch.segments.insert(batch.segments.end(), all[end].segments.begin(), all[end].segments.end());
      cu.push_back(size());
    } while (++end < all.size() && size() + static_cast<index_t>(all[end].ids.size()) <= o.batch_tokens);
    TokenInputs in;
    in.ids = View<const std::int32_t, 1>(batch.ids.data(), size());
    in.batch.cu_seqlens = detail::offsets_of(cu);
    in.batch.segment_ids = View<const std::int32_t, 1>(batch.segments.data(), size());
    classify(ctx, in, out.slice(static_cast<index_t>(b), static_cast<index_t>(end)));
  }
  if (sigmoid_ && o.activation) ops::sigmoid(out, out);
  return scores;
}

}  // namespace tessera::models
