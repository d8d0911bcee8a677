#pragma once
#include <algorithm>
#include <cstring>

#include <tessera/io/atomic_file.hpp>
#include <tessera/io/json.hpp>
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

/// A header value with the order and the duplicates of its keys, which decide verdicts.
struct HeaderNode {
  enum Kind : unsigned char { null, other, natural, string, array, object } kind = null;
  std::uint64_t number = 0;
  std::string text;
  std::vector<std::string> keys;
  std::vector<HeaderNode> items;
};

class HeaderReader {
 public:
  explicit HeaderReader(HeaderNode& root) : root_(root) {}
  bool null() { return add({}); }
  bool boolean(bool) { return add(of(HeaderNode::other)); }
  bool number_integer(std::int64_t) { return add(of(HeaderNode::other)); }  // has a minus sign: no size, not even -0
  bool number_float(double, const std::string&) { return add(of(HeaderNode::other)); }
  bool number_unsigned(std::uint64_t v) {
    HeaderNode n = of(HeaderNode::natural);
    n.number = v;
    return add(std::move(n));
  }
  bool string(std::string& s) {
    HeaderNode n = of(HeaderNode::string);
    n.text = std::move(s);
    return add(std::move(n));
  }
  bool binary(std::vector<std::uint8_t>&) { return false; }
  bool start_object(std::size_t) { return open(HeaderNode::object); }
  bool start_array(std::size_t) { return open(HeaderNode::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& k) {
    stack_.back()->keys.push_back(std::move(k));
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) {
    where_ = at;
    return false;
  }
  std::size_t where() const { return where_; }

 private:
  static HeaderNode of(HeaderNode::Kind kind) {
    HeaderNode n;
    n.kind = kind;
    return n;
  }
  HeaderNode* place(HeaderNode&& n) {
    if (stack_.empty()) return &(root_ = std::move(n));
    return &stack_.back()->items.emplace_back(std::move(n));
  }
  bool add(HeaderNode&& n) { return place(std::move(n)), true; }
  bool open(HeaderNode::Kind kind) {
    constexpr std::size_t kDeepest = 127;  // the reference parser's recursion limit
    if (stack_.size() >= kDeepest) return false;
    stack_.push_back(place(of(kind)));  // its siblings come after it is closed, so the pointer holds
    return true;
  }
  bool close() { return stack_.pop_back(), true; }

  HeaderNode& root_;
  std::vector<HeaderNode*> stack_;
  std::size_t where_ = 0;
};

struct HeaderTensor {
  const std::string* name;
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin, end;
};

/// The header of one file, step by step in the reference's order, which decides the class of a file with several faults.
class SafetensorsHeader {
 public:
  SafetensorsHeader(const std::string& file, std::size_t data_bytes) : file_(file), data_bytes_(data_bytes) {}

  [[noreturn]] void refuse(SafetensorsError kind, const std::string& why) const {
    throw SafetensorsFormatError(kind,
                                 file_ + ": not a valid safetensors file (" + safetensors_error_name(kind) + "): " + why);
  }
  [[noreturn]] void bad_json(const std::string& why) const { refuse(SafetensorsError::invalid_header_deserialization, why); }

  void read(std::string_view text) {
    if (!valid_utf8(text)) refuse(SafetensorsError::invalid_header, "the header is not UTF-8");
    HeaderReader reader(root_);
    // To nlohmann a byte order mark is blank and a NUL the end; in JSON both are errors.
    if (text.starts_with("\xef\xbb\xbf") || text.find('\0') != text.npos ||
        !Json::sax_parse(text.begin(), text.end(), &reader))
      bad_json("the header is not JSON, near its byte " + std::to_string(reader.where()));
    if (root_.kind != HeaderNode::object) bad_json("the header is not an object");
    bool had_metadata = false;
    for (std::size_t i = 0; i < root_.keys.size(); ++i) {
      if (root_.keys[i] != "__metadata__") {
        tensor(root_.keys[i], root_.items[i]);
        continue;
      }
      if (had_metadata) bad_json("__metadata__ stands twice");
      had_metadata = true;
      read_metadata(root_.items[i]);
    }
  }

