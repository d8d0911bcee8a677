// The words that an index has lists of documents for.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/safetensors.hpp>

namespace tessera::retrieval {

/// V words in ascending order, each once, one behind the other. Views.
struct WordList {
  std::span<const index_t> offsets;  ///< [V + 1]: where each begins in `text`; empty where terms are not words
  std::string_view text;             ///< UTF-8

  /// Of the tensors words u8 and word_offsets [V + 1] i64 in a file that outlives the result. \param v expected V.
  /// \param damaged what errors say of a file where they are not as above. \throws Error kFormat, kNotFound.
  static WordList from(const io::SafeTensors& file, const std::string& prefix, std::size_t v, const char* damaged);
  /// Adds these tensors, to write into any file; none where terms are not words.
  void add_tensors(const std::string& prefix, std::vector<io::NamedTensor>& to) const;

  bool empty() const noexcept { return offsets.empty(); }
  std::string_view operator[](std::size_t i) const noexcept {
    return text.substr(static_cast<std::size_t>(offsets[i]), static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
  }
  /// The place of a word, or V where none is. Not where terms are not words.
  std::size_t find(std::string_view wanted) const noexcept;
};

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/word_list-inl.hpp>
#endif
