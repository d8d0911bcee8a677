// Text to embedding: a sentence-transformers folder (modules, prompts, limits) or a plain Hugging Face one.
#pragma once
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/embeddings.hpp>
#include <tessera/models/text_model.hpp>
#include <tessera/ops/pool.hpp>
#include <tessera/text/tokenizer.hpp>

namespace tessera::models {

/// What a caller may change about how texts become embeddings.
struct EmbedOptions {
  std::optional<std::string> prompt = {};    ///< put before every text; "" for none, whatever the folder's default
  std::string prompt_name = {};              ///< one of prompts(); "" takes the folder's default, if it names one
  index_t max_length = 0;                    ///< tokens a text is cut to, specials included; 0: the folder's limit
  index_t dims = 0;                          ///< keep the first so many and normalise again (Matryoshka); 0: all
  index_t layers = -1;                       ///< run only the first layers; -1: all
  std::optional<ops::Pooling> pooling = {};  ///< instead of the folder's
  bool normalize = true;                     ///< false leaves out the folder's final Normalize
  index_t batch_tokens = 16384;              ///< tokens that go through the model at once
  const Taps* taps = nullptr;                ///< see core/taps.hpp
  ops::AttentionHook attention = {};         ///< replaces every layer's attention
};

/// Token ids of several texts, packed end to end.
struct TokenizedTexts {
  std::vector<std::int32_t> ids;
  std::vector<index_t> cu_seqlens{0};
  std::vector<index_t> prompt_tokens;  ///< leading tokens that pooling leaves out, per text (include_prompt: false)
};

/// A loaded embedding model: const after load(), shared by any number of threads, each with its own Context.
class TextEncoder {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache; nothing is downloaded.
  /// \throws Error that names the file and what to do.
  static TextEncoder load(Context& ctx, const std::string& path, const LoadOptions& options = {});

  /// One row a text. The same bits whatever else is in the call.
  /// \throws Error kBadArgument for text that is not UTF-8 (naming which and where) or options the model cannot serve,
  /// kNonFinite when a row would hold NaN or infinity.
  Embeddings embed(Context& ctx, std::span<const std::string_view> texts, const EmbedOptions& options = {}) const;
  Embeddings embed(Context& ctx, std::initializer_list<std::string_view> texts, const EmbedOptions& options = {}) const {
    return embed(ctx, std::span<const std::string_view>(texts.begin(), texts.size()), options);
  }

  /// The steps of embed(), for callers that stream: tokens of texts, and embeddings of tokens into out [texts, dim()].
  TokenizedTexts tokenize(Context& ctx, std::span<const std::string_view> texts, const EmbedOptions& options = {}) const;
  void embed_tokens(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options, View<float, 2> out) const;

  /// Length of an embedding under these options.
  index_t dim(const EmbedOptions& options = {}) const;
  /// Tokens that a text is cut to by default.
  index_t max_length() const noexcept { return max_length_; }
  const std::map<std::string, std::string>& prompts() const noexcept { return prompts_; }
  const text::Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const TextModel& model() const noexcept { return model_; }

 private:
  struct Dense {
    DenseLayer layer;
    index_t in = 0, out = 0;
  };
  /// What follows the transformer, in the order of modules.json.
  struct Step {
    enum Kind { kPooling, kDense, kNormalize } kind;
    std::size_t dense = 0;
  };
  void read_modules(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options);
  void read_pooling(const io::Json& json, const std::string& file);
  void read_dense(Context& ctx, const io::ModelFolder& folder, const std::string& sub, const LoadOptions& options);
  std::string prompt_for(const EmbedOptions& options) const;
  /// The head of an image-text model takes the place of pooling, unless another one is asked for.
  bool uses_head(const EmbedOptions& o) const noexcept { return model_.head.has_value() && !o.pooling; }

  TextModel model_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::vector<ops::Pooling> pooling_{ops::Pooling::mean};
  bool include_prompt_ = true;
  std::vector<Step> steps_;
  std::vector<Dense> dense_;
  index_t max_length_ = 0;
  std::map<std::string, std::string> prompts_;
  std::string default_prompt_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/text_encoder-inl.hpp>
#endif
