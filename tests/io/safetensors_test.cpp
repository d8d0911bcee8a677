// The reference reader's verdict and class on every recorded file, and what surrounds the format.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include "support/gzip.hpp"

namespace tessera::io {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> base64(const std::string& text) {
  std::vector<std::byte> out;
  unsigned bits = 0, held = 0;
  for (const char c : text) {
    const unsigned v = c >= 'A' && c <= 'Z'   ? static_cast<unsigned>(c - 'A')
                       : c >= 'a' && c <= 'z' ? static_cast<unsigned>(c - 'a') + 26
                       : c >= '0' && c <= '9' ? static_cast<unsigned>(c - '0') + 52
                       : c == '+'             ? 62
                       : c == '/'             ? 63
                                              : 64;
    if (v == 64) continue;
    held = held << 6 | v;
    bits += 6;
    if (bits >= 8) bits -= 8, out.push_back(static_cast<std::byte>(held >> bits & 0xff));
  }
  return out;
}

void check_verdicts(const std::string& file, std::size_t expected_lines) {
  std::size_t lines = 0, accepted = 0, duplicates = 0;
  for (const std::string& line : test::read_gzip_lines(std::string(TESSERA_TEST_DATA) + "/safetensors/" + file)) {
    const Json want = Json::parse(line);
    const std::string name = want.value("name", std::to_string(lines));
    const std::vector<std::byte> bytes = base64(want["b64"].get<std::string>());
    ++lines;
    try {
      const SafeTensors s = SafeTensors::parse(bytes, name);
      EXPECT_TRUE(want["ok"].get<bool>()) << name << ": accepted, the reference says " << want.value("error_class", "");
      if (!want["ok"].get<bool>()) continue;
      ++accepted;
      EXPECT_EQ(s.names().size(), want["tensors"].size()) << name;
      for (const Json& t : want["tensors"]) {
        const AnyView& v = s.at(t[0].get<std::string>());
        EXPECT_STREQ(dtype_name(v.dtype), t[1].get<std::string>().c_str()) << name;
        EXPECT_EQ(v.rank, static_cast<int>(t[2].size())) << name;
        EXPECT_EQ(v.bytes, t[3].get<index_t>()) << name;
        for (int i = 0; i < v.rank && i < AnyView::kMaxRank; ++i) {
          const auto d = t[2][static_cast<std::size_t>(i)].get<std::uint64_t>();
          EXPECT_EQ(static_cast<std::uint64_t>(v.extent[i]), std::min<std::uint64_t>(d, INT64_MAX)) << name;
        }
      }
    } catch (const SafetensorsFormatError& e) {
      if (e.kind() == SafetensorsError::duplicate_tensor) {
        ++duplicates;
        EXPECT_TRUE(want["ok"].get<bool>()) << name << ": refused as a duplicate, the reference has its own class";
        continue;
      }
      EXPECT_FALSE(want["ok"].get<bool>()) << name << ": refused: " << e.what();
      EXPECT_EQ(want.value("error_class", ""), safetensors_error_name(e.kind())) << name << ": " << e.what();
    }
  }
  std::cout << file << ": " << lines << " files, " << accepted << " accepted, " << duplicates
            << " refused only for a name that stands twice\n";
  EXPECT_EQ(lines, expected_lines);
  EXPECT_GT(accepted, lines / 10);
  EXPECT_LE(duplicates, 2u);
}

TEST(Safetensors, NamedCases) { check_verdicts("cases.jsonl.gz", 112); }
TEST(Safetensors, MutatedFiles) { check_verdicts("fuzz.jsonl.gz", 2000); }

struct Folder : ::testing::Test {
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tessera_io_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    root = name;
  }
  void TearDown() override { fs::remove_all(root); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(root + "/" + name, std::ios::binary) << text;
  }
  void tensors(const std::string& name, const std::vector<std::string>& names) {
    static const float values[] = {1.f, 2.f, 3.f};
    std::vector<NamedTensor> list;
    for (const auto& n : names) list.push_back({n, any_view(View<const float, 1>(values, 3))});
    write_safetensors(root + "/" + name, list, {{"format", "pt"}});
  }
  Code code(const std::function<void()>& f, const std::string& says) {
    try {
      f();
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
      return e.code();
    }
    ADD_FAILURE() << "nothing was thrown; expected: " << says;
    return Code::kCancelled;
  }
  Code opening(const std::string& says) {
    return code([&] { (void)Checkpoint::open(root); }, says);
  }
  std::string root;
};

TEST_F(Folder, WriterAndReaderAgreeOnTypesShapesAndOrder) {
  const float f[] = {1.5f, -2.f, 0.f, 4.f, 5.f, 6.f};
  const std::int64_t i[] = {7, -8};
  const std::uint8_t u[] = {9};
  const std::string path = root + "/x.safetensors";
  write_safetensors(path,
                    {{"bytes", any_view(View<const std::uint8_t, 1>(u, 1))},
                     {"f", any_view(View<const float, 2>(f, 2, 3))},
                     {"i", any_view(View<const std::int64_t, 1>(i, 2))}},
                    {{"k", "v"}});
  const SafeTensors s = SafeTensors::open(path);
  EXPECT_EQ(s.names(), (std::vector<std::string>{"i", "f", "bytes"}));  // widest first, so that all are aligned
  const auto v = s.at("f").as<float, 2>();
  EXPECT_EQ(v(1, 2), 6.f);
  EXPECT_EQ((s.at("i").as<std::int64_t, 1>()(1)), -8);
  EXPECT_EQ(s.metadata().at("k"), "v");
  EXPECT_THROW((s.at("f").as<float, 1>()), Error);
  EXPECT_THROW((s.at("f").as<std::int32_t, 2>()), Error);
  EXPECT_EQ(code([&] { (void)s.at("g"); }, "no tensor 'g'"), Code::kNotFound);
}

