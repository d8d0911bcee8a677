#pragma once
#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include <tessera/io/json.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/retrieval/detail/corpus_files.hpp>

namespace tessera::retrieval::detail {

inline constexpr const char* kVersion = "1";
inline constexpr index_t kMostRowsOfPart = (index_t{1} << 32) - 1;

/// What a file says of itself, with errors that name it.
class CorpusReader {
 public:
  explicit CorpusReader(const io::SafeTensors& file) : file_(file), said_(file.metadata()) {
    const std::string version = text("tessera.corpus");
    if (version.empty()) throw Error(Code::kFormat, {file.name(), ": not a corpus; make one with 'tessera index'"});
    if (version != kVersion || (said_.count("layout") && text("layout") != std::to_string(ops::kPackedLayout)))
      throw Error(Code::kUnsupported, {file.name(), ": a corpus of another version of tessera; index it again"});
  }
  [[noreturn]] void refuse(std::initializer_list<std::string_view> why) const {
    std::string all;
    for (const std::string_view part : why) all += part;
    throw Error(Code::kFormat, {file_.name(), ": a damaged corpus: ", all});
  }
  bool says(const char* key) const { return said_.count(key) > 0; }
  std::string text(const char* key) const {
    const auto at = said_.find(key);
    return at == said_.end() ? std::string() : at->second;
  }
  index_t number(const char* key, index_t most) const {
    const std::string digits = text(key);
    index_t n = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (error != std::errc() || end != digits.data() + digits.size() || n < 0 || n > most)
      refuse({"'", key, "' is ", io::shown(says(key) ? &(shown_ = digits) : nullptr), ", expected 0 to ",
              std::to_string(most)});
    return n;
  }
  std::string id() const {
    std::string id = text("id");
    check_id(id);
    return id;
  }
  void check_id(const std::string& id) const {
    if (id.size() != 16 || id.find_first_not_of("0123456789abcdef") != std::string::npos)
      refuse({"its part is called ", io::shown(&(shown_ = id))});
  }
  CorpusFormat format() const {
    CorpusFormat f{number("dim", kMostDim), DType::f32, number("normalized", 1) != 0};
    const std::string dtype = text("dtype");
    for (const DType kept : {DType::f32, DType::bf16, DType::i8, DType::boolean})
      if (dtype == dtype_name(kept)) return f.dtype = kept, f;
    refuse({"'dtype' is ", io::shown(says("dtype") ? &(shown_ = dtype) : nullptr), ", expected F32, BF16, I8 or BOOL"});
  }
  /// A tensor of that name and shape.
  template <class T, int Rank>
  View<const T, Rank> tensor(const char* name, const index_t (&extent)[Rank]) const {
    const AnyView* const v = file_.find(name);
    if (!v) refuse({"no tensor '", name, "'"});
    if (v->dtype != dtype_of<T> || v->rank != Rank || !std::equal(extent, extent + Rank, v->extent))
      refuse({"tensor '", name, "' has another type or shape than its rows ask for"});
    if (!v->aligned_for<T>()) refuse({"tensor '", name, "' is not aligned for its type"});
    return v->as<T, Rank>();
  }
  const io::SafeTensors& file() const noexcept { return file_; }

