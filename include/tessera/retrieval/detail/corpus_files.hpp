// The files of a corpus, checked: see corpus.hpp for what is in them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/safetensors.hpp>
#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/hamming.hpp>
#include <tessera/retrieval/corpus_format.hpp>

namespace tessera::retrieval::detail {

/// Rows that were added together.
struct Segment {
  std::shared_ptr<const io::SafeTensors> file;
  CorpusFormat format;
  std::string id;  ///< 16 hexadecimal digits of what is in it
  index_t rows = 0;
  View<const float, 2> embeddings;  ///< of f32
  ops::CoarseRows coarse;           ///< of f32
  PackedWeight packed;              ///< of bf16 and i8
  ops::BitRows bits;                ///< of boolean
  std::vector<float> scale;         ///< of scores: empty, but for prefixes of normalized rows
  View<const index_t, 1> ends;      ///< of documents, or empty
  std::string_view documents;

  /// \throws Error naming the file.
  static std::shared_ptr<const Segment> read(std::shared_ptr<const io::SafeTensors> file);
};

/// What a corpus consists of.
struct Root {
  struct Part {
    std::string name;  ///< of its file: 16 hexadecimal digits
    std::string id;    ///< of what is in it
    index_t rows = 0;
  };
  CorpusFormat format;
  std::vector<Part> parts;
  std::vector<std::uint64_t> removed;    ///< a bit a row, or none
  std::shared_ptr<const Segment> alone;  ///< the file itself, when it is the only part

  /// \throws Error naming the file.
  static Root read(const std::string& path);
  index_t rows() const noexcept;
  /// As a file that names others.
  void write(const std::string& path) const;
};

/// Of the corpus at `path`, the file of the part of that name.
std::string part_path(const std::string& path, const std::string& name);

/// What a segment's file says of itself.
std::map<std::string, std::string> segment_metadata(const CorpusFormat& format, const std::string& id, index_t rows);

}  // namespace tessera::retrieval::detail

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/detail/corpus_files-inl.hpp>
#endif
