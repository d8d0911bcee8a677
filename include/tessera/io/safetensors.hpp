// safetensors files: as strict as the reference reader, and stricter on tensor names that stand twice.
// Format: https://github.com/huggingface/safetensors (README, "Format").
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/mmap.hpp>
#include <tessera/core/view.hpp>

namespace tessera::io {

/// Why a file is refused, by the reference reader's names; duplicate_tensor is ours.
enum class SafetensorsError : unsigned char {
  header_too_small,
  header_too_large,
  invalid_header_length,
  invalid_header,
  invalid_header_deserialization,
  invalid_offset,
  validation_overflow,
  misaligned_slice,
  tensor_invalid_info,
  metadata_incomplete_buffer,
  duplicate_tensor,
};
/// "HeaderTooSmall" and so on.
const char* safetensors_error_name(SafetensorsError e) noexcept;

class SafetensorsFormatError : public Error {
 public:
  SafetensorsFormatError(SafetensorsError kind, const std::string& sentence) : Error(Code::kFormat, sentence), kind_(kind) {}
  SafetensorsError kind() const noexcept { return kind_; }
  const char* kind_name() const noexcept { return safetensors_error_name(kind_); }

 private:
  SafetensorsError kind_;
};

/// A file mapped read-only, or bytes of the caller's. Tensors are views into it: row-major, little-endian, and aligned for
/// their type only by luck. A rank above AnyView::kMaxRank keeps its rank, and only its bytes are reachable; an extent of an
/// empty tensor beyond 2^63 - 1 is shown as that.
class SafeTensors {
 public:
  /// \throws SafetensorsFormatError; Error kFormat for a Git-LFS pointer, kNotFound, kIo.
  static SafeTensors open(const std::string& path);
  /// The same for a file that is mapped already. \param name what errors call it.
  static SafeTensors open(MappedFile file, const std::string& name);
  /// The same over bytes that outlive the result.
  static SafeTensors parse(std::span<const std::byte> bytes, const std::string& name);

  /// The tensor, or null.
  const AnyView* find(std::string_view name) const;
  /// \throws Error kNotFound naming file and tensor.
  const AnyView& at(std::string_view name) const;
  /// In the order of the data.
  const std::vector<std::string>& names() const noexcept { return names_; }
  /// __metadata__, read from the header on each call.
  std::map<std::string, std::string> metadata() const;
  const std::string& name() const noexcept { return name_; }
  const MappedFile& file() const noexcept { return file_; }  ///< empty over bytes of the caller's
  /// Says that the bytes of one of this file's tensors are not needed soon: their pages are given back, and read again when
  /// touched.
  void drop(const AnyView& tensor) const noexcept;

 private:
  MappedFile file_;
  std::string name_;
  std::string_view header_;  // in the file's bytes
  std::vector<std::string> names_;
  std::vector<AnyView> views_;          // beside names_
  std::vector<std::uint32_t> by_name_;  // positions in names_, by name
};

/// One tensor to write.
struct NamedTensor {
  std::string name;
  AnyView view;
};
/// A packed view as AnyView. \throws Error kBadStride for a view with gaps.
template <class T, int Rank>
AnyView any_view(const View<const T, Rank>& v) {
  if (!v.packed()) throw Error(Code::kBadStride, "view: has gaps between its rows; copy it together first");
  AnyView a;
  a.data = reinterpret_cast<const std::byte*>(v.data);
  a.dtype = dtype_of<T>;
  a.rank = Rank;
  for (int i = 0; i < Rank; ++i) a.extent[i] = v.extent[i];
  a.bytes = v.size() * static_cast<index_t>(sizeof(T));
  return a;
}
template <class T, int Rank>
AnyView any_view(const View<T, Rank>& v) {
  return any_view(View<const T, Rank>(v));
}

/// Writes aside, syncs and renames; data sorted by alignment then name, header padded to 8, as the reference writer does, or
/// to a multiple of that. \throws Error kIo, kBadArgument.
void write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {}, std::size_t alignment = 8);

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/safetensors-inl.hpp>
#endif
