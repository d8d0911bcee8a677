// Embeddings to search in, on disk: mapped, so that they may be larger than memory, and added to, not rewritten.
//
// A corpus is one safetensors file, or a small one that names others beside it. Each of those holds rows that were added
// together: "embeddings" F32 [N, E], with "coarse" (the same rows packed as int8), "error" and "length" F32 [N] to search
// by; or, where less is kept, "coarse" alone. "documents" U8 and "document_ends" I64 [N] are a JSON object a row, and
// "words.*" the Postings of one field of them, which the metadata calls "words". The small file has "removed" U64, a bit a
// row. Whatever is replaced is replaced by one rename of that file.
#pragma once
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/ops/certified_topk.hpp>
#include <tessera/retrieval/corpus_format.hpp>
#include <tessera/retrieval/ranking.hpp>

namespace tessera::retrieval {

namespace detail {
struct Segment;
}

struct SearchOptions {
  std::span<const std::uint64_t> allowed = {};            ///< [ceil(rows / 64)], or empty: whether row 64 i + j may be found
  float least = -std::numeric_limits<float>::infinity();  ///< lower scores are not found
};

/// A corpus as it was when it was opened; what is added or removed later is seen by the next open(). Copies share the files.
class Corpus {
 public:
  /// \throws Error kNotFound, kIo, kFormat saying what is wrong where, kUnsupported for what a later version wrote.
  static Corpus open(const std::string& path);

  const CorpusFormat& format() const noexcept { return format_; }
  index_t rows() const noexcept { return rows_; }  ///< that were ever added: ids are 0 .. rows() - 1, and stay
  index_t removed() const noexcept;                ///< how many of them are gone
  bool has(index_t id) const noexcept;             ///< whether it is a row and not gone
  /// A JSON object, or "" where none was given. \throws Error kBadArgument for an id that is none.
  std::string_view document(index_t id) const;

  /// The best rows for each query, the larger inner product first, of equal ones the lower id.
  /// \param queries [B, dim] f32, rows may be padded.
  /// \throws Error kShapeMismatch, kBadStride, kBadArgument, kLimit without memory, with `out` untouched.
  /// Numerics: as top_k() of all rows in the corpus's type. Of f32 each score is one FMA chain.
  /// Determinism: same ids and bits for any batch, thread count, ISA, and however the rows were added.
  void search(Context& ctx, View<const float, 2> queries, const SearchOptions& options, const ops::TopK& out,
              ops::CertifiedStats* stats = nullptr) const;

  /// Every row that has options.least or more, for each query, in the order of search(), with its scores. \throws as
  /// search().
  std::vector<Ranking> within(Context& ctx, View<const float, 2> queries, const SearchOptions& options,
                              ops::CertifiedStats* stats = nullptr) const;

  /// The corpus of the first `dims` numbers of each row, as Matryoshka embeddings are cut: format().dim is `dims`.
  /// Normalized rows are so again, by a factor for each score. Reads all rows once and holds what a search reads in memory:
  /// a byte a number where rows are f32, a bit of bits, nothing of bf16 (whose `dims` must be even). \throws Error
  /// kBadArgument for dims that are none, kUnsupported for rows of int8, whose steps are those of whole rows.
  Corpus prefix(Context& ctx, index_t dims) const;

 private:
  /// Calls f(segment, first row, queries, their signs for bits, options) for each segment that has rows that may be found.
  template <class F>
  void for_segments(Context& ctx, View<const float, 2> queries, const SearchOptions& options, const F& f) const;
  void expect_queries(View<const float, 2> queries, const SearchOptions& options) const;
  friend class CorpusWords;
  void search_all(Context& ctx, View<const float, 2> queries, const SearchOptions& options, const ops::TopK& out,
                  ops::CertifiedStats* stats) const;

  CorpusFormat format_;
  index_t rows_ = 0;
  std::vector<std::shared_ptr<const detail::Segment>> segments_;
  std::vector<index_t> first_;                                 // beside segments_
  std::shared_ptr<const std::vector<std::uint64_t>> removed_;  // a bit a row, or null
};

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/corpus-inl.hpp>
#endif
