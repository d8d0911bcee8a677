// The words of a corpus's documents, to search by beside its embeddings.
#pragma once
#include <span>
#include <string>
#include <vector>

#include <tessera/io/json_reader.hpp>
#include <tessera/retrieval/bm25.hpp>
#include <tessera/retrieval/corpus.hpp>

namespace tessera::retrieval {

/// Of the strings that documents have as `field`; document d of an index is row d of the corpus. Rows that are gone, and
/// documents without such a string, have no words and are never found.
class CorpusWords {
 public:
  /// Maps what the parts of the corpus keep of the words of that field, and counts those of the other parts: such as were
  /// written without words, or with those of another field.
  /// \throws Error kFormat naming the file, or the row for a document that is no JSON; kLimit.
  static CorpusWords open(const Corpus& corpus, const std::string& field = "text");

  index_t counted() const noexcept { return counted_; }  ///< rows whose words open() had to count
  /// All words. \throws Error kFormat naming a file whose lists are damaged, kLimit.
  Bm25 index() const;
  /// Those of these texts alone, which score as in index(), bit for bit: what a few queries need. \throws Error likewise.
  Bm25 index(std::span<const std::string> texts) const;

 private:
  CorpusWords() = default;
  std::vector<Postings> parts_;
  std::vector<std::shared_ptr<const detail::Segment>> segments_;  // whose files they may be in
  std::shared_ptr<const std::vector<std::uint64_t>> removed_;
  index_t counted_ = 0;
};

/// The string that the document of a row has as `field`, or "". \throws Error kBadArgument for an id that is none, kFormat.
std::string text_of(const Corpus& corpus, index_t id, const std::string& field);

/// CorpusWords::index() of all words.
Bm25 index_words(const Corpus& corpus, const std::string& field = "text");

namespace detail {

inline constexpr const char* kWords = "words";         ///< the metadata of a part that says which field's words it has
inline constexpr const char* kWordsPrefix = "words.";  ///< of their tensors

/// The string that a document has as `field`, or "".
std::string text_of(const io::Json& document, const std::string& field);

}  // namespace detail

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/corpus_words-inl.hpp>
#endif
