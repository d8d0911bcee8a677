#pragma once
#include <algorithm>
#include <cmath>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/causal_lm.hpp>
#include <tessera/models/families/gemma.hpp>
#include <tessera/models/families/gpt2.hpp>
#include <tessera/models/families/llama.hpp>
#include <tessera/models/family_table.hpp>
#include <tessera/ops/gemm.hpp>

namespace tessera::models {

namespace detail {

/// Where a decoder's table of words is, and whether it is the head where config.json does not say.
struct CausalLmNames {
  const char *type, *words;
  bool tied;
};
inline constexpr CausalLmNames kCausalLmNames[] = {
    {"llama", "embed_tokens.weight", false},      {"mistral", "embed_tokens.weight", false},
    {"qwen2", "embed_tokens.weight", false},      {"qwen3", "embed_tokens.weight", false},
    {"phi3", "embed_tokens.weight", false},       {"gemma", "embed_tokens.weight", true},
    {"gemma2", "embed_tokens.weight", true},      {"gemma3", "embed_tokens.weight", true},
    {"gemma3_text", "embed_tokens.weight", true}, {"gpt2", "wte.weight", true},
    {"opt", "decoder.embed_tokens.weight", true}};

/// Whether a field of generation_config.json asks for nothing. \param neutral the number that does so.
inline bool asks_for_nothing(const io::Json& value, double neutral) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_array() && value.empty()) ||
         (value.is_number() && value.get<double>() == neutral);
}

/// \param file what errors call it.
inline GenerationConfig generation_config(const io::Json& json, const std::string& file) {
  for (const auto& [key, neutral] : {std::pair("num_beams", 1.0),
                                     {"num_beam_groups", 1.0},
                                     {"guidance_scale", 1.0},
                                     {"no_repeat_ngram_size", 0.0},
                                     {"encoder_no_repeat_ngram_size", 0.0},
                                     {"min_length", 0.0},
                                     {"min_new_tokens", 0.0},
                                     {"penalty_alpha", 0.0},
                                     {"bad_words_ids", 0.0},
                                     {"suppress_tokens", -1.0},
                                     {"begin_suppress_tokens", -1.0},
                                     {"forced_bos_token_id", -1.0},
                                     {"forced_eos_token_id", -1.0},
                                     {"sequence_bias", 0.0},
                                     {"exponential_decay_length_penalty", 0.0}})
    if (!asks_for_nothing(io::member(json, key), neutral))
      throw Error(Code::kUnsupported, {file, ": ", key, " is not supported: tokens are chosen greedily, one at a time"});
  GenerationConfig g;
  const double penalty = io::get_number(json, "repetition_penalty", 1);
  if (!(penalty >= 1e-6 && penalty <= 1e6)) throw Error(Code::kFormat, {file, ": repetition_penalty is out of range"});
  g.repetition_penalty = static_cast<float>(penalty);
  const io::Json& eos = io::member(json, "eos_token_id");
  const auto add = [&](const io::Json& id) {
    // One beyond the vocabulary is no mistake of ours to mend, and never comes.
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() > 0x7fffffff)
      throw Error(Code::kFormat, {file, ": eos_token_id is not a token's id, nor a list of such"});
    g.eos_token_ids.push_back(static_cast<std::int32_t>(id.get<std::int64_t>()));
  };
  if (eos.is_array())
    for (const io::Json& id : eos) add(id);
  else if (!eos.is_null())
    add(eos);
  return g;
}

/// Whether a text turns by other angles once it has more than so many places (LongRoPE), and now has.
inline bool angles_change(const TransformerConfig& config, index_t before, index_t after) {
  return before > 0 && std::any_of(config.kinds.begin(), config.kinds.end(), [&](const LayerKind& k) {
           return k.rotary.most_places > 0 && before <= k.rotary.most_places && after > k.rotary.most_places;
         });
}

}  // namespace detail

inline CausalLm CausalLm::load(Context& ctx, const std::string& path, const LoadOptions& options) {
  const FpModeScope mode;  // as in load_text_model
  const io::ModelFolder folder = io::ModelFolder::open(path);
  CausalLm lm;
  folder.naming([&] { lm.read(ctx, folder, options); });
  return lm;
}

inline void CausalLm::read(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  static constexpr detail::Family<TextModel> kFamilies[] = {
      {"llama", load_llama},       {"mistral", load_llama}, {"qwen2", load_llama},  {"qwen3", load_llama},
      {"phi3", load_llama},        {"gemma", load_gemma},   {"gemma2", load_gemma}, {"gemma3", load_gemma},
      {"gemma3_text", load_gemma}, {"gpt2", load_gpt2},     {"opt", load_opt}};
  model_ = detail::load_family<TextModel>(ctx, folder, options, " with a head for the next token", kFamilies);
  (void)KeyValueCache(*model_.transformer);  // refuses one that sees all tokens
  const auto* names = detail::kCausalLmNames;
  while (model_.family != names->type) ++names;  // every family above is there
  const io::Json config = folder.config();
  const io::Json text = detail::gemma_text(config);
  const index_t vocabulary = model_.transformer->config().vocab_size, channels = model_.transformer->width();
  const bool tied = io::get_bool(config, "tie_word_embeddings", io::get_bool(text, "tie_word_embeddings", names->tied));
  const char* const name = tied ? names->words : "lm_head.weight";
  TensorSource source(ctx, folder.checkpoint(),
                      {"", "model.", "transformer.", "language_model.", "language_model.model.", "model.language_model."},
                      name, options);
  const WeightView weight = source.matrix({name});
  detail::expect_matrix(name, -1, weight, vocabulary, channels);
  head_ = ops::pack_weight(ctx, weight);
  const bool second = model_.family == "gemma2", says = io::has(text, "final_logit_softcapping");
  const double cap = says && io::member(text, "final_logit_softcapping").is_null()
                         ? 0
                         : io::get_number(text, "final_logit_softcapping", second ? 30 : 0);
  if (!(cap == 0 || (cap >= 1e-6 && cap <= 1e12)))
    throw Error(Code::kFormat, "config.json: final_logit_softcapping is out of range");
  softcap_ = static_cast<float>(cap);
  const char* const own = "generation_config.json";
  generation_ = folder.has(own) ? detail::generation_config(folder.json(own), folder.path(own))
                                : detail::generation_config(text, folder.path("config.json"));
  if (text::Tokenizer::is_in(folder.root()))
    tokenizer_ = std::make_unique<text::Tokenizer>(text::Tokenizer::load(folder.root()));
}

