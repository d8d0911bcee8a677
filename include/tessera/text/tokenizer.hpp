// tokenizer.json, exactly: text to token ids with offsets, and back.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/text/added_tokens.hpp>
#include <tessera/text/decoder.hpp>
#include <tessera/text/encoding.hpp>
#include <tessera/text/make_model.hpp>
#include <tessera/text/normalizer.hpp>
#include <tessera/text/post_processor.hpp>
#include <tessera/text/pre_tokenizer.hpp>

namespace tessera::text {

struct LoadOptions {
  bool lowercase = false;               ///< put a Lowercase normalizer first, as sentence-transformers' do_lower_case does
  bool strict_file = false;             ///< tokenizer.json alone, whatever the files beside it say
  bool longest_charsmap_match = false;  ///< Precompiled as in sentencepiece, see NormalizerOptions
};

struct EncodeOptions {
  bool add_special_tokens = true;
  bool split_special_tokens = false;  ///< special tokens in the text are text
  bool bytes = false;                 ///< offsets in bytes instead of code points
  bool replace_invalid = false;  ///< U+FFFD for what is not UTF-8, instead of an error; offsets are then in the changed text
  bool truncation = true;        ///< as set_truncation() or the file says
  bool padding = true;
};

/// How the text towers of image-text models cut and pad, whatever the file says.
enum class TextContract {
  clip,       ///< 77 tokens, the last always the end token; padded with the end token (transformers)
  open_clip,  ///< the same, padded with 0 (OpenAI and open_clip; without their ftfy and html clean-up)
  siglip,     ///< 64 tokens, padded with 1 to exactly that; the model takes no mask
  siglip2,    ///< 64 tokens, padded with 0 on the right
};

/// A tokenizer: const after loading and safe to share between threads.
class Tokenizer {
 public:
  /// \param path tokenizer.json, or a folder with it, with a BERT vocab.txt, with vocab.json and merges.txt, or with the
  /// sentencepiece model of DeBERTa-v2, T5 or XLM-R, and perhaps tokenizer_config.json, special_tokens_map.json and
  /// added_tokens.json.
  /// \throws Error kNotFound, kFormat, kUnsupported naming the component.
  static Tokenizer load(const std::string& path, const LoadOptions& options = {});
  /// Whether a folder has files that load() reads.
  static bool is_in(const std::string& folder);
  /// From the text of a tokenizer.json. \param name what errors call it.
  static Tokenizer parse(std::string_view json, const std::string& name, const LoadOptions& options = {});

  /// \throws Error kBadArgument for text that is not UTF-8, with the byte's place; kLimit above 1 GiB.
  Encoding encode(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode_pair(std::string_view first, std::string_view second, const EncodeOptions& options = {}) const;
  /// One encoding a text, padded together; the threads of the context share the work.
  std::vector<Encoding> encode_batch(Context& ctx, std::span<const std::string_view> texts,
                                     const EncodeOptions& options = {}) const;
  /// Ids alone, special tokens included, cut to max_length (0: not cut): what a model reads. Appended to `ids`.
  void encode_ids(std::string_view text, std::vector<TokenId>& ids, std::int64_t max_length) const;
  /// The same of a pair, of which the longer text is cut first, with the type of each token.
  void encode_pair_ids(std::string_view first, std::string_view second, std::vector<TokenId>& ids,
                       std::vector<std::int32_t>& type_ids, std::int64_t max_length) const;
  /// Text of the ids; ids without a token are left out.
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens = true) const;

  std::optional<TokenId> token_to_id(std::string_view token) const;
  /// Empty for an id that has no token.
  std::string_view id_to_token(TokenId id) const noexcept { return vocabulary_->token(id); }
  /// Tokens of the model and added ones.
  std::size_t vocab_size() const noexcept { return vocabulary_->size(); }
  /// \throws Error kBadArgument for a stride beyond max_length minus the special tokens of a single text.
  void set_truncation(std::optional<Truncation> t);
  void set_padding(std::optional<Padding> p) { padding_ = p; }
  /// \throws Error kBadArgument for clip when the post-processor adds no end token.
  void set_contract(TextContract contract);
  const std::optional<Truncation>& truncation() const noexcept { return truncation_; }
  const std::optional<Padding>& padding() const noexcept { return padding_; }
  /// What was read otherwise than tokenizer.json says, in sentences.
  const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  struct Scratch;
  struct ScratchPool;
  class Lease;
  void build(const io::Json& json, const ModelTables& tables, const LoadOptions& options);
  void read_added_tokens(const io::Json& list);
  void read_limits(const io::Json& json);
  void add_token(AddedToken token);
  void finish();
  void override_by(const io::Json& config);
  void add_missing_tokens(const std::string& folder, const io::Json& config);
  static Tokenizer from_merges_txt(const std::string& folder, const io::Json& config, const LoadOptions& options);
  static Tokenizer from_sentencepiece(const std::string& folder, const char* file, io::Json config,
                                      const LoadOptions& options);
  static Tokenizer from_vocab_txt(const std::string& folder, const io::Json& config, const LoadOptions& options);
  std::string_view checked(std::string_view text, bool replace, std::string& storage) const;
  template <class F>
  void each_token(std::string_view text, bool split_special, Scratch& scratch, const F& f) const;
  std::vector<TokenId> ids_of(std::string_view text) const;
  std::size_t room(std::int64_t max_length, bool pair) const;
  void cut(std::vector<TokenId>& ids, std::size_t keep) const;
  Encoding tokens_of(std::string_view text, const EncodeOptions& options) const;
  Encoding finish_encoding(Encoding first, Encoding* second, const EncodeOptions& options) const;

  std::unique_ptr<Vocabulary> vocabulary_ = std::make_unique<Vocabulary>();
  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::unique_ptr<Model> model_;
  PostProcessor post_;
  std::vector<AddedToken> added_;
  AddedTokenMatcher raw_, normalized_;
  std::map<TokenId, DecodedToken> decoded_;  // of the added tokens
  std::unique_ptr<Decoder> decoder_;
  std::shared_ptr<ScratchPool> pool_;  // memory and caches, lent to one call at a time
  std::optional<Truncation> truncation_;
  std::optional<Padding> padding_;
  std::vector<std::string> notes_;
};

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/tokenizer-inl.hpp>
#include <tessera/text/tokenizer_folder-inl.hpp>
#include <tessera/text/tokenizer_load-inl.hpp>
#include <tessera/text/tokenizer_sentencepiece-inl.hpp>
#endif
