#pragma once
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <tessera/io/atomic_file.hpp>
#include <tessera/io/digest.hpp>
#include <tessera/io/json.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/corpus_writer.hpp>
#include <tessera/retrieval/detail/corpus_files.hpp>
#include <tessera/retrieval/detail/unnamed_parts-inl.hpp>  // errors of files, which compiled builds do not declare elsewhere

namespace tessera::retrieval {

namespace detail {

/// The file of a corpus of one part gets a name beside it too, so that the small file can take its place.
inline void name_alone(const std::string& path, Root& root, UnnamedParts& unnamed, const FolderLock& lock) {
  if (!root.alone) return;
  const MappedFile& file = root.alone->file->file();
  std::string& name = root.parts[0].name;
  io::Digest digest;
  for (name = root.alone->id;; digest.add(name), name = digest.hex()) {
    const std::string part = part_path(path, name);
    if (unnamed.link(name, lock)) return;
    if (errno != EEXIST) break;
    struct stat st {};  // of a writer that was killed here before?
    if (::stat(part.c_str(), &st) == 0 && st.st_ino == file.identity().inode && st.st_dev == file.identity().device) return;
  }
  name = unnamed.reserve(digest, lock);  // no links here: a copy
  io::AtomicFile copy(part_path(path, name));
  copy.write(file.data(), file.bytes());
  copy.commit();
}

}  // namespace detail

inline CorpusWriter::CorpusWriter(std::string path, const CorpusFormat& format, bool appends, std::size_t part_bytes,
                                  const std::string& field)
    : path_(std::move(path)),
      format_(format),
      appends_(appends),
      part_rows_(std::max<index_t>(1, static_cast<index_t>(part_bytes / sizeof(float)) / format.dim)),
      field_(field),
      unnamed_(path_) {}

inline CorpusWriter::CorpusWriter(CorpusWriter&& o) noexcept
    : path_(std::move(o.path_)),
      format_(o.format_),
      appends_(o.appends_),
      part_rows_(o.part_rows_),
      rows_(std::move(o.rows_)),
      documents_(std::move(o.documents_)),
      ends_(std::move(o.ends_)),
      field_(std::move(o.field_)),
      words_(std::move(o.words_)),
      written_(std::exchange(o.written_, {})),
      unnamed_(std::move(o.unnamed_)) {}

inline CorpusWriter CorpusWriter::create(const std::string& path, const CorpusFormat& f, std::size_t part_bytes,
                                         const std::string& field) {
  if (f.dim < 1 || f.dim > kMostDim)
    throw Error(Code::kBadArgument,
                {"corpus: rows of ", std::to_string(f.dim), " numbers, expected 1 to ", std::to_string(kMostDim)});
  if (f.dtype != DType::f32 && f.dtype != DType::bf16 && f.dtype != DType::i8 && f.dtype != DType::boolean)
    throw Error(Code::kUnsupported, "corpus: rows are kept as f32, bf16, int8 or bits");
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    try {
      (void)detail::Root::read(path);
    } catch (const Error& e) {
      throw Error(e.code(), {path, ": is there and is no corpus, so it is not replaced; name another file"});
    }
  }
  return {path, f, false, part_bytes, field};
}

inline CorpusWriter CorpusWriter::append(const std::string& path, std::size_t part_bytes, const std::string& field) {
  return {path, detail::Root::read(path).format, true, part_bytes, field};
}

inline void CorpusWriter::add(Context& ctx, View<const float, 2> rows, std::span<const std::string> documents) {
  const index_t n = rows.extent[0], dim = format_.dim;
  if (rows.extent[1] != dim)
    throw Error(Code::kShapeMismatch,
                {"corpus: rows of ", std::to_string(rows.extent[1]), " numbers, expected ", std::to_string(dim)});
  if (!documents.empty() && static_cast<index_t>(documents.size()) != n)
    throw Error(Code::kShapeMismatch,
                {"corpus: ", std::to_string(documents.size()), " documents for ", std::to_string(n), " rows"});
  for (index_t r = 0; r < n; ++r)
    for (index_t c = 0; c < dim; ++c)
      if (!std::isfinite(rows(r, c)))
        throw Error(Code::kNonFinite, {"corpus: row ", std::to_string(r), " holds NaN or infinity"});
  std::vector<std::string> texts(documents.size());
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (documents[i].empty()) continue;
    const io::Json document = io::parse_json(documents[i], "the document");
    if (!document.is_object()) throw Error(Code::kFormat, "corpus: a document is a JSON object");
    if (!field_.empty()) texts[i] = detail::text_of(document, field_);
  }
  std::vector<float> unit;
  if (format_.normalized) {
    unit.resize(static_cast<std::size_t>(n * dim));
    const View<float, 2> to(unit.data(), n, dim);
    ops::l2_normalize(ctx, rows, to);
    rows = to;
  }
  for (index_t r = 0; r < n; ++r) {
    for (index_t c = 0; c < dim; ++c) rows_.push_back(rows(r, c));
    if (!documents.empty()) documents_ += documents[static_cast<std::size_t>(r)];
    ends_.push_back(static_cast<index_t>(documents_.size()));
    if (!field_.empty()) words_.add(texts.empty() ? std::string_view() : texts[static_cast<std::size_t>(r)]);
    if (static_cast<index_t>(ends_.size()) == part_rows_) write_part(ctx);
  }
}

