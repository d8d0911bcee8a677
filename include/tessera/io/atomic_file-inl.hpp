#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <tessera/io/atomic_file.hpp>

namespace tessera::io {

inline void AtomicFile::fail(const char* what) const {
  throw Error(Code::kIo, path_ + ": cannot " + what + ": " + std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
}

inline AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(path + ".tmpXXXXXX") {
  struct stat st {};
  if (path.empty()) throw Error(Code::kIo, "the output has an empty name; name a file");
  if (::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode))  // a rename would replace a device or a pipe by a file
    throw Error(Code::kIo, path + ": cannot write: " +
                               (S_ISDIR(st.st_mode) ? "a folder; name a file in it" : "not a regular file; name one"));
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) throw Error(Code::kIo, path + ": cannot write: its folder does not exist; make it first");
  if (fd_ < 0) fail("write");
  const mode_t mask = ::umask(0);
  ::umask(mask);
  (void)::fchmod(fd_, 0666 & ~mask);  // mkostemp makes it private
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
    if (n < 0) fail("write");
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
    if (n < 0) fail("write");
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
  const std::size_t slash = path_.rfind('/');
  const int folder =
      ::open(slash == std::string::npos ? "." : path_.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    (void)::fsync(folder);  // the rename itself survives a power cut; not every file system can
    ::close(folder);
  }
}

}  // namespace tessera::io
