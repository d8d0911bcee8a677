// Archives that Python's tarfile made (tests/fuzz/corpus/make_tar.py), and headers that lie.
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/tar.hpp>
#include "support/errors.hpp"

namespace tessera::io {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

Files files_of(const std::string& archive) {
  TarReader reader({reinterpret_cast<const std::byte*>(archive.data()), archive.size()}, "x.tar");
  Files files;
  for (TarReader::Entry e; reader.next(e);)
    files.emplace_back(e.name, std::string(reinterpret_cast<const char*>(e.bytes.data()), e.bytes.size()));
  return files;
}

std::string kept(const char* name) {
  std::string path = TESSERA_TEST_DATA "/../fuzz/corpus/tar/";
  std::ifstream file(path.append(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Files with(const std::string& name, const std::string& bytes) {
  return {{"a.png", "bytes of a.png"},
          {"folder/b.png", "bytes of folder/b.png"},
          {"\xc3\x89t\xc3\xa9.png", "bytes of \xc3\x89t\xc3\xa9.png"},
          {name, bytes}};
}
std::string many(int n, const std::string& s) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

void number(std::string& header, std::size_t at, int digits, unsigned long long value) {
  for (int i = digits; i-- > 0; value >>= 3) header[at + static_cast<std::size_t>(i)] = static_cast<char>('0' + (value & 7));
}
void seal(std::string& header) {
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(header[i]);
  number(header, 148, 6, sum);
  header[154] = '\0';
}
std::string header(const std::string& name, unsigned long long size, char type = '0') {
  std::string h(512, '\0');
  h.replace(0, name.size(), name);
  number(h, 124, 11, size);
  h[156] = type;
  seal(h);
  return h;
}
std::string block(std::string s) { return s.append((512 - s.size() % 512) % 512, '\0'); }

TEST(Tar, ReadsWhatPythonWrites) {
  const std::string longest = many(40, "long-").insert(0, "folder/").append("name.png");
  EXPECT_EQ(files_of(kept("ustar")),
            with(std::string(100, 'p').append("/").append(30, 'q').append(".png"), "bytes of qqqqqqqq.png"));
  EXPECT_EQ(files_of(kept("gnu")), with(longest, "bytes of ong-name.png"));
  EXPECT_EQ(files_of(kept("pax")), with(longest, "bytes of ong-name.png"));
  EXPECT_EQ(files_of(kept("no_end")), files_of(kept("ustar")));
  EXPECT_TRUE(files_of(kept("empty")).empty());
  EXPECT_TRUE(files_of(kept("zeros")).empty());
}

TEST(Tar, OldHeadersAndNumbersOfOtherKinds) {
  std::string v7 = header("old.png", 3, '\0');
  EXPECT_EQ(files_of(v7 + block("abc")), (Files{{"old.png", "abc"}}));
  EXPECT_TRUE(files_of(header("folder/", 0, '\0')).empty());
  v7.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\x03", 12));  // GNU's binary size
  seal(v7);
  EXPECT_EQ(files_of(v7 + block("abc")), (Files{{"old.png", "abc"}}));
  v7.replace(124, 12, "         3  ");
  seal(v7);
  EXPECT_EQ(files_of(v7 + block("abc")), (Files{{"old.png", "abc"}}));
  std::string hidden = header("link.png", 99999, '2');  // a link has no bytes, whatever its size says
  EXPECT_EQ(files_of(hidden + header("b", 0)), (Files{{"b", ""}}));
  // A pax size wins over the header's, once.
  const std::string pax =
      header("x", 10, 'x') + block("10 size=3\n") + header("a", 7) + block("abc") + header("b", 1) + block("z");
  EXPECT_EQ(files_of(pax), (Files{{"a", "abc"}, {"b", "z"}}));
  // What speaks of an entry that is passed over does not speak of the next one.
  const std::string own = "18 path=other.png\n10 size=2\n";
  const std::string link = header("link", 0, '2'), file = header("a", 3) + block("abc");
  EXPECT_EQ(files_of(header("x", own.size(), 'x') + block(own) + link + file), (Files{{"a", "abc"}}));
  EXPECT_EQ(files_of(header("x", 9, 'L') + block("other.png") + link + file), (Files{{"a", "abc"}}));
  // What follows the end is not read.
  EXPECT_EQ(files_of(header("a", 0) + std::string(512, '\0') + "garbage"), (Files{{"a", ""}}));
}

TEST(Tar, RefusesWhatLies) {
  const auto refused = [](Code code, const char* says, const std::string& archive) {
    SCOPED_TRACE(says);
    TESSERA_EXPECT_ERROR(code, says, (void)files_of(archive));
    TESSERA_EXPECT_ERROR(code, "x.tar: at byte ", (void)files_of(archive));
  };
  refused(Code::kFormat, "checksum", kept("sum"));
  refused(Code::kFormat, "beyond the end", kept("cut"));
  refused(Code::kFormat, "a file of 4 bytes reaches beyond the end", header("a", 4) + "abc");
  refused(Code::kFormat, "beyond the end", header("a", 077777777777) + block("abc"));
  refused(Code::kFormat, "a header of 512 bytes", header("a", 0) + "short");
  refused(Code::kFormat, "checksum", std::string(600, 'x'));
  for (const char* size : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "12x45678901 ", "-0000000003 "}) {
    std::string h = header("a", 0);
    h.replace(124, 12, size);
    seal(h);
    refused(Code::kFormat, "a size that is no number", h + block("abc"));
  }
  std::string most = header("a", 0);
  most.replace(124, 12, std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12));
  seal(most);
  refused(Code::kFormat, "beyond the end", most + block("abc"));
  refused(Code::kFormat, "more than 1 MiB", header("a", 2 << 20, 'L') + block(std::string(2 << 20, 'n')));
  refused(Code::kUnsupported, "sparse", header("a", 0, 'S'));
  for (const char* record : {"4 a=\n", "8 size=3\n", "99 size=3\n", "size=3\n", "0 =\n", "10 size 3\n", "10 size=x\n",
                             "11 size=-3\n", "29 size=99999999999999999999\n", "99999999999999999999999 a=b\n"}) {
    const std::string text(record);
    refused(Code::kFormat, "pax", header("x", text.size(), 'x') + block(text) + header("a", 3) + block("abc"));
  }
  const std::string sparse = "22 GNU.sparse.major=1\n";
  refused(Code::kUnsupported, "sparse", header("x", sparse.size(), 'x') + block(sparse));
}

TEST(Tar, OpensFiles) {
  const TarFile tar = TarFile::open(TESSERA_TEST_DATA "/../fuzz/corpus/tar/gnu");
  ASSERT_EQ(tar.entries.size(), 4u);
  EXPECT_EQ(tar.entries[0].name, "a.png");
  TESSERA_EXPECT_ERROR(Code::kNotFound, "none.tar", (void)TarFile::open("none.tar"));
}

}  // namespace
}  // namespace tessera::io
