#pragma once
#include <algorithm>
#include <numeric>
#include <set>

#include <tessera/core/lfs_pointer.hpp>
#include <tessera/io/atomic_file.hpp>
#include <tessera/io/detail/safetensors_header.hpp>
#include <tessera/io/safetensors.hpp>

namespace tessera::io {

inline const char* safetensors_error_name(SafetensorsError e) noexcept {
  static constexpr const char* kNames[] = {
      "HeaderTooSmall", "HeaderTooLarge",     "InvalidHeaderLength", "InvalidHeader",     "InvalidHeaderDeserialization",
      "InvalidOffset",  "ValidationOverflow", "MisalignedSlice",     "TensorInvalidInfo", "MetadataIncompleteBuffer",
      "DuplicateTensor"};
  return kNames[static_cast<int>(e)];
}

namespace detail {

/// The verdict on one file, step by step in the reference's order, which decides the class of a file with several faults.
class SafetensorsJudge {
 public:
  explicit SafetensorsJudge(const std::string& file) : file_(file) {}

  [[noreturn]] void refuse(SafetensorsError kind, const std::string& why) const {
    throw SafetensorsFormatError(kind,
                                 file_ + ": not a valid safetensors file (" + safetensors_error_name(kind) + "): " + why);
  }

  /// Length of the header that follows the first 8 bytes.
  std::size_t header_length(std::span<const std::byte> bytes) const {
    constexpr std::uint64_t kLargestHeader = 100'000'000;
    if (bytes.size() < 8) refuse(SafetensorsError::header_too_small, "only " + std::to_string(bytes.size()) + " bytes");
    std::uint64_t n = 0;
    for (int i = 7; i >= 0; --i) n = n << 8 | static_cast<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
    if (n > kLargestHeader) refuse(SafetensorsError::header_too_large, "a header of " + std::to_string(n) + " bytes");
    if (n > bytes.size() - 8)
      refuse(SafetensorsError::invalid_header_length, "a header of " + std::to_string(n) + " bytes in a file of " +
                                                          std::to_string(bytes.size()) + " (cut short while copying?)");
    return n;
  }

  /// The tensors as numbers of the header's, in two orders.
  struct Orders {
    std::vector<std::uint32_t> by_name, by_data;
  };
  /// Checks offsets, sizes and coverage.
  Orders order(const HeaderReader& read, std::uint64_t data_bytes) const {
    // The reference keeps the last of several entries of one name and judges that file; only then is ours refused.
    std::vector<std::uint32_t> order(read.tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), Before{read, true});
    const std::string* twice = nullptr;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i + 1 < order.size() && read.names[order[i]] == read.names[order[i + 1]])
        twice = &read.names[order[i]];
      else
        order[kept++] = order[i];
    }
    order.resize(kept);
    const std::vector<std::uint32_t> by_name = order;
    std::sort(order.begin(), order.end(), Before{read, false});
    std::uint64_t start = 0;
    for (const std::uint32_t i : order) {
      check(read.tensors[i], read.names[i], start);
      start = read.tensors[i].end;
    }
    if (start != data_bytes)
      refuse(SafetensorsError::metadata_incomplete_buffer, "the tensors cover " + std::to_string(start) +
                                                               " bytes, the file has " + std::to_string(data_bytes) +
                                                               " (cut short while copying?)");
    if (twice) refuse(SafetensorsError::duplicate_tensor, "tensor '" + printable(*twice) + "' stands twice");
    return {by_name, std::move(order)};
  }

 private:
  struct Before {  // one type for both orders: a sort is a lot of code to compile
    const HeaderReader& read;
    bool by_name;
    bool operator()(std::uint32_t x, std::uint32_t y) const {
      if (by_name) {
        const int names = read.names[x].compare(read.names[y]);
        return names != 0 ? names < 0 : x < y;
      }
      // Of equal ranges (at most one can be sound) the reference takes any first: it walks a hash map. Here that is the
      // first in the header, but for one that is not a whole number of bytes, which is the plainer thing to report.
      const HeaderTensor &a = read.tensors[x], &b = read.tensors[y];
      if (a.begin != b.begin) return a.begin < b.begin;
      if (a.end != b.end) return a.end < b.end;
      return a.misaligned() != b.misaligned() ? a.misaligned() : x < y;
    }
  };
  void check(const HeaderTensor& t, const std::string& name, std::uint64_t start) const {
    const auto tensor = [&] { return "tensor '" + printable(name) + "'"; };
    if (t.begin != start || t.end < t.begin)
      refuse(SafetensorsError::invalid_offset, tensor() + " is at bytes " + std::to_string(t.begin) + " to " +
                                                   std::to_string(t.end) + ", expected to start at " +
                                                   std::to_string(start));
    std::uint64_t bits = 0;
    if (!t.bits(bits)) refuse(SafetensorsError::validation_overflow, "the size of " + tensor() + " overflows");
    if (bits % 8 != 0) refuse(SafetensorsError::misaligned_slice, tensor() + " is not a whole number of bytes");
    if (bits / 8 != t.end - t.begin)
      refuse(SafetensorsError::tensor_invalid_info, tensor() + " has " + std::to_string(t.end - t.begin) +
                                                        " bytes, its shape and type ask for " + std::to_string(bits / 8));
  }
  const std::string& file_;
};

}  // namespace detail

inline SafeTensors SafeTensors::open(const std::string& path) { return open(MappedFile::open(path.c_str()), path); }

