// Text to embedding: a sentence-transformers folder (modules, prompts, limits) or a plain Hugging Face one.
#pragma once
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/embeddings.hpp>
#include <tessera/models/matryoshka.hpp>
#include <tessera/models/sentence_modules.hpp>
#include <tessera/models/text_backbone.hpp>

namespace tessera::models {

/// What a caller may change about how texts become embeddings.
struct EmbedOptions {
  std::optional<std::string> prompt = {};  ///< put before every text; "" for none, whatever the folder's default
  std::string prompt_name = {};            ///< one of prompts(); "" takes the folder's default, if it names one
  index_t max_length = 0;                  ///< tokens a text is cut to, specials included; 0: the folder's limit
  /// Keep the first so many and normalise again; 0: all, or as many as the folder cuts to by itself (Matryoshka::cut), which
  /// are not normalised again, as sentence-transformers has them.
  index_t dims = 0;
  bool force_dims = false;                   ///< cut also where the folder does not say that it may be: see Matryoshka
  index_t layers = -1;                       ///< run only the first layers; -1: all
  std::optional<ops::Pooling> pooling = {};  ///< instead of the folder's
  bool normalize = true;                     ///< false leaves out the folder's final Normalize
  index_t batch_tokens = 16384;              ///< tokens that go through the model at once
  const Taps* taps = nullptr;                ///< see core/taps.hpp
  ops::AttentionHook attention = {};         ///< replaces every layer's attention
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

  /// 2-D Matryoshka (Li et al., arXiv:2402.14776, section 3): for each of `layers` what embed() gives with that number of
  /// layers, and the same bits, of one pass through the deepest one; -1 stands for all. Cut by options.dims, or by the
  /// caller. \throws Error as embed(), kBadArgument for a layer that the model has not.
  std::vector<Embeddings> embed_layers(Context& ctx, std::span<const std::string_view> texts,
                                       std::span<const index_t> layers, const EmbedOptions& options = {}) const;

  /// The steps of embed(), for callers that stream: tokens of texts, and embeddings of tokens into out [texts, dim()].
  TokenizedTexts tokenize(Context& ctx, std::span<const std::string_view> texts, const EmbedOptions& options = {}) const;
  void embed_tokens(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options, View<float, 2> out) const;
  /// Those of embed_layers(): an `out` a layer.
  void embed_tokens(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options, std::span<const index_t> layers,
                    std::span<const View<float, 2>> out) const;

  /// Length of an embedding under these options.
  index_t dim(const EmbedOptions& options = {}) const;
  /// Tokens that a text is cut to by default.
  index_t max_length() const noexcept { return base_.max_length; }
  const std::map<std::string, std::string>& prompts() const noexcept { return base_.prompts; }
  const Matryoshka& matryoshka() const noexcept { return matryoshka_; }
  const TextBackbone& base() const noexcept { return base_; }
  const text::Tokenizer& tokenizer() const noexcept { return *base_.tokenizer; }
  const TextModel& model() const noexcept { return base_.model; }

 private:
  void read(Context& ctx, const SentenceFolder& folder, const LoadOptions& options);
  void pad_as_trained(const io::ModelFolder& folder);
  const TokenPooling& pooling() const noexcept;
  const LayerMean* layer_mean() const noexcept;
  /// The head of an image-text model takes the place of pooling, unless another one is asked for.
  bool uses_head(const EmbedOptions& o) const noexcept { return base_.model.head.has_value() && !o.pooling; }
  /// Length of an embedding before it is cut.
  index_t full_dim(const EmbedOptions& options) const;
  /// Tokens [sum T, C] after each number of layers.
  std::vector<Buffer> hidden_states(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options,
                                    std::span<const index_t> layers) const;
  Buffer mean_of_layers(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options) const;
  /// What the modules make of them.
  void embed_hidden(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options, View<const float, 2> hidden,
                    View<float, 2> out) const;
  void pool_tokens(Context& ctx, const TokenizedTexts& tokens, const EmbedOptions& options, View<const float, 2> rows,
                   View<float, 2> out) const;

  TextBackbone base_;
  std::vector<SentenceModule> modules_;
  Matryoshka matryoshka_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/text_encoder-inl.hpp>
#endif