  /// Checks offsets, sizes and coverage; tensors are then in the order of the data.
  void validate() {
    // The reference keeps the last of several entries of one name and judges that file; only then is ours refused.
    const std::size_t listed = tensors.size();
    std::map<std::string_view, std::size_t> last;
    for (std::size_t i = 0; i < listed; ++i) last[*tensors[i].name] = i;
    std::string twice;
    if (last.size() != listed) {
      std::vector<HeaderTensor> kept;
      for (std::size_t i = 0; i < listed; ++i) {
        if (last[*tensors[i].name] == i)
          kept.push_back(tensors[i]);
        else
          twice = *tensors[i].name;
      }
      tensors.swap(kept);
    }
    // Of equal ranges (at most one can be sound) the reference takes any first: it walks a hash map. Here that is the first
    // in the header, but for one that is not a whole number of bytes, which is the plainer thing to report.
    std::stable_sort(tensors.begin(), tensors.end(), [](const HeaderTensor& x, const HeaderTensor& y) {
      return x.begin != y.begin ? x.begin < y.begin : x.end != y.end ? x.end < y.end : misaligned(x) > misaligned(y);
    });
    std::uint64_t start = 0;
    for (const HeaderTensor& t : tensors) {
      if (t.begin != start || t.end < t.begin)
        refuse(SafetensorsError::invalid_offset, "tensor '" + printable(*t.name) + "' is at bytes " +
                                                     std::to_string(t.begin) + " to " + std::to_string(t.end) +
                                                     ", expected to start at " + std::to_string(start));
      start = t.end;
      std::uint64_t bits = 0;
      if (!bit_count(t, bits))
        refuse(SafetensorsError::validation_overflow, "the size of tensor '" + printable(*t.name) + "' overflows");
      if (bits % 8 != 0)
        refuse(SafetensorsError::misaligned_slice, "tensor '" + printable(*t.name) + "' is not a whole number of bytes");
      if (bits / 8 != t.end - t.begin)
        refuse(SafetensorsError::tensor_invalid_info, "tensor '" + printable(*t.name) + "' has " +
                                                          std::to_string(t.end - t.begin) +
                                                          " bytes, its shape and type ask for " + std::to_string(bits / 8));
    }
    if (start != data_bytes_)
      refuse(SafetensorsError::metadata_incomplete_buffer, "the tensors cover " + std::to_string(start) +
                                                               " bytes, the file has " + std::to_string(data_bytes_) +
                                                               " (cut short while copying?)");
    if (!twice.empty()) refuse(SafetensorsError::duplicate_tensor, "tensor '" + printable(twice) + "' stands twice");
  }

  /// A name safe to print: control characters become '?'.
  static std::string printable(std::string_view name) {
    std::string s(name.substr(0, 200));
    for (char& c : s)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return s;
  }

  std::vector<HeaderTensor> tensors;
  std::map<std::string, std::string> metadata;

 private:
  static bool bit_count(const HeaderTensor& t, std::uint64_t& bits) noexcept {
    bits = 1;
    bool fits = true;
    for (const std::uint64_t d : t.shape) fits = fits && !__builtin_mul_overflow(bits, d, &bits);
    return fits && !__builtin_mul_overflow(bits, static_cast<std::uint64_t>(bit_width(t.dtype)), &bits);
  }
  static bool misaligned(const HeaderTensor& t) noexcept {
    std::uint64_t bits = 0;
    return bit_count(t, bits) && bits % 8 != 0;
  }
  static bool valid_utf8(std::string_view s) noexcept {
    for (std::size_t i = 0; i < s.size();) {
      const auto at = [&](std::size_t k) { return i + k < s.size() ? static_cast<unsigned char>(s[i + k]) : 0u; };
      const unsigned c = at(0), d = at(1);
      if (c < 0x80) {
        ++i;
        continue;
      }
      const std::size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
      if (n == 0) return false;
      for (std::size_t k = 1; k < n; ++k)
        if ((at(k) & 0xc0u) != 0x80) return false;
      if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
        return false;
      i += n;
    }
    return true;
  }

  void read_metadata(const HeaderNode& n) {
    if (n.kind == HeaderNode::null) return;
    if (n.kind != HeaderNode::object) bad_json("__metadata__ is not an object");
    for (std::size_t i = 0; i < n.keys.size(); ++i) {
      if (n.items[i].kind != HeaderNode::string) bad_json("__metadata__ holds something that is not a string");
      metadata[n.keys[i]] = n.items[i].text;
    }
  }

  void tensor(const std::string& name, const HeaderNode& n) {
    const HeaderNode *dtype = nullptr, *shape = nullptr, *offsets = nullptr;
    const auto set = [&](const HeaderNode*& field, const HeaderNode& value) {
      if (field) bad_json("a field of tensor '" + printable(name) + "' stands twice");
      field = &value;
    };
    if (n.kind == HeaderNode::object) {
      for (std::size_t i = 0; i < n.keys.size(); ++i) {
        if (n.keys[i] == "dtype") set(dtype, n.items[i]);
        if (n.keys[i] == "shape") set(shape, n.items[i]);
        if (n.keys[i] == "data_offsets") set(offsets, n.items[i]);
      }
    } else if (n.kind == HeaderNode::array && n.items.size() == 3) {  // the fields in order, as the reference accepts
      dtype = &n.items[0], shape = &n.items[1], offsets = &n.items[2];
    }
    if (!dtype || !shape || !offsets) bad_json("tensor '" + printable(name) + "' lacks dtype, shape or data_offsets");
    HeaderTensor t{&name, DType::f32, naturals(name, *shape), 0, 0};
    const std::vector<std::uint64_t> range = naturals(name, *offsets);
    if (range.size() != 2) bad_json("data_offsets of tensor '" + printable(name) + "' are not two numbers");
    t.begin = range[0], t.end = range[1];
    bool known = false;
    for (int i = 0; i < kDTypeCount && dtype->kind == HeaderNode::string; ++i)
      if (dtype->text == dtype_name(static_cast<DType>(i))) t.dtype = static_cast<DType>(i), known = true;
    if (!known) bad_json("tensor '" + printable(name) + "' has the unknown dtype '" + printable(dtype->text) + "'");
    tensors.push_back(std::move(t));
  }

