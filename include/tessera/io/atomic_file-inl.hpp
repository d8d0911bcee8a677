#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include <tessera/io/atomic_file.hpp>

namespace tessera::io {

inline void AtomicFile::fail(const char* what) const {
  throw Error(Code::kIo, {path_, ": cannot ", what, ": ", std::strerror(errno)});  // NOLINT(concurrency-mt-unsafe)
}

inline std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

inline AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  struct stat st {};
  if (path.empty()) throw Error(Code::kIo, "the output has an empty name; name a file");
  if (::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode))  // a rename would replace a device or a pipe by a file
    throw Error(
        Code::kIo,
        {path, ": cannot write: ", (S_ISDIR(st.st_mode) ? "a folder; name a file in it" : "not a regular file; name one")});
  // Not mkstemp, whose files are private: this one gets the permissions of any new file.
  static std::atomic<unsigned> made{0};
  for (int tries = 0; fd_ < 0 && tries < 1000; ++tries) {
    temporary_ = path + ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(made.fetch_add(1));
    fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0 && errno != EEXIST && errno != EINTR) break;
  }
  if (fd_ < 0 && errno == ENOENT) throw Error(Code::kIo, {path, ": cannot write: its folder does not exist; make it first"});
  if (fd_ < 0) fail("write");
}

inline AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

inline void AtomicFile::write(const void* data, std::size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) fail("write");
    p += n;
    bytes -= static_cast<std::size_t>(n);
    written_ += static_cast<std::size_t>(n);
  }
}

inline void AtomicFile::overwrite(std::size_t offset, const void* data, std::size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pwrite(fd_, p, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) fail("write");
    p += n;
    offset += static_cast<std::size_t>(n);
    bytes -= static_cast<std::size_t>(n);
  }
}

inline void AtomicFile::commit() {
  while (::fsync(fd_) != 0)
    if (errno != EINTR) fail("sync");
  const int fd = fd_;
  fd_ = -1;
  const bool closed = ::close(fd) == 0;
  if (!closed || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int why = errno;
    ::unlink(temporary_.c_str());
    errno = why;
    fail(closed ? "rename" : "close");
  }
  sync_folder_of(path_);
}

inline void sync_folder_of(const std::string& path) noexcept {
  const int folder = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  (void)::fsync(folder);
  ::close(folder);
}

}  // namespace tessera::io