 private:
  const io::SafeTensors& file_;
  std::map<std::string, std::string> said_;
  mutable io::Json shown_;
};

inline std::string part_path(const std::string& path, const std::string& name) {
  constexpr std::string_view kEnding = ".safetensors";
  const std::string_view stem = path;
  return std::string(stem.substr(0, stem.size() - (stem.ends_with(kEnding) ? kEnding.size() : 0))) + '-' + name +
         std::string(kEnding);
}

inline std::map<std::string, std::string> format_metadata(const CorpusFormat& f) {
  return {{"tessera.corpus", kVersion},
          {"dim", std::to_string(f.dim)},
          {"dtype", dtype_name(f.dtype)},
          {"normalized", f.normalized ? "1" : "0"}};
}
inline std::map<std::string, std::string> segment_metadata(const CorpusFormat& f, const std::string& id, index_t rows) {
  auto all = format_metadata(f);
  all["id"] = id, all["rows"] = std::to_string(rows), all["layout"] = std::to_string(ops::kPackedLayout);
  return all;
}

inline std::shared_ptr<const Segment> Segment::read(std::shared_ptr<const io::SafeTensors> opened) {
  const CorpusReader reader(*opened);
  auto s = std::make_shared<Segment>();
  s->format = reader.format(), s->id = reader.id(), s->rows = reader.number("rows", kMostRowsOfPart);
  const index_t n = s->rows, dim = s->format.dim;
  if (n < 1) reader.refuse({"a part without rows"});
  const AnyView* const packed = opened->find("coarse");
  const DType dtype = s->format.dtype, wanted = dtype == DType::bf16      ? dtype
                                                : dtype == DType::boolean ? DType::u8
                                                                          : DType::i8;
  if (!packed || packed->dtype != wanted) reader.refuse({"no tensor 'coarse' of its type"});
  const std::span<const std::byte> bytes(packed->data, static_cast<std::size_t>(packed->bytes));
  try {
    if (dtype == DType::boolean) {
      s->bits = ops::BitRows::borrow(n, dim, bytes, opened);
    } else {
      if (bytes.size() != ops::packed_bytes(n, dim, wanted))
        reader.refuse({"'coarse' has other bytes than its rows ask for"});
      s->packed = PackedWeight(n, dim, wanted, bytes, opened);
    }
    if (dtype == DType::f32) {
      s->embeddings = reader.tensor<float, 2>("embeddings", {n, dim});
      const auto error = reader.tensor<float, 1>("error", {n}), length = reader.tensor<float, 1>("length", {n});
      s->coarse = ops::CoarseRows(std::move(s->packed), error, length, opened);
    }
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with(opened->name())) throw;
    reader.refuse({e.what()});
  }
  if (const AnyView* const documents = opened->find("documents")) {
    s->ends = reader.tensor<index_t, 1>("document_ends", {n});
    s->documents = {reinterpret_cast<const char*>(documents->data), static_cast<std::size_t>(documents->bytes)};
    index_t before = 0;
    for (index_t i = 0; i < n; before = s->ends(i++))
      if (s->ends(i) < before) reader.refuse({"documents that end before they begin"});
    if (before != documents->bytes) reader.refuse({"documents that end elsewhere"});
  }
  s->file = std::move(opened);
  return s;
}

inline index_t Root::rows() const noexcept {
  index_t all = 0;
  for (const Part& p : parts) all += p.rows;
  return all;
}

inline Root Root::read(const std::string& path) {
  const auto file = std::make_shared<const io::SafeTensors>(io::SafeTensors::open(path));
  const CorpusReader reader(*file);
  Root root;
  if (!reader.says("parts")) {
    root.alone = Segment::read(file);
    root.format = root.alone->format;
    root.parts = {{"", root.alone->id, root.alone->rows}};
    return root;
  }
  root.format = reader.format();
  const io::Json list = io::parse_json(reader.text("parts"), path);
  const auto is_part = [](const io::Json& p) {
    return p.is_array() && p.size() == 3 && p[0].is_string() && p[1].is_string() && p[2].is_number_unsigned();
  };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_part)) reader.refuse({"its parts are not told as such"});
  for (const io::Json& p : list) {
    reader.check_id(p[0].get<std::string>()), reader.check_id(p[1].get<std::string>());
    const auto rows = p[2].get<std::uint64_t>();
    if (rows < 1 || rows > kMostRowsOfPart) reader.refuse({"a part of ", std::to_string(rows), " rows"});
    root.parts.push_back({p[0].get<std::string>(), p[1].get<std::string>(), static_cast<index_t>(rows)});
  }
  if (file->find("removed")) {
    const auto removed = reader.tensor<std::uint64_t, 1>("removed", {(root.rows() + 63) / 64});
    root.removed.assign(removed.data, removed.data + removed.extent[0]);
    if (root.rows() % 64 != 0 && root.removed.back() >> (root.rows() % 64) != 0)
      reader.refuse({"it lacks rows it never had"});
  }
  return root;
}

inline void Root::write(const std::string& path) const {
  io::Json list = io::empty_list();
  for (const Part& p : parts) {
    io::Json part = io::empty_list();
    part.push_back(p.name), part.push_back(p.id), part.push_back(static_cast<std::uint64_t>(p.rows));
    list.push_back(std::move(part));
  }
  auto metadata = format_metadata(format);
  metadata["parts"] = list.dump();
  std::vector<io::NamedTensor> tensors;
  if (!removed.empty())
    tensors.push_back(
        {"removed", io::any_view(View<const std::uint64_t, 1>(removed.data(), static_cast<index_t>(removed.size())))});
  io::write_safetensors(path, std::move(tensors), metadata);
}

}  // namespace tessera::retrieval::detail
