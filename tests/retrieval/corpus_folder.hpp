// What the tests of corpora share.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/retrieval/corpus_writer.hpp>
#include "support/found.hpp"

namespace tessera::test {

/// A folder for a corpus, which goes with the test.
struct CorpusFolder : ::testing::Test {
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tessera_corpus_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name;
    path = folder / "c.safetensors";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  /// Rows from `begin` on in pieces of these sizes, each a commit of its own, parts of at most so many rows.
  void write(const Matrix& rows, const retrieval::CorpusFormat& format, const std::vector<index_t>& pieces,
             index_t part_rows) {
    const std::size_t bytes = static_cast<std::size_t>(part_rows * format.dim) * sizeof(float);
    index_t at = 0;
    for (const index_t n : pieces) {
      auto writer =
          at == 0 ? retrieval::CorpusWriter::create(path, format, bytes) : retrieval::CorpusWriter::append(path, bytes);
      for (index_t r = at; r < at + n; r += 7) writer.add(ctx, rows.in().slice(r, std::min(at + n, r + 7)));
      EXPECT_EQ(writer.commit(ctx), at);
      at += n;
    }
    ASSERT_EQ(at, rows.rows);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string bytes_of(const std::filesystem::path& file) const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::filesystem::path& file, const std::string& bytes) const {
    std::ofstream(file, std::ios::binary) << bytes;
  }

  Context ctx{1};
  std::filesystem::path folder;
  std::string path;
};

}  // namespace tessera::test
