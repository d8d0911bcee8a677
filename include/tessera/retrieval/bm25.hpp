// BM25: documents by the words that they share with a query.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/core/host_memory.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/retrieval/postings.hpp>
#include <tessera/retrieval/ranking.hpp>
#include <tessera/text/vocabulary.hpp>

namespace tessera::retrieval {

struct Bm25Options {
  double k1 = 1.2;  ///< how slowly a term's repetitions stop counting, 0: at once
  double b = 0.75;  ///< how much of a document's length is held against it, 0 .. 1
};

/// N documents over V terms: for each term the documents that have it, and what it adds to their scores.
///
///     score(q, d) = sum over the terms t of q, each as often as it stands there, of
///                   ln(1 + (N - df + 0.5) / (df + 0.5)) tf / (tf + k1 (1 - b + b |d| / mean |d|))
///
/// where df documents have t, d has it tf times, and |d| is how many terms d has; documents without any count too.
/// Numerics: summands in double, rounded to f32; their sum f32, terms in the order of the query.
/// Determinism: a search has the same bits for any batch and thread count, on every machine; the last bits of summands are
/// those of std::log where the index was made.
/// Copies share their memory. Any number of threads may search at once.
/// Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3; the idf, and
/// no factor k1 + 1: Kamphuis, de Vries, Boytsov and Lin, "Which BM25 Do You Mean?", ECIR 2020, table 1, "Lucene
/// (accurate)".
class Bm25 {
 public:
  static constexpr const char* kPrefix = "bm25.";  ///< of its tensors in a file of its own

  /// What save() wrote, mapped, every number of it checked. \throws Error kFormat, kNotFound, kIo.
  static Bm25 open(const std::string& path);
  /// The same of tensors in a file that also holds others, and outlives the result. \throws Error kFormat, kNotFound.
  static Bm25 from(const io::SafeTensors& file, const std::string& prefix = kPrefix);
  /// Of the documents of all parts, those of each behind those of the parts before it, as one builder makes it to which
  /// they were added in that order, bit for bit. \param words the index is of these words alone; what it weighs them by is
  /// that of all documents, so that they score as in an index of all. Ascending, each once. \param gone bit d % 64 of word
  /// d / 64: document d counts as one without words; or empty. \throws Error kFormat naming a part whose lists of these
  /// words are damaged; kLimit, kBadArgument.
  static Bm25 of(std::span<const Postings> parts, std::span<const std::string> words,
                 std::span<const std::uint64_t> gone = {}, const Bm25Options& options = {});
  /// Its tensors, to write into any file. Views of this index. offsets [V + 1] i64: where the documents of each term begin
  /// in documents [P] u32, ids ascending, and weights [P] f32, the summands; lengths [N] u32; and of an index of words words
  /// u8, their UTF-8 in ascending order, and word_offsets [V + 1] i64.
  std::vector<io::NamedTensor> tensors(const std::string& prefix = kPrefix) const;
  /// \throws Error kIo.
  void save(const std::string& path) const { io::write_safetensors(path, tensors()); }

  index_t size() const noexcept { return static_cast<index_t>(lengths_.size()); }            ///< N
  index_t vocabulary() const noexcept { return static_cast<index_t>(offsets_.size()) - 1; }  ///< V
  /// |d| of each document.
  std::span<const std::uint32_t> lengths() const noexcept { return lengths_; }
  /// The words of a text (text::each_word) that some document has, in order, as often as they stand there.
  /// \throws Error kBadArgument for an index of the caller's terms.
  std::vector<Term> terms(std::string_view text) const;

  /// The k best documents with a score above 0. Terms that no document has add nothing.
  /// \param allowed  [ceil(N / 64)], or empty: bit d % 64 of word d / 64 says whether document d may be found.
  /// \throws Error kShapeMismatch, kBadStride.
  Ranking search(std::span<const Term> query, std::size_t k, View<const std::uint64_t, 1> allowed = {}) const;
  /// The same for each query, in parallel.
  std::vector<Ranking> search(Context& ctx, std::span<const std::vector<Term>> queries, std::size_t k,
                              View<const std::uint64_t, 1> allowed = {}) const;

 private:
  friend class Bm25Builder;
  Bm25() = default;
  static Bm25 weigh(const Postings& counted, const Bm25Options& options);
  std::span<const std::uint32_t> documents_of(Term t) const noexcept {
    return documents_.subspan(static_cast<std::size_t>(offsets_[t]),
                              static_cast<std::size_t>(offsets_[t + 1] - offsets_[t]));
  }
  void expect_allowed(View<const std::uint64_t, 1> allowed) const;
  Ranking best_of(std::span<const Term> query, std::size_t k, const std::uint64_t* allowed) const;

  std::span<const index_t> offsets_;
  std::span<const std::uint32_t> documents_, lengths_;
  std::span<const float> weights_;
  WordList words_;
  std::shared_ptr<const void> memory_;  // of all these, where it is not the caller's
};

/// Makes an index of documents that come one by one, all as texts or all as terms. The first has id 0.
class Bm25Builder {
 public:
  /// The words of a text, as text::each_word has them. \throws Error kBadArgument, kLimit; kFormat for 2^28 different
  /// words; without adding it.
  void add(std::string_view text);
  /// Terms are indices of tables: small numbers, below 2^28. \throws Error likewise.
  void add(std::span<const Term> terms);
  index_t size() const noexcept { return static_cast<index_t>(lengths_.size()); }
  /// The documents so far, counted.
  Postings postings();
  /// The index of the documents so far. \throws Error kBadArgument.
  Bm25 finish(const Bm25Options& options = {});

 private:
  /// How often a document has a term.
  struct Count {
    Term term;
    std::uint32_t count;
  };
  void expect_room(bool of_words, std::size_t most_terms) const;
  void add_terms(std::span<const Term> terms);
  std::vector<Term> sort_words(HostVector<index_t>& offsets, std::string& sorted);

  text::Vocabulary words_;
  bool of_words_ = false;
  std::vector<Term> text_;       // the terms of a text
  HostVector<Count> counts_;     // document by document
  std::vector<index_t> latest_;  // of each term, in counts_
  std::vector<index_t> ends_;    // of each document, in counts_
  HostVector<std::uint32_t> lengths_;
};

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/bm25-inl.hpp>
#endif
