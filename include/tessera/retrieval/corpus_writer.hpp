// What changes a corpus: safe against being killed at any moment, and against other writers.
#pragma once
#include <span>
#include <string>
#include <vector>

#include <tessera/retrieval/bm25.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/detail/unnamed_parts.hpp>

namespace tessera::retrieval {

/// Rows on their way into a corpus. Until commit() nobody sees them; without it they are gone, and what was at `path` stays.
/// They go to disk in parts, so that they may be more than memory holds.
class CorpusWriter {
 public:
  static constexpr std::size_t kPartBytes = std::size_t{256} << 20;

  /// A new corpus, which replaces one that is there.
  /// \param part_bytes a part is written when its rows take so many bytes as f32.
  /// \param field whose words are kept beside the documents, for CorpusWords; empty: none are.
  /// \throws Error kBadArgument, kUnsupported for a type that is not kept, kFormat for a file there that is no corpus, kIo.
  static CorpusWriter create(const std::string& path, const CorpusFormat& format, std::size_t part_bytes = kPartBytes,
                             const std::string& field = "text");
  /// More rows for the corpus that is there. \throws Error as Corpus::open().
  static CorpusWriter append(const std::string& path, std::size_t part_bytes = kPartBytes,
                             const std::string& field = "text");
  CorpusWriter(CorpusWriter&& o) noexcept;
  CorpusWriter& operator=(CorpusWriter&&) = delete;

  const CorpusFormat& format() const noexcept { return format_; }
  /// \param rows [N, dim] f32, rows may be padded.  \param documents a JSON object for each of them, or empty ones, or none.
  /// \throws Error kShapeMismatch, kNonFinite naming the row of this call, kFormat for a document that is no JSON object;
  /// none of these rows is then taken. kIo.
  void add(Context& ctx, View<const float, 2> rows, std::span<const std::string> documents = {});
  /// Returns the id that the first of them has got. Parts that killed writers left beside the corpus are removed.
  /// \throws Error kIo, kFormat when the corpus is of another format by now.
  index_t commit(Context& ctx);

 private:
  CorpusWriter(std::string path, const CorpusFormat& format, bool appends, std::size_t part_bytes, const std::string& field);
  void write_part(Context& ctx);

  std::string path_;
  CorpusFormat format_;
  bool appends_;
  index_t part_rows_;
  std::vector<float> rows_;  // of the next part
  std::string documents_;
  std::vector<index_t> ends_;
  std::string field_;
  Bm25Builder words_;
  struct Written {
    std::string id;
    index_t rows;
  };
  std::vector<Written> written_;
  detail::UnnamedParts unnamed_;
};

/// Marks rows as gone; their ids are not used again. Those that are gone already, or listed twice, are no error.
/// \throws Error as Corpus::open(); kBadArgument for an id that is no row, with nothing changed; kIo.
void remove_rows(const std::string& path, std::span<const index_t> ids);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/corpus_writer-inl.hpp>
#endif
