// .npy, JSON and files that are whole or not there.
#include <sys/resource.h>
#include <csignal>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>

namespace tessera::io {
namespace {

namespace fs = std::filesystem;

struct Files : ::testing::Test {
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tessera_files_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    root = name;
  }
  void TearDown() override { fs::remove_all(root); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(root), fs::directory_iterator()));
  }
  std::string read(const std::string& name) const {
    std::ifstream f(root + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(f), {}};
  }
  std::string root;
};

std::string npy(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string h = dictionary;
  h.resize(118 - (version > 1 ? 2 : 0), ' ');
  h.back() = '\n';
  std::string s("\x93NUMPY");
  s += static_cast<char>(version);
  s += '\0';
  s += static_cast<char>(h.size());
  s += std::string(version > 1 ? 3 : 1, '\0');
  return s + h + data;
}
Code refused(const std::string& bytes) {
  try {
    (void)NpyFile::parse(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), "x.npy");
  } catch (const Error& e) {
    return e.code();
  }
  return Code::kCancelled;
}

TEST_F(Files, NpyIsWrittenInAppendsAndReadBack) {
  const float rows[] = {1, 2, 3, 4, 5, 6};
  NpyWriter w(root + "/x.npy", 2);
  w.append(rows, 1);
  w.append(rows + 2, 2);
  EXPECT_FALSE(fs::exists(root + "/x.npy"));  // nothing half-done is visible
  w.commit();
  EXPECT_EQ(entries(), 1u);
  const auto file = NpyFile::open(root + "/x.npy");
  const auto v = file.array().as<float, 2>();
  ASSERT_EQ(v.extent[0], 3);
  ASSERT_EQ(v.extent[1], 2);
  EXPECT_EQ(v(2, 1), 6.f);
  EXPECT_EQ(fs::file_size(root + "/x.npy"), 128u + 24u);
}

TEST_F(Files, NpyHeadersOfEveryVersionAndOrderOfKeys) {
  for (const int version : {1, 2, 3}) {
    const std::string s = npy("{'shape': (2,), 'fortran_order': False, 'descr': '<i4'}", std::string(8, '\1'), version);
    const auto file = NpyFile::parse(reinterpret_cast<const std::byte*>(s.data()), s.size(), "x");
    EXPECT_EQ(file.array().dtype, DType::i32);
    EXPECT_EQ(file.array().rank, 1);
  }
  const std::string scalar = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", std::string(8, '\0'));
  EXPECT_EQ(NpyFile::parse(reinterpret_cast<const std::byte*>(scalar.data()), scalar.size(), "x").array().rank, 0);
}

TEST_F(Files, MalformedNpyIsRefused) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", data(8, '\0');
  EXPECT_EQ(refused(npy(good, data)), Code::kCancelled);
  EXPECT_EQ(refused(""), Code::kFormat);
  EXPECT_EQ(refused("\x93NUMPY"), Code::kFormat);
  EXPECT_EQ(refused(npy(good, data).substr(0, 40)), Code::kFormat);
  EXPECT_EQ(refused(npy(good, data + "x")), Code::kFormat);
  EXPECT_EQ(refused(npy(good, data.substr(1))), Code::kFormat);
  EXPECT_EQ(refused(npy(good, data, 4)), Code::kFormat);
  for (const char* bad :
       {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 1), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), } x",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 1), }", "{'descr': '<f4', 'shape': (2, 1), }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}", "[]", "{'other': 1}"})
    EXPECT_EQ(refused(npy(std::string(bad), data)), Code::kFormat) << bad;
  for (const char* other : {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1), }",
                            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
                            "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }"})
    EXPECT_EQ(refused(npy(std::string(other), data)), Code::kUnsupported) << other;
}

TEST(Json, RefusesWhatStrictReadersRefuse) {
  const auto code = [](std::string_view text) {
    try {
      (void)parse_json(text, "c.json", {.bytes = 1000, .depth = 8});
    } catch (const Error& e) {
      return e.code();
    }
    return Code::kCancelled;
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(code(R"({"a":[1,{"b":null}]})"), Code::kCancelled);
  for (const std::string_view bad :
       {R"({"a":1,"a":2})"sv, R"({"a":{"b":1,"b":1}})"sv, "[1,]"sv, "{}x"sv, "\xef\xbb\xbf{}"sv, "{}\0"sv,
        "{\"a\":\"\xff\"}"sv, ""sv, "NaN"sv, "[[[[[[[[[1]]]]]]]]]"sv, "version https://git-lfs.github.com/spec/v1"sv})
    EXPECT_EQ(code(bad), Code::kFormat) << bad;
  EXPECT_EQ(code(std::string(2000, ' ') + "{}"), Code::kLimit);
  EXPECT_EQ(code(R"([{"a":1},{"a":2}])"), Code::kCancelled);  // the same key in two objects
  EXPECT_THROW(parse_json(std::string(100000, '['), "deep"), Error);
}

TEST(Json, FieldsNameWhatIsWrong) {
  const Json j = Json::parse(R"({"i":7,"big":18446744073709551615,"f":1.5,"s":"x","n":null,"b":true})");
  EXPECT_EQ(get_int(j, "i", 0, 9), 7);
  EXPECT_EQ(get_int(j, "absent", 0, 9, 5), 5);
  EXPECT_EQ(get_int(j, "n", 0, 9, 5), 5);
  for (const char* key : {"big", "f", "s", "b", "absent"}) EXPECT_THROW(get_int(j, key, 0, 9), Error) << key;
  EXPECT_THROW(get_int(j, "i", 8, 9), Error);
  EXPECT_THROW(get_bool(j, "i", false), Error);
  EXPECT_THROW(get_string(j, "i"), Error);
  EXPECT_THROW(get_number(j, "s", 0), Error);
  EXPECT_THROW(get_int(Json::array(), "i", 0, 1), Error);
}

TEST_F(Files, AbandonedAndFailedWritesLeaveTheOldFile) {
  std::ofstream(root + "/x") << "old";
  { AtomicFile(root + "/x").write("new", 3); }
  EXPECT_EQ(read("x"), "old");
  EXPECT_EQ(entries(), 1u);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);  // what a full disk looks like
  const std::string big(5000, 'x');
  try {
    AtomicFile f(root + "/x");
    f.write(big.data(), big.size());
    f.commit();
    ADD_FAILURE() << "a write beyond the limit went through";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kIo);
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read("x"), "old");
  EXPECT_EQ(entries(), 1u);
  AtomicFile f(root + "/x");
  f.write("new", 3);
  f.commit();
  EXPECT_EQ(read("x"), "new");
  EXPECT_THROW(AtomicFile("/dev/full"), Error);  // never replaced by a file
  EXPECT_THROW(AtomicFile(root + "/no/such/folder"), Error);
  EXPECT_THROW(AtomicFile(root + "/."), Error);
}

TEST_F(Files, MappedFilesAreRegularOnes) {
  EXPECT_THROW(MappedFile::open((root + "/none").c_str()), Error);
  EXPECT_THROW(MappedFile::open(root.c_str()), Error);
  EXPECT_THROW(MappedFile::open("/dev/zero"), Error);
  std::ofstream(root + "/empty");
  EXPECT_EQ(MappedFile::open((root + "/empty").c_str()).bytes(), 0u);
}

}  // namespace
}  // namespace tessera::io
