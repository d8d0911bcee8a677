#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <tessera/io/atomic_file.hpp>
#include <tessera/retrieval/detail/corpus_files.hpp>
#include <tessera/retrieval/detail/unnamed_parts.hpp>

namespace tessera::retrieval::detail {

[[noreturn]] inline void io_error(const std::string& path, const char* what) {
  throw Error(Code::kIo, {path, ": cannot ", what, ": ", std::strerror(errno)});  // NOLINT(concurrency-mt-unsafe)
}

inline constexpr std::string_view kListEnding = ".writing", kPartEnding = ".safetensors";
inline constexpr std::size_t kNameDigits = 16;

inline std::string list_path(const std::string& path, const std::string& name) {
  std::string part = part_path(path, name);
  return part.replace(part.size() - kPartEnding.size(), kPartEnding.size(), kListEnding);
}

inline bool is_name(std::string_view s) {
  return s.size() == kNameDigits && s.find_first_not_of("0123456789abcdef") == s.npos;
}

/// Whether it is what AtomicFile calls the beginning of a file.
inline bool is_beginning_of(std::string_view name, std::string_view file) {
  constexpr std::string_view kMiddle = ".tmp";
  return name.size() > file.size() + kMiddle.size() && name.starts_with(file) &&
         name.substr(file.size(), kMiddle.size()) == kMiddle &&
         name.find_first_not_of("0123456789-", file.size() + kMiddle.size()) == name.npos;
}

inline FolderLock::FolderLock(const std::string& path)
    : folder_(::open(io::folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  while (folder_ >= 0 && !(held_ = ::flock(folder_, LOCK_EX) == 0) && errno == EINTR) {}
}
inline FolderLock::~FolderLock() {
  if (folder_ >= 0) ::close(folder_);
}

inline UnnamedParts::UnnamedParts(UnnamedParts&& o) noexcept
    : path_(std::move(o.path_)),
      list_(std::move(o.list_)),
      fd_(std::exchange(o.fd_, -1)),
      names_(std::exchange(o.names_, {})),
      replaced_(std::exchange(o.replaced_, {})) {}

inline UnnamedParts::~UnnamedParts() {
  for (const std::string& name : names_) (void)std::remove(part_path(path_, name).c_str());
  close_list();
}

inline void UnnamedParts::keep() noexcept {
  names_.clear();
  for (const std::string& part : replaced_) (void)std::remove(part.c_str());
  replaced_.clear();
  close_list();
}

inline void UnnamedParts::close_list() noexcept {
  if (fd_ < 0) return;
  (void)std::remove(list_.c_str());
  ::close(std::exchange(fd_, -1));
}

inline std::string UnnamedParts::reserve(io::Digest digest) {
  const FolderLock lock(path_);
  return reserve(digest, lock);
}

inline std::string UnnamedParts::reserve(io::Digest digest, const FolderLock& lock) {
  for (;; digest.add("again")) {
    const std::string part = part_path(path_, digest.hex());
    list(digest.hex(), lock);
    const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      ::close(fd);
      return names_.emplace_back(digest.hex());
    }
    if (errno != EEXIST && errno != EINTR) io_error(part, "write");
    unlist_last();
  }
}

inline bool UnnamedParts::link(const std::string& name, const FolderLock& lock) {
  list(name, lock);
  if (::link(path_.c_str(), part_path(path_, name).c_str()) == 0) {
    names_.push_back(name);
    return true;
  }
  const int why = errno;
  unlist_last();
  errno = why;
  return false;
}

inline void UnnamedParts::replaces(const std::string& name, const FolderLock& lock) {
  list(name, lock);
  replaced_.push_back(part_path(path_, name));
}

inline void UnnamedParts::list(const std::string& name, const FolderLock&) {
  io::Digest digest;
  for (digest.add(name); fd_ < 0; digest.add("again")) {
    list_ = list_path(path_, digest.hex());
    fd_ = ::open(list_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno != EEXIST && errno != EINTR) io_error(list_, "write");
  }
  while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {}
  const std::string line = name + '\n';
  if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) io_error(list_, "write");
}

inline void UnnamedParts::unlist_last() {
  const off_t end = ::lseek(fd_, -static_cast<off_t>(kNameDigits + 1), SEEK_CUR);
  if (end < 0 || ::ftruncate(fd_, end) != 0) io_error(list_, "write");
}

struct Leftover {
  std::string list;
  std::vector<std::string> ids;
};

inline std::vector<std::string> read_list(int fd) {
  std::vector<std::string> ids;
  std::string line(kNameDigits + 1, '\0');
  while (::read(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()))
    if (const std::string id = line.substr(0, kNameDigits); is_name(id) && line.back() == '\n') ids.push_back(id);
  return ids;
}

inline void remove_leftovers(const std::string& path, const FolderLock& lock) {
  namespace fs = std::filesystem;
  if (!lock.held()) return;
  const fs::path folder = io::folder_of(path);
  const std::string base = fs::path(path).filename().string(),
                    stem = base.substr(0, base.size() - (base.ends_with(kPartEnding) ? kPartEnding.size() : 0));
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  const auto remove = [&](const std::string& name) { fs::remove(folder / name, error); };
  for (const std::string& name : names)
    if (is_beginning_of(name, base)) remove(name);  // they are written under this lock
  std::vector<std::string> lists;
  for (const std::string& list : names)
    if (list.size() == stem.size() + 1 + kNameDigits + kListEnding.size() && list.starts_with(stem + '-') &&
        list.ends_with(kListEnding) && is_name(std::string_view(list).substr(stem.size() + 1, kNameDigits)))
      lists.push_back(list);
  if (lists.empty()) return;
  std::set<std::string> named;
  try {  // two corpora may have parts of that stem
    for (const std::string& root : {stem, stem + std::string(kPartEnding)})
      if (fs::is_regular_file(folder / root, error))
        for (const auto& part : Root::read((folder / root).string()).parts) named.insert(part.name);
  } catch (const Error&) {
    return;  // nobody knows what is whose
  }
  std::set<std::string> living;
  std::vector<Leftover> leftovers;
  for (const std::string& list : lists) {
    const int fd = ::open((folder / list).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    const bool left = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
    std::vector<std::string> ids = read_list(fd);
    ::close(fd);
    if (left)
      leftovers.push_back({list, std::move(ids)});
    else
      living.insert(ids.begin(), ids.end());
  }
  for (const Leftover& leftover : leftovers) {
    for (const std::string& id : leftover.ids) {
      if (living.contains(id) || named.contains(id)) continue;
      // The part goes last of its files and the list after them: whoever is killed here leaves no file that no list names.
      const std::string part = stem + '-' + id + std::string(kPartEnding);
      for (const std::string& name : names)
        if (is_beginning_of(name, part)) remove(name);
      remove(part);
    }
    remove(leftover.list);
  }
}

}  // namespace tessera::retrieval::detail
