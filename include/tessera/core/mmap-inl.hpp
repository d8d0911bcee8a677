#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <tessera/core/mmap.hpp>

namespace tessera {

inline MappedFile MappedFile::open(const char* path) {
  // Without O_NONBLOCK the open of a named pipe would wait for a writer.
  return map(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path);
}

inline MappedFile MappedFile::open_at(int folder, const char* path, const char* shown) {
  return map(::openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), shown);
}

inline MappedFile MappedFile::map(int descriptor, const char* shown) {
  const auto failed = [shown](const char* what) {
    const int why = errno;
    return Error(why == ENOENT || why == ENOTDIR ? Code::kNotFound : Code::kIo,
                 {shown, ": cannot ", what, ": ", std::strerror(why)});  // NOLINT(concurrency-mt-unsafe)
  };
  struct Descriptor {
    int fd;
    ~Descriptor() {
      if (fd >= 0) ::close(fd);
    }
  };
  const Descriptor d{descriptor};
  if (d.fd < 0) throw failed("open");
  struct stat st {};
  if (::fstat(d.fd, &st) != 0) throw failed("look at");
  if (!S_ISREG(st.st_mode)) throw Error(Code::kFormat, {shown, ": not a regular file"});
  MappedFile file;
  const auto nanoseconds = [](const timespec& t) { return t.tv_sec * std::int64_t{1000000000} + t.tv_nsec; };
  file.identity_ = {st.st_dev, st.st_ino, st.st_size, nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
  if (st.st_size == 0) return file;
  void* p = ::mmap(nullptr, static_cast<std::size_t>(st.st_size), PROT_READ, MAP_PRIVATE, d.fd, 0);
  if (p == MAP_FAILED) throw failed("map");  // NOLINT
  file.data_ = static_cast<const std::byte*>(p);
  file.bytes_ = static_cast<std::size_t>(st.st_size);
  if (::fstat(d.fd, &st) != 0 || static_cast<std::size_t>(st.st_size) < file.bytes_)
    throw Error(Code::kIo, {shown, ": the file shrinks while it is read"});
  return file;
}

inline MappedFile& MappedFile::operator=(MappedFile&& o) noexcept {
  std::swap(data_, o.data_);
  std::swap(bytes_, o.bytes_);
  std::swap(identity_, o.identity_);
  return *this;
}

inline MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), bytes_);
}

inline void MappedFile::drop(std::size_t offset, std::size_t bytes) const noexcept {
  if (!data_ || offset > bytes_ || bytes > bytes_ - offset) return;
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = (offset + page - 1) / page * page, end = (offset + bytes) / page * page;
  if (end > begin) (void)::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace tessera
