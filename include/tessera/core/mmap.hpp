// Files as read-only memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include <tessera/core/error.hpp>

namespace tessera {

/// What tells one state of a file from another without reading it, as the system has it. Times in nanoseconds since 1970.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  std::int64_t bytes = 0, modified = 0, changed = 0;
};

/// A regular file mapped read-only. The pages are read when touched; drop() gives some back. A file that another process
/// truncates while it is mapped raises SIGBUS on access, as with every mapping: keep model folders unchanged while in use.
class MappedFile {
 public:
  MappedFile() = default;
  /// \throws Error kNotFound, kIo (naming path and reason), kFormat for what is no regular file.
  static MappedFile open(const char* path);
  /// The same for `path` relative to an open folder (a descriptor, or AT_FDCWD), and not through a symbolic link.
  /// \param shown what errors call the file.
  static MappedFile open_at(int folder, const char* path, const char* shown);
  MappedFile(MappedFile&& o) noexcept : data_(o.data_), bytes_(o.bytes_), identity_(o.identity_) {
    o.data_ = nullptr, o.bytes_ = 0;
  }
  MappedFile& operator=(MappedFile&& o) noexcept;
  ~MappedFile();

  const std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  bool holds(const std::byte* p) const noexcept { return data_ && p >= data_ && p < data_ + bytes_; }
  /// As it was when the file was mapped.
  const FileIdentity& identity() const noexcept { return identity_; }
  /// Says that [offset, offset + bytes) is not needed soon; reading it again reads the file again.
  void drop(std::size_t offset, std::size_t bytes) const noexcept;

 private:
  static MappedFile map(int descriptor, const char* shown);  // closes the descriptor
  const std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  FileIdentity identity_;
};

}  // namespace tessera

#ifndef TESSERA_COMPILED
#include <tessera/core/mmap-inl.hpp>
#endif
