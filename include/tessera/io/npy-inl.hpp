#pragma once
#include <cstring>
#include <string_view>

#include <tessera/io/detail/printable.hpp>
#include <tessera/io/npy.hpp>

namespace tessera::io {

namespace detail {

/// The Python literal of a .npy header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class NpyHeader {
 public:
  NpyHeader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && descr.empty())
        descr = quoted();
      else if (key == "fortran_order" && order_ == '?')
        order_ = word("True") ? 'F' : word("False") ? 'C' : fail("fortran_order is neither True nor False");
      else if (key == "shape" && rank < 0)
        shape();
      else
        fail("an unknown or repeated key in the header");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    blank();
    if (at_ != text_.size()) fail("something after the header's dictionary");
    if (descr.empty() || order_ == '?' || rank < 0) fail("the header lacks descr, fortran_order or shape");
    if (order_ == 'F' && rank > 1)
      throw Error(Code::kUnsupported, {name_, ": in Fortran order; save numpy.ascontiguousarray(x)"});
  }
  [[noreturn]] char fail(const char* why) const { throw Error(Code::kFormat, {name_, ": not a valid .npy file: ", why}); }

  std::string_view descr;
  int rank = -1;
  index_t extent[AnyView::kMaxRank] = {};

 private:
  void blank() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    blank();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail("the header is not the dictionary that NumPy writes");
  }
  bool word(std::string_view w) {
    blank();
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  std::string_view quoted() {
    blank();
    const char q = at_ < text_.size() ? text_[at_] : '\0';
    if (q != '\'' && q != '"') fail("a string is missing in the header");
    const std::size_t begin = ++at_, end = text_.find(q, begin);
    if (end == text_.npos) fail("a string in the header does not end");
    at_ = end + 1;
    return text_.substr(begin, end - begin);
  }
  void shape() {
    expect('(');
    for (rank = 0; !accept(')');) {
      if (rank == AnyView::kMaxRank) fail("more dimensions than are supported");
      blank();
      index_t n = 0;
      const std::size_t begin = at_;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
        if (__builtin_mul_overflow(n, index_t{10}, &n) || __builtin_add_overflow(n, text_[at_] - '0', &n))
          fail("a dimension overflows");
      if (at_ == begin) fail("a dimension is not a natural number");
      extent[rank++] = n;
      if (!accept(',')) {
        expect(')');
        if (rank == 1) fail("the shape is a number in brackets, not a tuple");
        break;
      }
    }
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  char order_ = '?';
};

}  // namespace detail

inline NpyFile NpyFile::open(const std::string& path) {
  MappedFile file = MappedFile::open(path.c_str());
  NpyFile npy = parse(file.data(), file.bytes(), path);
  npy.file_ = std::move(file);
  return npy;
}

inline NpyFile NpyFile::parse(const std::byte* data, std::size_t bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  detail::NpyHeader none({}, name);
  if (!text.starts_with("\x93NUMPY") || bytes < 10) none.fail("it does not begin with \\x93NUMPY");
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(text[i])); };
  const std::size_t version = byte(6);
  if (version < 1 || version > 3 || byte(7) != 0) none.fail("an unknown version");
  const std::size_t prefix = version == 1 ? 10 : 12;
  if (bytes < prefix) none.fail("it ends within the header");
  const std::size_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
  if (length > bytes - prefix) none.fail("it ends within the header");
  detail::NpyHeader h(text.substr(prefix, length), name);
  h.parse();
  static constexpr struct {
    const char* descr;
    DType dtype;
  } kTypes[] = {{"<f4", DType::f32}, {"<f8", DType::f64}, {"<f2", DType::f16}, {"<i8", DType::i64},
                {"<i4", DType::i32}, {"<i2", DType::i16}, {"|i1", DType::i8},  {"<u8", DType::u64},
                {"<u4", DType::u32}, {"<u2", DType::u16}, {"|u1", DType::u8},  {"|b1", DType::boolean}};
  NpyFile npy;
  bool known = false;
  for (const auto& t : kTypes)
    if (h.descr == t.descr) npy.array_.dtype = t.dtype, known = true;
  if (!known)
    throw Error(Code::kUnsupported,
                {name, ": element type '", detail::printable(h.descr), "'; little-endian numbers are supported"});
  npy.array_.rank = h.rank;
  index_t n = bit_width(npy.array_.dtype) / 8;
  bool overflow = false;
  for (int i = 0; i < h.rank; ++i) {
    npy.array_.extent[i] = h.extent[i];
    overflow = overflow || __builtin_mul_overflow(n, h.extent[i], &n);
  }
  const std::size_t rest = bytes - prefix - length;
  if (overflow) none.fail("the size of its shape overflows");
  if (static_cast<std::size_t>(n) != rest)
    none.fail(static_cast<std::size_t>(n) < rest ? "there are more bytes than its shape asks for"
                                                 : "there are fewer bytes than its shape asks for");
  npy.array_.data = data + prefix + length;
  npy.array_.bytes = n;
  return npy;
}

inline NpyWriter::NpyWriter(const std::string& path, index_t columns) : file_(path), columns_(columns) {
  if (columns < 0) throw Error(Code::kBadArgument, {path, ": a negative number of columns"});
  const std::string h = header();
  file_.write(h.data(), h.size());
}

// 128 bytes whatever the shape, so that it can be corrected in place.
inline std::string NpyWriter::header() const {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows_) + ", " +
                     std::to_string(columns_) + "), }";
  text.resize(117, ' ');
  text += '\n';
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text;
}

inline void NpyWriter::append(const float* rows, index_t count) {
  if (count < 0) throw Error(Code::kBadArgument, "npy: a negative number of rows");
  file_.write(rows, static_cast<std::size_t>(count) * static_cast<std::size_t>(columns_) * sizeof(float));
  rows_ += count;
}

inline void NpyWriter::commit() {
  const std::string h = header();
  file_.overwrite(0, h.data(), h.size());
  file_.commit();
}

}  // namespace tessera::io