  std::vector<std::uint64_t> naturals(const std::string& name, const HeaderNode& n) const {
    std::vector<std::uint64_t> v;
    if (n.kind != HeaderNode::array) bad_json("shape or data_offsets of tensor '" + printable(name) + "' is no list");
    for (const HeaderNode& item : n.items) {
      if (item.kind != HeaderNode::natural) bad_json("a size of tensor '" + printable(name) + "' is not a natural number");
      v.push_back(item.number);
    }
    return v;
  }

  const std::string& file_;
  std::uint64_t data_bytes_;
  HeaderNode root_;
};

}  // namespace detail

inline SafeTensors SafeTensors::open(const std::string& path) {
  MappedFile file = MappedFile::open(path.c_str());
  SafeTensors s = parse({file.data(), file.bytes()}, path);
  s.file_ = std::move(file);
  return s;
}

inline SafeTensors SafeTensors::parse(std::span<const std::byte> bytes, const std::string& name) {
  constexpr std::uint64_t kLargestHeader = 100'000'000;
  SafeTensors s;
  s.name_ = name;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs"))
    throw Error(Code::kFormat, name + ": a Git-LFS pointer, not the weights; run 'git lfs pull' in the model folder");
  const detail::SafetensorsHeader none(name, 0);
  if (bytes.size() < 8) none.refuse(SafetensorsError::header_too_small, "only " + std::to_string(bytes.size()) + " bytes");
  std::uint64_t n = 0;
  for (int i = 7; i >= 0; --i) n = n << 8 | static_cast<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
  if (n > kLargestHeader) none.refuse(SafetensorsError::header_too_large, "a header of " + std::to_string(n) + " bytes");
  if (n > bytes.size() - 8)
    none.refuse(SafetensorsError::invalid_header_length, "a header of " + std::to_string(n) + " bytes in a file of " +
                                                             std::to_string(bytes.size()) + " (cut short while copying?)");
  detail::SafetensorsHeader header(name, bytes.size() - 8 - n);
  header.read(text.substr(8, n));
  header.validate();
  for (const detail::HeaderTensor& t : header.tensors) {
    AnyView v;
    v.data = bytes.data() + 8 + n + t.begin;
    v.dtype = t.dtype;
    v.rank = static_cast<int>(t.shape.size());
    for (std::size_t i = 0; i < t.shape.size() && i < AnyView::kMaxRank; ++i)
      v.extent[i] = static_cast<index_t>(std::min<std::uint64_t>(t.shape[i], INT64_MAX));
    v.bytes = static_cast<index_t>(t.end - t.begin);
    s.tensors_.emplace(*t.name, v);
    s.names_.push_back(*t.name);
  }
  s.metadata_ = std::move(header.metadata);
  return s;
}

inline const AnyView* SafeTensors::find(std::string_view name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

inline const AnyView& SafeTensors::at(std::string_view name) const {
  if (const AnyView* v = find(name)) return *v;
  throw Error(Code::kNotFound, name_ + ": no tensor '" + detail::SafetensorsHeader::printable(name) + "'");
}

inline void write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    const int x = bit_width(a.view.dtype), y = bit_width(b.view.dtype);
    return x != y ? x > y : a.name < b.name;
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  index_t at = 0;
  for (const NamedTensor& t : tensors) {
    if (header.contains(t.name) || t.view.rank > AnyView::kMaxRank)
      throw Error(Code::kBadArgument, path + ": tensor '" + t.name + "' is given twice or has too high a rank");
    header[t.name] = {{"dtype", dtype_name(t.view.dtype)},
                      {"shape", std::vector<index_t>(t.view.extent, t.view.extent + t.view.rank)},
                      {"data_offsets", {at, at + t.view.bytes}}};
    at += t.view.bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  AtomicFile out(path);
  out.write(length, sizeof length);
  out.write(text.data(), text.size());
  for (const NamedTensor& t : tensors) out.write(t.view.data, static_cast<std::size_t>(t.view.bytes));
  out.commit();
}

}  // namespace tessera::io
