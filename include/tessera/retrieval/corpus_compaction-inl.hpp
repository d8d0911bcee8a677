#pragma once
#include <algorithm>
#include <cstdio>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <tessera/io/atomic_file.hpp>
#include <tessera/ops/stack_rows.hpp>
#include <tessera/retrieval/corpus-inl.hpp>  // bits of rows, which compiled builds do not declare elsewhere
#include <tessera/retrieval/corpus_compaction.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/detail/corpus_files.hpp>
#include <tessera/retrieval/detail/list_tensors.hpp>

namespace tessera::retrieval {

namespace detail {

inline bool has_bit(std::span<const std::uint64_t> bits, index_t i) {
  return (bits[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1) != 0;
}

using Segments = std::span<const std::shared_ptr<const Segment>>;

inline io::NamedTensor list_of_bytes(const char* name, const void* data, std::size_t n) {
  return list_tensor(name, static_cast<const std::uint8_t*>(data), n);
}

/// The words that all of some segments keep of one field, or "" as the field where they do not.
inline std::pair<std::string, Postings> join_words(Segments segments, std::span<const std::uint64_t> gone) {
  std::vector<Postings> parts;
  std::string field;
  for (const auto& s : segments) {
    const auto said = s->file->metadata();
    if (const auto words = said.find(kWords); words != said.end()) {
      if (!field.empty() && words->second != field) return {};
      field = words->second;
      parts.push_back(Postings::from(*s->file, kWordsPrefix));
      if (parts.back().size() != s->rows)
        throw Error(Code::kFormat, {s->file->name(), ": damaged words: they are those of other rows"});
    } else {
      if (!s->documents.empty()) return {};
      Bm25Builder none;
      for (index_t r = 0; r < s->rows; ++r) none.add(std::string_view());
      parts.push_back(none.postings());
    }
  }
  if (field.empty()) return {};
  return {field, Postings::joined(parts, Postings::words_of(parts), gone)};
}

/// Writes the rows of some segments as one part. \param gone a bit for each of their rows.
inline Root::Part join(const std::string& path, Segments segments, std::span<const std::uint64_t> gone,
                       UnnamedParts& unnamed) {
  const CorpusFormat& format = segments[0]->format;
  std::vector<float> rows, error, length;
  std::vector<PackedWeight> packed;
  std::vector<index_t> ends;
  std::string documents;
  index_t n = 0;
  io::Digest digest;
  for (const auto& s : segments) {
    digest.add(s->id);
    if (format.dtype == DType::f32) {
      rows.insert(rows.end(), s->embeddings.data, s->embeddings.data + s->rows * format.dim);
      error.insert(error.end(), s->coarse.error.data, s->coarse.error.data + s->rows);
      length.insert(length.end(), s->coarse.length.data, s->coarse.length.data + s->rows);
    }
    packed.push_back(format.dtype == DType::f32       ? s->coarse.rows
                     : format.dtype == DType::boolean ? s->bits.panels
                                                      : s->packed);
    for (index_t r = 0; r < s->rows; ++r) {
      const index_t begin = s->documents.empty() || r == 0 ? 0 : s->ends(r - 1);
      if (!s->documents.empty() && !has_bit(gone, n + r))
        documents += s->documents.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(s->ends(r) - begin));
      ends.push_back(static_cast<index_t>(documents.size()));
    }
    n += s->rows;
  }
  const PackedWeight coarse = ops::stack_rows(packed);
  AnyView bytes;
  bytes.data = coarse.data(), bytes.rank = 1;
  bytes.dtype = coarse.dtype() == DType::boolean ? DType::u8 : coarse.dtype();
  bytes.bytes = static_cast<index_t>(coarse.bytes()), bytes.extent[0] = bytes.bytes * 8 / bit_width(bytes.dtype);
  std::vector<io::NamedTensor> tensors = {{"coarse", bytes}};
  if (format.dtype == DType::f32) {
    tensors.push_back({"embeddings", io::any_view(View<const float, 2>(rows.data(), n, format.dim))});
    tensors.push_back(list_tensor("error", error.data(), error.size()));
    tensors.push_back(list_tensor("length", length.data(), length.size()));
  }
  auto metadata = segment_metadata(format, "", n);
  std::pair<std::string, Postings> words;
  if (!documents.empty()) {
    tensors.push_back(list_tensor("document_ends", ends.data(), ends.size()));
    tensors.push_back(list_of_bytes("documents", documents.data(), documents.size()));
    words = join_words(segments, gone);
    if (!words.first.empty()) {
      metadata[kWords] = words.first;
      for (auto& tensor : words.second.tensors(kWordsPrefix)) tensors.push_back(std::move(tensor));
    }
  }
  const std::string id = metadata["id"] = unnamed.reserve(digest);
  io::write_safetensors(part_path(path, id), std::move(tensors), metadata, kAlignment);
  return {id, id, n};
}

}  // namespace detail

inline index_t compact(const std::string& path, std::size_t part_bytes) {
  const detail::Root before = detail::Root::read(path);
  if (before.alone || before.parts.empty()) return static_cast<index_t>(before.parts.size());
  const index_t most = std::max<index_t>(1, static_cast<index_t>(part_bytes / sizeof(float)) / before.format.dim);
  detail::UnnamedParts unnamed(path);
  std::vector<detail::Root::Part> parts;
  std::vector<std::string> gone;
  index_t first = 0;
  for (std::size_t i = 0; i < before.parts.size();) {
    std::vector<std::shared_ptr<const detail::Segment>> together;
    index_t rows = 0;
    std::size_t j = i;
    for (; j < before.parts.size() && (j == i || rows + before.parts[j].rows <= most); rows += before.parts[j++].rows) {}
    if (j - i == 1) {
      parts.push_back(before.parts[i]);
    } else {
      for (std::size_t p = i; p < j; ++p) {
        const auto& part = before.parts[p];
        together.push_back(detail::Segment::read(
            std::make_shared<const io::SafeTensors>(io::SafeTensors::open(detail::part_path(path, part.name)))));
        if (together.back()->id != part.id || together.back()->rows != part.rows ||
            !(together.back()->format == before.format))
          throw Error(Code::kFormat,
                      {detail::part_path(path, part.name), ": another part of a corpus than ", path, " names"});
        gone.push_back(part.name);
      }
      std::vector<std::uint64_t> removed(static_cast<std::size_t>((rows + 63) / 64));
      if (!before.removed.empty()) detail::take_bits(before.removed, first, rows, removed.data());
      parts.push_back(detail::join(path, together, removed, unnamed));
    }
    first += rows, i = j;
  }
  const detail::FolderLock lock(path);
  detail::Root now = detail::Root::read(path);  // others may have added to it and removed from it meanwhile
  const auto same = [](const detail::Root::Part& a, const detail::Root::Part& b) {
    return a.name == b.name && a.id == b.id;
  };
  if (now.alone || now.parts.size() < before.parts.size() ||
      !std::equal(before.parts.begin(), before.parts.end(), now.parts.begin(), same))
    throw Error(Code::kFormat, {path, ": was replaced by another corpus meanwhile, and is as that left it; run it again"});
  parts.insert(parts.end(), now.parts.begin() + static_cast<std::ptrdiff_t>(before.parts.size()), now.parts.end());
  if (!gone.empty()) {
    now.parts = parts;
    for (const std::string& name : gone) unnamed.replaces(name, lock);
    now.write(path);
    unnamed.keep();
  }
  detail::remove_leftovers(path, lock);
  return static_cast<index_t>(parts.size());
}

}  // namespace tessera::retrieval
