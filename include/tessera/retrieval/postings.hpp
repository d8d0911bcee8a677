// How often documents have words: what BM25 weighs, of documents that were added together.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tessera/io/safetensors.hpp>
#include <tessera/retrieval/word_list.hpp>

namespace tessera::retrieval {

/// What documents and queries are made of: the number of a word, or an id of the caller's, as of a tokenizer.
using Term = std::uint32_t;

/// N documents over V terms, counted. Unlike weights, counts do not depend on other documents, so that parts that were made
/// apart can be weighed as one. Views; copies share their memory.
struct Postings {
  std::span<const index_t> offsets;          ///< [V + 1]: where the documents of each term begin in `documents`
  std::span<const std::uint32_t> documents;  ///< [P], ascending for each term
  std::span<const std::uint32_t> counts;     ///< [P]: how often the document has the term
  std::span<const std::uint32_t> lengths;    ///< [N]: how many terms each document has
  WordList words;                            ///< V, or empty where terms are not words
  std::shared_ptr<const void> memory;        ///< of all these, where it is not the caller's
  std::string name;                          ///< what errors call it

  /// Of tensors in a file that outlives the result. Offsets and words are checked here, the documents of a term by
  /// expect_sound(). \throws Error kFormat, kNotFound.
  static Postings from(const io::SafeTensors& file, const std::string& prefix);
  /// Of the documents of all parts, those of each behind those of the parts before it. \param words that are taken along,
  /// ascending, each once; one that no document has is not. \param gone bit d % 64 of word d / 64: document d has no words;
  /// or empty. \throws Error kFormat as expect_sound(), kLimit for 2^32 documents.
  static Postings joined(std::span<const Postings> parts, std::span<const std::string> words,
                         std::span<const std::uint64_t> gone = {});
  /// The words of all parts, ascending, each once.
  static std::vector<std::string> words_of(std::span<const Postings> parts);
  /// Its tensors, to write into any file, by the names of the members, and those of WordList; views.
  std::vector<io::NamedTensor> tensors(const std::string& prefix) const;

  index_t size() const noexcept { return static_cast<index_t>(lengths.size()); }            ///< N
  index_t vocabulary() const noexcept { return static_cast<index_t>(offsets.size()) - 1; }  ///< V
  /// \throws Error kFormat unless the documents of a term are ascending ones of the N, and counts from 1 to their lengths.
  void expect_sound(std::size_t term) const;
};

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/postings-inl.hpp>
#endif
