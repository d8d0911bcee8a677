// What all kinds of text embedding models share: the stack, the tokenizer, the limits and the prompts of a folder.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/text_model.hpp>
#include <tessera/text/tokenizer.hpp>

namespace tessera::models {

struct SentenceFolder;  // models/sentence_folder.hpp

/// The stack and what turns texts into its tokens. Const after load(), shared by any number of threads.
struct TextBackbone {
  TextModel model;
  std::unique_ptr<text::Tokenizer> tokenizer;
  index_t max_length = 0;  ///< tokens that a text is cut to by default
  std::map<std::string, std::string> prompts;
  std::string default_prompt;        ///< the name of one of them, or ""
  std::vector<std::string> reasons;  ///< what was decided on loading, and by what, in sentences

  /// \throws Error as load_text_model().
  static TextBackbone load(Context& ctx, const SentenceFolder& folder, const LoadOptions& options);
  /// \param name "" takes the folder's default. \throws Error kBadArgument naming those that there are.
  std::string prompt_of(const std::optional<std::string>& prompt, const std::string& name) const;
  /// \param asked 0: max_length. \throws Error kBadArgument for more than the model has positions for.
  index_t length_of(index_t asked) const;
  /// Ids of each text behind the prompt, cut to `most`. \throws Error kBadArgument naming the text.
  std::vector<std::vector<std::int32_t>> ids_of(Context& ctx, std::span<const std::string_view> texts,
                                                const std::string& prompt, index_t most) const;
};

/// Token ids of several texts, packed end to end.
struct TokenizedTexts {
  std::vector<std::int32_t> ids;
  std::vector<index_t> cu_seqlens{0};
  std::vector<index_t> prompt_tokens;  ///< leading tokens that pooling leaves out, per text (include_prompt: false)
  std::vector<index_t> added_tokens;   ///< last ones that no text has, per text: what a query was filled up with

  index_t texts() const noexcept { return static_cast<index_t>(cu_seqlens.size()) - 1; }
  void add(const std::vector<std::int32_t>& row) {
    ids.insert(ids.end(), row.begin(), row.end());
    cu_seqlens.push_back(static_cast<index_t>(ids.size()));
  }
  /// Texts [begin, end) alone.
  TokenizedTexts slice(index_t begin, index_t end) const;
  /// f(begin, end) for texts that have at most `tokens` together, or one text.
  template <class F>
  void for_batches(index_t tokens, const F& f) const {
    const auto at = [&](index_t i) { return cu_seqlens[static_cast<std::size_t>(i)]; };
    for (index_t b = 0, end = 0; b < texts(); b = end) {
      for (end = b + 1; end < texts() && at(end + 1) - at(b) <= tokens;) ++end;
      f(b, end);
    }
  }
  TokenInputs inputs() const;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/text_backbone-inl.hpp>
#endif
