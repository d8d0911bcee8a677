// Text to weights of words: SPLADE models and their kind, and the lexical weights of BGE-M3.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tessera/models/masked_lm_head.hpp>
#include <tessera/models/text_backbone.hpp>
#include <tessera/ops/splade.hpp>

namespace tessera::models {

/// Rows of a sparse [rows, vocabulary] matrix: of row i ids[offsets[i]], ..., ids[offsets[i + 1] - 1], ascending, and what
/// they weigh, above 0.
struct SparseRows {
  std::vector<index_t> offsets{0};
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
  index_t rows() const noexcept { return static_cast<index_t>(offsets.size()) - 1; }
  std::span<const std::int32_t> ids_of(index_t row) const noexcept;
  std::span<const float> weights_of(index_t row) const noexcept;
};
/// Sum over the ids that both have of the product of their weights: how well texts fit. In double, ids ascending.
float sparse_dot(std::span<const std::int32_t> a_ids, std::span<const float> a, std::span<const std::int32_t> b_ids,
                 std::span<const float> b) noexcept;

struct SparseOptions {
  std::optional<std::string> prompt = {};  ///< as in EmbedOptions
  std::string prompt_name = {};
  index_t max_length = 0;        ///< tokens a text is cut to, specials included; 0: the folder's limit
  index_t top = 0;               ///< keep the heaviest so many of a text, of equal ones the lower ids; 0: all
  index_t batch_tokens = 16384;  ///< tokens that go through the model at once
};

/// A loaded model: const after load(), shared by any number of threads, each with its own Context. One of
/// - a sentence-transformers SparseEncoder: a Transformer for fill-mask (or MLMTransformer) and SpladePooling; or a plain
///   folder with a head for masked tokens, which then ends as such a one, the largest over tokens: ops/splade.hpp;
/// - BGE-M3: a token weighs relu(w . h + b), an id as much as its heaviest token, special ones nothing (Chen et al.,
///   arXiv:2402.03216, section 3.2). Its folder holds sparse_linear.pt, a pickle, which is not read: see
///   pickle_conversion().
class SparseEncoder {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache. \throws Error that names the file and what to do.
  static SparseEncoder load(Context& ctx, const std::string& path, const LoadOptions& options = {});

  /// One row a text. The same bits whatever else is in the call.
  /// \throws Error kBadArgument as TextEncoder::embed(), kNonFinite naming the text.
  SparseRows encode(Context& ctx, std::span<const std::string_view> texts, const SparseOptions& options = {}) const;
  SparseRows encode(Context& ctx, std::initializer_list<std::string_view> texts, const SparseOptions& options = {}) const {
    return encode(ctx, std::span<const std::string_view>(texts.begin(), texts.size()), options);
  }
  /// The steps of encode(), for callers that stream. A row that is not finite holds NaN.
  TokenizedTexts tokenize(Context& ctx, std::span<const std::string_view> texts, const SparseOptions& options = {}) const;
  SparseRows encode_tokens(Context& ctx, const TokenizedTexts& tokens, const SparseOptions& options) const;

  index_t vocabulary() const noexcept { return vocabulary_; }
  const TextBackbone& base() const noexcept { return base_; }

 private:
  void read(Context& ctx, const SentenceFolder& folder, const LoadOptions& options);
  void read_lexical(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options);
  void add_row(SparseRows& rows, std::vector<std::pair<std::int32_t, float>> found, index_t top) const;

  TextBackbone base_;
  std::optional<MaskedLmHead> head_;  // SPLADE
  ops::SpladeOptions pooling_;
  DenseLayer lexical_;  // else: [1, C]
  std::vector<std::int32_t> unweighed_;
  index_t vocabulary_ = 0;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/sparse_encoder-inl.hpp>
#endif