inline void CorpusWriter::write_part(Context& ctx) {
  const auto n = static_cast<index_t>(ends_.size());
  const View<const float, 2> rows(rows_.data(), n, format_.dim);
  io::Digest digest;
  digest.add(std::string(dtype_name(format_.dtype)) + (format_.normalized ? " normalized " : " ") + std::to_string(n));
  digest.add({reinterpret_cast<const char*>(rows_.data()), rows_.size() * sizeof(float)});
  digest.add({reinterpret_cast<const char*>(ends_.data()), ends_.size() * sizeof(index_t)});
  digest.add(documents_);
  std::vector<io::NamedTensor> tensors;
  ops::CoarseRows coarse;
  PackedWeight packed;
  if (format_.dtype == DType::f32) {
    coarse = ops::CoarseRows::pack(ctx, rows, DType::i8);
    packed = coarse.rows;
    tensors = {
        {"embeddings", io::any_view(rows)}, {"error", io::any_view(coarse.error)}, {"length", io::any_view(coarse.length)}};
  } else if (format_.dtype == DType::boolean) {
    packed = ops::BitRows::pack(ctx, rows).panels;
  } else {
    WeightView w = rows;
    w.packed = format_.dtype, w.most_rounding = std::numeric_limits<float>::infinity();
    packed = ops::pack_weight(ctx, w);
  }
  AnyView bytes;
  bytes.data = packed.data(), bytes.rank = 1;
  bytes.dtype = packed.dtype() == DType::boolean ? DType::u8 : packed.dtype();
  bytes.bytes = static_cast<index_t>(packed.bytes()), bytes.extent[0] = bytes.bytes * 8 / bit_width(bytes.dtype);
  tensors.push_back({"coarse", bytes});
  if (!documents_.empty()) {
    tensors.push_back({"document_ends", io::any_view(View<const index_t, 1>(ends_.data(), n))});
    tensors.push_back(
        {"documents", io::any_view(View<const std::uint8_t, 1>(reinterpret_cast<const std::uint8_t*>(documents_.data()),
                                                               static_cast<index_t>(documents_.size())))});
  }
  auto metadata = detail::segment_metadata(format_, "", n);
  Postings words;
  if (!documents_.empty() && !field_.empty()) {
    words = words_.postings();
    for (auto& tensor : words.tensors(detail::kWordsPrefix)) tensors.push_back(std::move(tensor));
    metadata[detail::kWords] = field_;
    digest.add(field_);
  }
  const std::string id = metadata["id"] = unnamed_.reserve(digest);
  written_.push_back({id, n});
  io::write_safetensors(detail::part_path(path_, id), std::move(tensors), metadata, kAlignment);
  rows_.clear(), ends_.clear(), documents_.clear(), words_ = {};
}

inline index_t CorpusWriter::commit(Context& ctx) {
  if (!ends_.empty()) write_part(ctx);
  const detail::FolderLock lock(path_);
  detail::Root root{format_, {}, {}, nullptr};
  if (appends_) {
    root = detail::Root::read(path_);  // others may have added to it meanwhile
    if (!(root.format == format_)) throw Error(Code::kFormat, {path_, ": has become a corpus of another format"});
  } else if (std::error_code error; std::filesystem::exists(path_, error)) {
    const detail::Root old = detail::Root::read(path_);
    if (!old.alone)
      for (const auto& part : old.parts) unnamed_.replaces(part.name, lock);
  }
  const index_t first = root.rows();
  if (written_.empty() && appends_) return first;
  if (!appends_ && written_.size() == 1) {
    if (::rename(detail::part_path(path_, written_[0].id).c_str(), path_.c_str()) != 0) detail::io_error(path_, "rename");
    io::sync_folder_of(path_);
  } else {
    detail::name_alone(path_, root, unnamed_, lock);
    for (const Written& part : written_) root.parts.push_back({part.id, part.id, part.rows});
    if (!root.removed.empty()) root.removed.resize(static_cast<std::size_t>((root.rows() + 63) / 64));
    root.write(path_);
  }
  written_.clear(), unnamed_.keep();
  detail::remove_leftovers(path_, lock);
  return first;
}

inline void remove_rows(const std::string& path, std::span<const index_t> ids) {
  const detail::FolderLock lock(path);
  detail::Root root = detail::Root::read(path);
  const index_t rows = root.rows();
  for (const index_t id : ids)
    if (id < 0 || id >= rows)
      throw Error(Code::kBadArgument, {path, ": no row ", std::to_string(id), ", it has ", std::to_string(rows)});
  if (ids.empty()) return;
  root.removed.resize(static_cast<std::size_t>((rows + 63) / 64));
  for (const index_t id : ids) root.removed[static_cast<std::size_t>(id / 64)] |= std::uint64_t{1} << (id % 64);
  detail::UnnamedParts unnamed(path);
  detail::name_alone(path, root, unnamed, lock);
  root.write(path);
  unnamed.keep();
}

}  // namespace tessera::retrieval