inline void CausalLm::logits(Context& ctx, View<const float, 2> hidden, View<float, 2> out) const {
  ops::linear(ctx, hidden, head_, {}, out);
  if (softcap_ == 0.f) return;
  const FpModeScope mode;
  for (index_t t = 0; t < out.extent[0]; ++t)
    for (index_t v = 0; v < out.extent[1]; ++v)
      out(t, v) = static_cast<float>(std::tanh(static_cast<double>(out(t, v) / softcap_))) * softcap_;
}

// The place of the largest of the logits, which change where the text has repeated itself.
inline std::int32_t CausalLm::choose(std::vector<float>& logits, const std::vector<std::int32_t>& seen) const {
  if (const float p = generation_.repetition_penalty; p != 1.f) {
    std::vector<std::int32_t> once = seen;
    std::sort(once.begin(), once.end());
    once.erase(std::unique(once.begin(), once.end()), once.end());
    for (const std::int32_t id : once) {
      float& x = logits[static_cast<std::size_t>(id)];
      x = x < 0 ? x * p : x / p;
    }
  }
  if (std::any_of(logits.begin(), logits.end(), [](float x) { return std::isnan(x); }))
    throw Error(Code::kNonFinite, "causal lm: a logit is not a number");
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

inline std::vector<std::int32_t> CausalLm::generate(Context& ctx, View<const std::int32_t, 1> prompt,
                                                    const GenerateOptions& options) const {
  const FpModeScope mode;
  const Transformer& stack = *model_.transformer;
  const index_t given = prompt.extent[0], channels = stack.width();
  if (given < 1) throw Error(Code::kBadArgument, "causal lm: a prompt has at least one token");
  if (given > model_.max_length)
    throw Error(Code::kBadArgument, {"causal lm: a prompt of ", std::to_string(given), " tokens; the model takes ",
                                     std::to_string(model_.max_length)});
  std::vector<std::int32_t> seen(prompt.data, prompt.data + given), positions;
  std::vector<float> hidden, row(static_cast<std::size_t>(vocabulary()));
  KeyValueCache cache(stack);
  const auto count = [&] { return static_cast<index_t>(seen.size()); };
  for (index_t made = 0; made < options.max_new_tokens && count() <= model_.max_length; ++made) {
    if (detail::angles_change(stack.config(), cache.tokens(), count())) cache.truncate(0);
    const index_t first = cache.tokens(), more = count() - first;
    positions.resize(static_cast<std::size_t>(more)), hidden.resize(static_cast<std::size_t>(more * channels));
    for (index_t t = 0; t < more; ++t)
      positions[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(stack.config().first_position + first + t);
    const index_t cu[] = {0, more};
    TokenInputs in{.ids = View<const std::int32_t, 1>(seen.data() + first, more)};
    in.batch.cu_seqlens = View<const index_t, 1>(cu, 2);
    in.batch.positions = View<const std::int32_t, 2>(positions.data(), 1, more);
    ForwardOptions pass;
    pass.attention = cache.hook();
    const View<float, 2> x(hidden.data(), more, channels);
    stack.forward(ctx, in, x, pass);
    logits(ctx, x.slice(more - 1, more), View<float, 2>(row.data(), 1, vocabulary()));
    const std::int32_t next = choose(row, seen);
    seen.push_back(next);
    const auto& ends = generation_.eos_token_ids;
    if (options.stop_at_eos && std::find(ends.begin(), ends.end(), next) != ends.end()) break;
  }
  return {seen.begin() + given, seen.end()};
}

inline std::string CausalLm::generate(Context& ctx, std::string_view prompt, const GenerateOptions& options) const {
  if (!tokenizer_) throw Error(Code::kNotFound, "causal lm: the folder has no tokenizer; give token ids instead");
  const text::Encoding e = tokenizer_->encode(prompt, {.truncation = false, .padding = false});
  std::vector<std::int32_t> ids(e.ids.begin(), e.ids.end());
  const auto made = generate(ctx, View<const std::int32_t, 1>(ids.data(), static_cast<index_t>(ids.size())), options);
  const std::vector<text::TokenId> tokens(made.begin(), made.end());
  return tokenizer_->decode(tokens);
}

}  // namespace tessera::models