TEST_F(Folder, GitLfsPointerIsNamedAsSuch) {
  write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n");
  EXPECT_EQ(opening("git lfs pull"), Code::kFormat);
}

TEST_F(Folder, SingleFileIsPreferredToTheIndex) {
  tensors("model.safetensors", {"a"});
  write("model.safetensors.index.json", "not even JSON");
  EXPECT_TRUE(Checkpoint::open(root).find("a"));
}

TEST_F(Folder, IndexIsAnAllowListPerFile) {
  tensors("one.safetensors", {"a", "b"});
  tensors("two.safetensors", {"b", "c"});
  write("model.safetensors.index.json", R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const auto c = Checkpoint::open(root);
  EXPECT_EQ(c.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(c.find("c"));  // in a shard, but not in the map
  const auto two = SafeTensors::open(root + "/two.safetensors");
  EXPECT_EQ(c.at("b").bytes, two.at("b").bytes);
  EXPECT_EQ(code([&] { (void)c.at("z"); }, "no tensor 'z'"), Code::kNotFound);
}

TEST_F(Folder, MissingShardAndMissingTensorAreNamed) {
  tensors("one.safetensors", {"a"});
  write("model.safetensors.index.json", R"({"weight_map":{"a":"one.safetensors","b":"gone.safetensors"}})");
  EXPECT_EQ(opening("gone.safetensors"), Code::kNotFound);
  write("model.safetensors.index.json", R"({"weight_map":{"q":"one.safetensors"}})");
  EXPECT_EQ(opening("no tensor 'q'"), Code::kNotFound);
}

TEST_F(Folder, ShardNamesCannotLeaveTheFolder) {
  fs::create_directory(root + "/model");
  fs::create_directory(root + "/model/sub");
  tensors("secret.safetensors", {"a"});
  tensors("model/sub/x.safetensors", {"a"});
  fs::create_symlink("../secret.safetensors", root + "/model/link.safetensors");
  fs::create_symlink(root, root + "/model/up");
  ASSERT_EQ(mkfifo((root + "/model/pipe.safetensors").c_str(), 0600), 0);
  fs::create_directory(root + "/model/folder.safetensors");
  for (const std::string name : {"../secret.safetensors", "/etc/passwd", "sub/x.safetensors", "up/secret.safetensors",
                                 "link.safetensors", "pipe.safetensors", "folder.safetensors", ".hidden.safetensors",
                                 "x.bin", "", "a\\\\b.safetensors", "..", "x\\u0000.safetensors"}) {
    std::ofstream(root + "/model/model.safetensors.index.json") << R"({"weight_map":{"a":")" << name << "\"}}";
    EXPECT_THROW((void)Checkpoint::open(root + "/model"), Error) << name;
  }
}

TEST_F(Folder, HuggingFaceCacheLinksLoadAndForeignLinksDoNot) {
  const std::string repo = root + "/hub/models--org--name", snapshot = repo + "/snapshots/abc";
  fs::create_directories(snapshot);
  fs::create_directories(repo + "/blobs");
  fs::create_directories(repo + "/refs");
  fs::create_directories(root + "/hub/models--other--name/blobs");
  std::ofstream(repo + "/refs/main") << "abc";
  tensors("hub/models--org--name/blobs/weights", {"a"});
  std::ofstream(repo + "/blobs/config") << R"({"model_type":"bert"})";
  fs::create_symlink("../../blobs/weights", snapshot + "/model.safetensors");
  fs::create_symlink("../../blobs/config", snapshot + "/config.json");
  setenv("HF_HUB_CACHE", (root + "/hub").c_str(), 1);
  const auto folder = ModelFolder::open("org/name");
  EXPECT_EQ(folder.config()["model_type"], "bert");
  EXPECT_TRUE(folder.checkpoint()->find("a"));
  EXPECT_EQ(code([] { (void)ModelFolder::open("org/absent"); }, "hf download org/absent"), Code::kNotFound);
  tensors("hub/models--other--name/blobs/weights", {"a"});
  fs::remove(snapshot + "/model.safetensors");
  fs::create_symlink("../../../models--other--name/blobs/weights", snapshot + "/model.safetensors");
  EXPECT_EQ(code([&] { (void)folder.checkpoint(); }, "link that leaves"), Code::kFormat);
  unsetenv("HF_HUB_CACHE");
}

TEST_F(Folder, FoldersOfOtherFormatsSayWhatToDo) {
  EXPECT_EQ(opening("no model.safetensors"), Code::kNotFound);
  write("model.onnx", "x");
  EXPECT_EQ(opening("ONNX"), Code::kNotFound);
  write("pytorch_model.bin", "x");
  EXPECT_EQ(opening("safe_serialization=True"), Code::kNotFound);
  EXPECT_EQ(code([&] { (void)ModelFolder::open(root).config(); }, "config.json"), Code::kNotFound);
  EXPECT_EQ(code([&] { (void)ModelFolder::open(root).sub("../x"); }, "refused"), Code::kFormat);
}

}  // namespace
}  // namespace tessera::io
