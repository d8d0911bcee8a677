// Files that are whole or not there: written aside, synced, renamed.
#pragma once
#include <cstddef>
#include <string>

#include <tessera/core/error.hpp>

namespace tessera::io {

/// A file being written beside its place. Without commit() it disappears and what was at `path` stays.
class AtomicFile {
 public:
  /// \throws Error kIo naming the path and the reason.
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends, however often the system writes short or is interrupted. \throws Error kIo (a full disk, a quota, ...).
  void write(const void* data, std::size_t bytes);
  /// Replaces bytes already written, such as a header that counts what follows.
  void overwrite(std::size_t offset, const void* data, std::size_t bytes);
  std::size_t written() const noexcept { return written_; }
  /// Syncs the file, renames it to its place and syncs the folder. \throws Error kIo; the old file is then untouched.
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;
  std::string path_, temporary_;
  int fd_ = -1;
  std::size_t written_ = 0;
};

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/atomic_file-inl.hpp>
#endif
