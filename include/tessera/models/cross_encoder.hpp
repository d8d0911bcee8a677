// Pairs of texts to scores: a sentence-transformers CrossEncoder, or a Hugging Face folder with a classifier of sequences.
#pragma once
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/text_model.hpp>
#include <tessera/ops/pool.hpp>
#include <tessera/text/tokenizer.hpp>

namespace tessera::models {

/// A query and a document, or any two texts that are read together.
struct TextPair {
  std::string_view first, second;
};

/// What a caller may change about how pairs become scores.
struct ScoreOptions {
  index_t max_length = 0;        ///< tokens a pair is cut to, specials included; 0: the folder's limit
  index_t batch_tokens = 16384;  ///< tokens that go through the model at once
  bool activation = true;        ///< false: logits, as transformers has them
};

/// A loaded model of pairs: const after load(), shared by any number of threads, each with its own Context.
/// score = act(C pool(P h + p) + c), h the last hidden state of the first token of [CLS] first [SEP] second [SEP] (or, if a
/// ModernBERT's classifier_pooling says so, the mean of all), the longer text cut first; pool is tanh, ELECTRA's and
/// DeBERTa's GELU, DistilBERT's ReLU, ModernBERT's GELU and a norm. act is what sentence-transformers takes: activation_fn
/// of config_sentence_transformers.json, then of config.json, sbert_ce_default_activation_function there, or the sigmoid for
/// one label and the identity for more. Source: Nogueira, Cho, arXiv:1901.04085, section 3; transformers'
/// BertForSequenceClassification and its like; sentence-transformers 6.2.0, cross_encoder/model.py,
/// get_default_activation_fn.
class CrossEncoder {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache; nothing is downloaded.
  /// \throws Error that names the file and what to do; kUnsupported for a family without such a head.
  static CrossEncoder load(Context& ctx, const std::string& path, const LoadOptions& options = {});

  /// [pairs, labels()], NaN or infinity where the model gives them. The same bits whatever else is in the call.
  /// \throws Error kBadArgument for text that is not UTF-8 (naming which pair and where) or a length that the model has not.
  std::vector<float> score(Context& ctx, std::span<const TextPair> pairs, const ScoreOptions& options = {}) const;
  std::vector<float> score(Context& ctx, std::initializer_list<TextPair> pairs, const ScoreOptions& options = {}) const {
    return score(ctx, std::span<const TextPair>(pairs.begin(), pairs.size()), options);
  }

  /// 1: a score of how well the texts fit, as rerankers have it.
  index_t labels() const noexcept { return classifier_.linear.weight.n(); }
  /// Tokens that a pair is cut to by default.
  index_t max_length() const noexcept { return max_length_; }
  /// Put before the first text of each pair: the folder's default, empty in most.
  const std::string& prompt() const noexcept { return prompt_; }
  const text::Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const TextModel& model() const noexcept { return model_; }

 private:
  struct Tokens {
    std::vector<std::int32_t> ids, segments;
  };
  void read(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options);
  std::vector<Tokens> tokenize(Context& ctx, std::span<const TextPair> pairs, index_t max_length) const;
  /// Logits of a ragged batch into out [B, labels()].
  void classify(Context& ctx, const TokenInputs& in, View<float, 2> out) const;

  TextModel model_;
  ops::Pooling pooling_ = ops::Pooling::cls;
  PredictionHead head_;
  DenseLayer classifier_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  index_t max_length_ = 0;
  bool segments_ = true;  // false: a tokenizer that gives no token types
  bool sigmoid_ = true;
  std::string prompt_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/cross_encoder-inl.hpp>
#endif
