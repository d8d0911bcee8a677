#include <tessera/core/mmap.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "support/errors.hpp"

namespace {

using namespace tessera;
namespace fs = std::filesystem;

struct Mapped : testing::Test {
  fs::path folder;
  Mapped() {
    std::string pattern = (fs::temp_directory_path() / "tessera_mmap_XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
  }
  ~Mapped() override { fs::remove_all(folder); }
  std::string write(const char* name, const std::string& bytes) const {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  }
  static std::string read(const MappedFile& f) { return {reinterpret_cast<const char*>(f.data()), f.bytes()}; }
};

TEST_F(Mapped, HoldsTheBytes) {
  const std::string path = write("a", std::string("one\0two", 7));
  const MappedFile f = MappedFile::open(path.c_str());
  EXPECT_EQ(read(f), std::string("one\0two", 7));
  fs::remove(path);
  EXPECT_EQ(read(f), std::string("one\0two", 7));  // the mapping holds it
}
TEST_F(Mapped, EmptyFileIsNoBytes) {
  const MappedFile f = MappedFile::open(write("empty", "").c_str());
  EXPECT_EQ(f.bytes(), 0U);
  EXPECT_EQ(f.data(), nullptr);
  f.drop(0, 0);
  EXPECT_EQ(MappedFile().bytes(), 0U);
}
TEST_F(Mapped, Moves) {
  MappedFile a = MappedFile::open(write("a", "aaa").c_str()), b = MappedFile::open(write("b", "bb").c_str());
  MappedFile c(std::move(a));
  EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(read(c), "aaa");
  c = std::move(b);
  EXPECT_EQ(read(c), "bb");
}
TEST_F(Mapped, RefusesWhatIsNoFileAndNamesIt) {
  TESSERA_EXPECT_ERROR(Code::kNotFound, "nowhere", MappedFile::open((folder / "nowhere").c_str()));
  const std::string file = write("file", "x");
  TESSERA_EXPECT_ERROR(Code::kNotFound, "file/below", MappedFile::open((file + "/below").c_str()));
  TESSERA_EXPECT_ERROR(Code::kFormat, folder.string(), MappedFile::open(folder.c_str()));
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  TESSERA_EXPECT_ERROR(Code::kFormat, "not a regular file", MappedFile::open(pipe.c_str()));  // does not wait for a writer
  TESSERA_EXPECT_ERROR(Code::kFormat, "/dev/null", MappedFile::open("/dev/null"));
  fs::create_symlink("loop", folder / "loop");
  TESSERA_EXPECT_ERROR(Code::kIo, "loop", MappedFile::open((folder / "loop").c_str()));
  EXPECT_EQ(read(MappedFile::open(file.c_str())), "x");
}
TEST_F(Mapped, UnreadableIsAnError) {
  const std::string path = write("secret", "x");
  fs::permissions(path, fs::perms::none);
  if (::access(path.c_str(), R_OK) == 0) {  // root reads everything
    EXPECT_EQ(read(MappedFile::open(path.c_str())), "x");
  } else {
    TESSERA_EXPECT_ERROR(Code::kIo, "secret", MappedFile::open(path.c_str()));
  }
}
TEST_F(Mapped, OpenAtStaysInItsFolder) {
  write("a", "inside");
  fs::create_symlink(folder / "a", folder / "link");
  fs::create_directory(folder / "sub");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(read(MappedFile::open_at(fd, "a", "shown")), "inside");
  TESSERA_EXPECT_ERROR(Code::kIo, "the link", MappedFile::open_at(fd, "link", "the link"));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "shown", MappedFile::open_at(fd, "b", "shown"));
  TESSERA_EXPECT_ERROR(Code::kFormat, "shown", MappedFile::open_at(fd, "sub", "shown"));
  EXPECT_EQ(read(MappedFile::open((folder / "link").c_str())), "inside");  // open() follows: caches are made of links
  ::close(fd);
}
TEST_F(Mapped, DroppedPagesAreReadAgain) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::string bytes(4 * page + 10, '.');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>('a' + i % 23);
  const MappedFile f = MappedFile::open(write("big", bytes).c_str());
  EXPECT_EQ(read(f), bytes);
  const auto most = static_cast<std::size_t>(-1);
  for (const auto& [offset, length] : {std::pair{std::size_t{0}, f.bytes()},
                                       {page + 1, 2 * page},
                                       {std::size_t{5}, std::size_t{3}},
                                       {f.bytes(), std::size_t{1}},
                                       {page, most},
                                       {most, page},
                                       {most - 5, most - 5}}) {
    f.drop(offset, length);  // also outside the file: nothing happens
    EXPECT_EQ(read(f), bytes);
  }
}

}  // namespace
