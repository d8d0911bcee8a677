// Text to an embedding a token, for late interaction: ColBERT and its kind, and the third output of BGE-M3.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tessera/models/sentence_modules.hpp>
#include <tessera/models/text_backbone.hpp>

namespace tessera::models {

/// Queries and documents go different ways through such a model.
enum class TextRole : unsigned char { query, document };

/// The token embeddings of several texts, packed end to end: what ops::maxsim takes.
struct TokenEmbeddings {
  std::vector<float> values;        ///< [sum T, dim], rows of length 1 but for folders without Normalize
  std::vector<index_t> offsets{0};  ///< [texts + 1]
  std::vector<std::int32_t> ids;    ///< [sum T]: the token of each row
  index_t dim = 0;
  index_t texts() const noexcept { return static_cast<index_t>(offsets.size()) - 1; }
  View<const float, 2> view() const { return View<const float, 2>(values.data(), offsets.back(), dim); }
};

struct MultiVectorOptions {
  index_t max_length = 0;        ///< tokens a text is cut to; 0: the folder's limit for that role
  index_t batch_tokens = 16384;  ///< tokens that go through the model at once
};

/// How texts of one role become tokens and rows.
struct RoleTokens {
  std::string prefix;           ///< text that stands first, behind the marker
  std::int32_t marker = -1;     ///< the token that stands behind the first special one, as [Q] and [D] do; negative: none
  index_t length = 0;           ///< tokens that a text is cut to, marker and special ones included
  index_t expanded = 0;         ///< shorter texts are filled up to so many tokens with `expansion`
  bool cuts = true;             ///< longer ones are cut to `expanded`; else to `length`
  bool attended = false;        ///< other tokens attend to those that were added
  std::int32_t expansion = -1;  ///< [MASK]
  std::vector<std::int32_t> skipped;  ///< tokens without a row: punctuation, of documents
};

/// A loaded model: const after load(), shared by any number of threads, each with its own Context. A token's row is its last
/// hidden state through the projections, normalised. Folders: those of sentence-transformers' MultiVectorEncoder; of PyLate
/// (query_prefix, document_prefix and their kind in config_sentence_transformers.json); of the authors' code ("HF_ColBERT"
/// among the architectures, linear.weight beside the encoder, artifact.metadata); and of BGE-M3, whose colbert_linear.pt is
/// a pickle: see pickle_conversion(). There every token but the first one has a row, and queries and documents are alike.
/// Numerics: tokens that are not attended to weigh 2^-126 of the others in attention: nothing in f32 unless a score is 70
/// above all of theirs. Source: Khattab and Zaharia, arXiv:2004.12832, section 3.2; sentence-transformers 6.2.0, whose rules
/// for folders these are; Chen et al., arXiv:2402.03216, section 3.2.
class MultiVectorEncoder {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache. \throws Error that names the file and what to do.
  static MultiVectorEncoder load(Context& ctx, const std::string& path, const LoadOptions& options = {});

  /// The same bits for a text whatever else is in the call.
  /// \throws Error kBadArgument for text that is not UTF-8 or a length that the model has not, kNonFinite naming the text.
  TokenEmbeddings encode(Context& ctx, std::span<const std::string_view> texts, TextRole role,
                         const MultiVectorOptions& options = {}) const;
  TokenEmbeddings encode(Context& ctx, std::initializer_list<std::string_view> texts, TextRole role,
                         const MultiVectorOptions& options = {}) const {
    return encode(ctx, std::span<const std::string_view>(texts.begin(), texts.size()), role, options);
  }
  /// The steps of encode(), for callers that stream: rows that are not finite are left as they are.
  TokenizedTexts tokenize(Context& ctx, std::span<const std::string_view> texts, TextRole role,
                          const MultiVectorOptions& options = {}) const;
  TokenEmbeddings encode_tokens(Context& ctx, const TokenizedTexts& tokens, TextRole role) const;

  index_t dim() const noexcept { return dim_; }
  const RoleTokens& tokens_of(TextRole role) const noexcept { return roles_[static_cast<std::size_t>(role)]; }
  const TextBackbone& base() const noexcept { return base_; }
  /// Whether a folder holds such a model, as far as its files say without being read whole.
  static bool is_one(const SentenceFolder& folder);

 private:
  void read(Context& ctx, const SentenceFolder& folder, const LoadOptions& options);
  void read_saved(Context& ctx, const SentenceFolder& folder, const LoadOptions& options);
  void read_projection_of_checkpoint(Context& ctx, const SentenceFolder& folder, const LoadOptions& options);
  void read_knobs(const io::Json& knobs, const std::string& file, const std::string& tokenizer);
  void read_marker(TextRole role, const std::string& prefix);
  void skip(TextRole role, const io::Json& words);
  RoleTokens& role(TextRole r) noexcept { return roles_[static_cast<std::size_t>(r)]; }

  TextBackbone base_;
  std::vector<Projection> projections_;
  RoleTokens roles_[2];
  index_t first_row_ = 0;  // tokens before it have none: BGE-M3's first
  index_t marked_at_ = 0;  // where markers stand
  bool unit_ = true;       // rows of length 1
  index_t dim_ = 0;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/multi_vector_encoder-inl.hpp>
#endif
