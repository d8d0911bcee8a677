// NumPy's .npy files: read by mapping, written row by row.
// Format: numpy.lib.format, versions 1.0 to 3.0.
#pragma once
#include <memory>
#include <string>

#include <tessera/core/mmap.hpp>
#include <tessera/core/view.hpp>
#include <tessera/io/atomic_file.hpp>

namespace tessera::io {

/// A .npy file in C order and little-endian. \throws Error kFormat saying what is wrong, kUnsupported for other layouts and
/// element types, kNotFound, kIo.
class NpyFile {
 public:
  static NpyFile open(const std::string& path);
  /// The same over bytes that outlive the result.
  static NpyFile parse(const std::byte* data, std::size_t bytes, const std::string& name);
  const AnyView& array() const noexcept { return array_; }

 private:
  MappedFile file_;
  AnyView array_;
};

/// Writes [rows, columns] float32, rows appended in order; the header is corrected and the file put in place by commit().
class NpyWriter {
 public:
  /// \throws Error kIo.
  NpyWriter(const std::string& path, index_t columns);
  void append(const float* rows, index_t count);
  index_t rows() const noexcept { return rows_; }
  void commit();

 private:
  std::string header() const;
  AtomicFile file_;
  index_t columns_, rows_ = 0;
};

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/npy-inl.hpp>
#endif
