// Parts of a corpus that no file names yet, and what is left of writers that were killed.
#pragma once
#include <string>
#include <vector>

#include <tessera/io/digest.hpp>

namespace tessera::retrieval::detail {

/// Keeps other writers of a folder out. Held for as long as it takes to replace a small file. Where the file system has no
/// locks, two writers at one moment are the caller's to prevent.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();
  bool held() const noexcept { return held_; }

 private:
  int folder_;
  bool held_ = false;
};

/// The files of parts that one writer makes; without keep() they disappear. A file beside them, STEM-<16 hexadecimal
/// digits>.writing, lists them and is locked for as long as the writer lives, so that others can tell what a killed one
/// left.
class UnnamedParts {
 public:
  explicit UnnamedParts(std::string path) : path_(std::move(path)) {}
  UnnamedParts(UnnamedParts&& o) noexcept;
  UnnamedParts& operator=(UnnamedParts&&) = delete;
  ~UnnamedParts();

  /// A name whose file did not exist and now does, empty. \throws Error kIo.
  std::string reserve(io::Digest digest);
  std::string reserve(io::Digest digest, const FolderLock& lock);
  /// Gives the corpus' own file that name too. False, with errno, where that is not possible. \throws Error kIo.
  bool link(const std::string& name, const FolderLock& lock);
  /// What a file names until it names these: keep() removes it, or whoever finds that this writer was killed before.
  void replaces(const std::string& name, const FolderLock& lock);
  /// A file names them now.
  void keep() noexcept;

 private:
  // Before the file is made, or a killed writer's would stay; under the lock, or who removes leftovers could take it for
  // one.
  void list(const std::string& name, const FolderLock& lock);
  void unlist_last();
  void close_list() noexcept;

  std::string path_, list_;
  int fd_ = -1;
  std::vector<std::string> names_, replaced_;
};

/// Removes what killed writers of the corpus at `path` left: parts that they listed and that no corpus names, and beginnings
/// of files of theirs. What a living writer has locked stays, and all of it where the file system has no locks.
void remove_leftovers(const std::string& path, const FolderLock& lock);

}  // namespace tessera::retrieval::detail

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/detail/unnamed_parts-inl.hpp>
#endif
