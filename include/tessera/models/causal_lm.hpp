// A decoder with its head for the next token: logits, and greedy decoding of a few words.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/key_value_cache.hpp>
#include <tessera/models/text_model.hpp>
#include <tessera/text/tokenizer.hpp>

namespace tessera::models {

/// What the folder's generation_config.json, or config.json, says of decoding without chance.
struct GenerationConfig {
  std::vector<std::int32_t> eos_token_ids = {};  ///< the text ends with the first of them
  /// Of tokens that the text has already a positive logit is divided by it, a negative one multiplied. Source: Keskar et
  /// al., arXiv:1909.05858, section 4.1; transformers' RepetitionPenaltyLogitsProcessor.
  float repetition_penalty = 1.f;
};

/// What a caller may change about decoding.
struct GenerateOptions {
  index_t max_new_tokens = 20;
  bool stop_at_eos = true;
};

/// A loaded decoder: const after load(), shared by any number of threads, each with its own Context.
/// logits = cap tanh(E h / cap), h the last hidden state, E the folder's lm_head or, where it is tied, the table of words,
/// kept packed as LoadOptions::weights says; without final_logit_softcapping (Gemma 2) E h. Source: transformers'
/// LlamaForCausalLM and its like.
class CausalLm {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache; nothing is downloaded. Its tokenizer is not needed
  /// for ids. \throws Error that names the file and what to do; kUnsupported for a family without such a head, a stack that
  /// sees all tokens, or a generation_config.json that asks for what greedy decoding here has not.
  static CausalLm load(Context& ctx, const std::string& path, const LoadOptions& options = {});

  /// \param hidden [T, C] last hidden states.  \param out [T, vocabulary()].
  void logits(Context& ctx, View<const float, 2> hidden, View<float, 2> out) const;
  /// The likeliest next token, again and again: of equal ones the first. Ends behind an end token, which is given back too,
  /// at max_new_tokens, or where the model has no more positions. The same ids as without a cache of keys and values. \param
  /// prompt at least one token. \throws Error kBadArgument for ids that the model has not, kNonFinite for a logit that is
  /// NaN.
  std::vector<std::int32_t> generate(Context& ctx, View<const std::int32_t, 1> prompt,
                                     const GenerateOptions& options = {}) const;
  /// The same of text: what follows it, without special tokens. \throws Error kNotFound where the folder has no tokenizer.
  std::string generate(Context& ctx, std::string_view prompt, const GenerateOptions& options = {}) const;

  index_t vocabulary() const noexcept { return head_.n(); }
  const GenerationConfig& generation() const noexcept { return generation_; }
  const TextModel& model() const noexcept { return model_; }
  /// Null where the folder has none.
  const text::Tokenizer* tokenizer() const noexcept { return tokenizer_.get(); }

 private:
  void read(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options);
  std::int32_t choose(std::vector<float>& logits, const std::vector<std::int32_t>& seen) const;

  TextModel model_;
  PackedWeight head_;  // [V, C]
  float softcap_ = 0.f;
  GenerationConfig generation_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/causal_lm-inl.hpp>
#endif
