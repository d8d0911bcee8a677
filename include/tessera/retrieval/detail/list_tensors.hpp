// Lists of numbers as tensors of files: read with their type checked, and written.
#pragma once
#include <algorithm>
#include <span>
#include <string>

#include <tessera/io/safetensors.hpp>

namespace tessera::retrieval::detail {

/// Tensor `name` of a file: numbers of type T, one after the other.
template <class T>
std::span<const T> list_of(const io::SafeTensors& file, const std::string& name) {
  const AnyView& v = file.at(name);
  if (v.dtype != dtype_of<T> || v.rank != 1 || !v.aligned_for<T>())
    throw Error(Code::kFormat, {file.name(), ": tensor '", name, "' is ", dtype_name(v.dtype), " of rank ",
                                std::to_string(v.rank), ", expected ", dtype_name(dtype_of<T>), " of rank 1, aligned"});
  return {reinterpret_cast<const T*>(v.data), static_cast<std::size_t>(v.size())};
}

/// Whether they part a list of n: from 0 to n, never descending.
inline bool parts(std::span<const index_t> offsets, std::size_t n) {
  return !offsets.empty() && offsets.front() == 0 && std::is_sorted(offsets.begin(), offsets.end()) &&
         offsets.back() == static_cast<index_t>(n);
}

/// A list as a tensor of that name.
template <class T>
io::NamedTensor list_tensor(const std::string& name, const T* data, std::size_t n) {
  return {name, io::any_view(View<const T, 1>(data, static_cast<index_t>(n)))};
}

}  // namespace tessera::retrieval::detail