inline SafeTensors SafeTensors::open(MappedFile file, const std::string& name) {
  SafeTensors s = parse({file.data(), file.bytes()}, name);
  s.file_ = std::move(file);
  return s;
}

inline SafeTensors SafeTensors::parse(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  refuse_lfs_pointer(text, name);
  const detail::SafetensorsJudge judge(name);
  const std::size_t n = judge.header_length(bytes);
  SafeTensors s;
  s.name_ = name;
  s.header_ = text.substr(8, n);
  if (!detail::valid_utf8(s.header_)) judge.refuse(SafetensorsError::invalid_header, "the header is not UTF-8");
  detail::HeaderReader header;
  if (!header.read(s.header_)) judge.refuse(SafetensorsError::invalid_header_deserialization, header.problem());
  const auto [by_name, order] = judge.order(header, bytes.size() - 8 - n);
  const std::byte* const data = bytes.data() + 8 + n;
  s.views_.reserve(order.size());
  for (const std::uint32_t i : order) {
    const detail::HeaderTensor& t = header.tensors[i];
    AnyView& v = s.views_.emplace_back();
    v.data = data + t.begin;
    v.dtype = t.dtype;
    v.rank = static_cast<int>(t.rank);
    for (std::uint32_t d = 0; d < t.rank && d < static_cast<std::uint32_t>(AnyView::kMaxRank); ++d)
      v.extent[d] = static_cast<index_t>(std::min<std::uint64_t>(header.extents[t.first_extent + d], INT64_MAX));
    v.bytes = static_cast<index_t>(t.end - t.begin);
  }
  header.tensors.clear(), header.extents.clear();  // before the names are stored
  s.names_.reserve(order.size());
  std::vector<std::uint32_t> place(header.names.size());
  for (const std::uint32_t i : order) {
    place[i] = static_cast<std::uint32_t>(s.names_.size());
    s.names_.push_back(std::move(header.names[i]));
  }
  s.by_name_.reserve(order.size());
  for (const std::uint32_t i : by_name) s.by_name_.push_back(place[i]);
  return s;
}

inline const AnyView* SafeTensors::find(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [&](std::uint32_t i, std::string_view want) { return names_[i] < want; });
  return at == by_name_.end() || names_[*at] != name ? nullptr : &views_[*at];
}

inline const AnyView& SafeTensors::at(std::string_view name) const {
  if (const AnyView* v = find(name)) return *v;
  throw Error(Code::kNotFound, {name_, ": no tensor '", detail::printable(name), "'"});
}

inline std::map<std::string, std::string> SafeTensors::metadata() const {
  std::map<std::string, std::string> all;
  detail::HeaderReader header(&all);
  if (!header_.empty()) (void)header.read(header_);  // parse() has found it sound
  return all;
}

inline void SafeTensors::drop(const AnyView& v) const noexcept {
  if (file_.holds(v.data)) file_.drop(static_cast<std::size_t>(v.data - file_.data()), static_cast<std::size_t>(v.bytes));
}

inline void write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                              const std::map<std::string, std::string>& metadata, std::size_t alignment) {
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    const int x = bit_width(a.view.dtype), y = bit_width(b.view.dtype);
    return x != y ? x > y : a.name < b.name;
  });
  for (const auto& [key, value] : metadata)
    if (!detail::valid_utf8(key) || !detail::valid_utf8(value))
      throw Error(Code::kBadArgument, {path, ": metadata '", detail::printable(key), "' is not UTF-8"});
  std::string header;
  const auto add = [&](const std::string& key, const std::string& value) {
    header += (header.empty() ? '{' : ',') + nlohmann::json(key).dump() + ':' + value;
  };
  if (!metadata.empty()) add("__metadata__", nlohmann::json(metadata).dump());
  std::set<std::string_view> names;
  index_t at = 0;
  for (const NamedTensor& t : tensors) {
    const auto wrong = [&](const char* why) {
      return Error(Code::kBadArgument, {path, ": tensor '", detail::printable(t.name), "' ", why});
    };
    if (t.name == "__metadata__" || !detail::valid_utf8(t.name)) throw wrong("has a name that the format does not allow");
    if (!names.insert(t.name).second) throw wrong("is given twice");
    if (t.view.rank < 0 || t.view.rank > AnyView::kMaxRank) throw wrong("has more dimensions than can be written");
    index_t bits = bit_width(t.view.dtype);
    bool fits = t.view.bytes >= 0;
    for (int i = 0; i < t.view.rank; ++i)
      fits = fits && t.view.extent[i] >= 0 && !__builtin_mul_overflow(bits, t.view.extent[i], &bits);
    if (!fits || bits % 8 != 0 || bits / 8 != t.view.bytes) throw wrong("has other bytes than its shape and type ask for");
    const std::vector<index_t> shape(t.view.extent, t.view.extent + t.view.rank), offsets{at, at + t.view.bytes};
    add(t.name, R"({"dtype":")" + std::string(dtype_name(t.view.dtype)) + R"(","shape":)" + nlohmann::json(shape).dump() +
                    R"(,"data_offsets":)" + nlohmann::json(offsets).dump() + '}');
    at += t.view.bytes;
  }
  header += header.empty() ? "{}" : "}";
  char length[8];
  header.append((alignment - (sizeof length + header.size()) % alignment) % alignment, ' ');
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  AtomicFile out(path);
  out.write(length, sizeof length);
  out.write(header.data(), header.size());
  for (const NamedTensor& t : tensors) out.write(t.view.data, static_cast<std::size_t>(t.view.bytes));
  out.commit();
}

}  // namespace tessera::io
