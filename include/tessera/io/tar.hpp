// tar archives: the regular files in them, read in place.
// Format: POSIX.1-2001 (ustar and pax), GNU tar's long names; v7.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/core/mmap.hpp>

namespace tessera::io {

/// Header by header from the front: nothing is unpacked, and only the headers are touched. The bytes must outlive it.
class TarReader {
 public:
  struct Entry {
    std::string name;  ///< as the archive has it: any bytes but NUL
    std::span<const std::byte> bytes;
  };
  /// \param name what errors call the archive
  TarReader(std::span<const std::byte> archive, std::string name) : archive_(archive), name_(std::move(name)) {}

  /// The next regular file; folders, links and devices are passed over. False at the end of the archive.
  /// \throws Error kFormat for what is no header or reaches beyond the end, kUnsupported for sparse files; each sentence
  /// begins with the archive's name and says where.
  bool next(Entry& entry);

 private:
  std::string_view take(std::uint64_t bytes, const char* what);
  [[noreturn]] void fail(Code code, std::string_view what) const;
  void read_pax(std::string_view records, std::string& path, std::uint64_t& size, bool& sized) const;

  std::span<const std::byte> archive_;
  std::string name_;
  std::size_t at_ = 0, header_ = 0;
};

/// A mapped archive and its regular files, in their order.
struct TarFile {
  MappedFile file;
  std::vector<TarReader::Entry> entries;
  /// \throws Error kNotFound, kIo, and as TarReader::next().
  static TarFile open(const std::string& path);
};

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/tar-inl.hpp>
#endif
