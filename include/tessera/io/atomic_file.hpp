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

/// "a/b/" of "a/b/c", "." of a name alone.
std::string folder_of(const std::string& path);
/// Syncs the folder that `path` is in, so that what was renamed in it survives a power cut. Not every file system can.
void sync_folder_of(const std::string& path) noexcept;

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/atomic_file-inl.hpp>
#endif
