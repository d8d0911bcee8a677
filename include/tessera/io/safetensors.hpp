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
  /// The same over bytes that outlive the result. \param name what errors call them.
  static SafeTensors parse(std::span<const std::byte> bytes, const std::string& name);

  /// The tensor, or null.
  const AnyView* find(std::string_view name) const;
  /// \throws Error kNotFound naming file and tensor.
  const AnyView& at(std::string_view name) const;
  /// In the order of the data.
  const std::vector<std::string>& names() const noexcept { return names_; }
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  const std::string& name() const noexcept { return name_; }

 private:
  MappedFile file_;
  std::string name_;
  std::vector<std::string> names_;
  std::map<std::string, AnyView, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// One tensor to write.
struct NamedTensor {
  std::string name;
  AnyView view;
};
/// A packed view as AnyView.
template <class T, int Rank>
AnyView any_view(const View<const T, Rank>& v) {
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

/// Writes aside, syncs and renames; data sorted by alignment then name, header padded to 8, as the reference writer does.
/// \throws Error kIo, kBadArgument.
void write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/safetensors-inl.hpp>
#endif
