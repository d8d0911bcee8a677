// Corpora through the C interface: answers, documents, a status and a sentence for every mistake.
#include <tessera/capi.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <tessera/retrieval/corpus_writer.hpp>
#include "capi/capi_fixture.hpp"

#if defined(__SANITIZE_ADDRESS__)  // g++
#define TESSERA_ADDRESS_SANITIZER
#elif defined(__has_feature)  // clang
#if __has_feature(address_sanitizer)
#define TESSERA_ADDRESS_SANITIZER
#endif
#endif

namespace tessera {
namespace {

/// Row r is (r, 1): a query (1, 0) finds the last first.
struct CApiCorpus : CApi {
  static constexpr std::int64_t kRows = 70;
  void SetUp() override {
    CApi::SetUp();
    std::string name = (fs::temp_directory_path() / "tessera_capi_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name, path = folder / "c.safetensors";
    Context own(1);
    auto writer = retrieval::CorpusWriter::create(path, {.dim = 2});
    for (std::int64_t r = 0; r < kRows; ++r) {
      const float row[] = {static_cast<float>(r), 1};
      const std::string document[] = {r == 3 ? "" : "{\"row\": " + std::to_string(r) + "}"};
      writer.add(own, View<const float, 2>(row, 1, 2), document);
    }
    writer.commit(own);
    ASSERT_OK(tessera_corpus_open(path.c_str(), &corpus));
  }
  fs::path path;
  std::vector<std::int64_t> ids = std::vector<std::int64_t>(6, -7), counts = std::vector<std::int64_t>(2, -7);
  std::vector<float> scores = poisoned(6), queries{1, 0, -1, 0};

  tessera_status search(std::int64_t batch, std::int64_t dim, std::int64_t k, const std::vector<std::uint64_t>& allowed = {},
                        float least = -INFINITY) {
    return tessera_corpus_search(context, corpus, queries.data(), batch, dim, k, allowed.empty() ? nullptr : allowed.data(),
                                 static_cast<std::int64_t>(allowed.size()), least, ids.data(), scores.data(), counts.data());
  }
};

TEST_F(CApiCorpus, Search) {
  using Ids = std::vector<std::int64_t>;
  ASSERT_OK(search(2, 2, 3));
  EXPECT_EQ(ids, (Ids{69, 68, 67, 0, 1, 2}));
  EXPECT_EQ(scores, (std::vector<float>{69, 68, 67, 0, -1, -2}));
  EXPECT_EQ(counts, (Ids{3, 3}));
  ASSERT_OK(search(2, 2, 3, {(1u << 5) | 1u, 2}));
  EXPECT_EQ(ids, (Ids{65, 5, 0, 0, 5, 65}));
  ASSERT_OK(search(2, 2, 3, {0, 0}));
  EXPECT_EQ(ids, Ids(6, -1));
  EXPECT_EQ(counts, (Ids{0, 0}));
  ASSERT_OK(search(2, 2, 3, {}, 68));
  EXPECT_EQ(ids, (Ids{69, 68, -1, -1, -1, -1}));
  EXPECT_EQ(scores[2], -INFINITY);
  EXPECT_EQ(counts, (Ids{2, 0}));
  EXPECT_EQ(tessera_corpus_search(context, corpus, nullptr, 0, 2, 3, nullptr, 0, 0, nullptr, nullptr, nullptr), TESSERA_OK);
}

TEST_F(CApiCorpus, SizeAndDocuments) {
  std::int64_t rows = 0, removed = 0, dim = 0, bytes = 0;
  ASSERT_OK(tessera_corpus_size(corpus, &rows, &removed, &dim));
  EXPECT_EQ((std::vector{rows, removed, dim}), (std::vector<std::int64_t>{kRows, 0, 2}));
  const char* found = nullptr;
  ASSERT_OK(tessera_corpus_document(corpus, 12, &found, &bytes));
  EXPECT_EQ(std::string(found, static_cast<std::size_t>(bytes)), "{\"row\": 12}");
  ASSERT_OK(tessera_corpus_document(corpus, 3, &found, &bytes));
  EXPECT_EQ(bytes, 0);
  const index_t gone[] = {69};
  retrieval::remove_rows(path, gone);
  tessera_corpus* later = nullptr;
  ASSERT_OK(tessera_corpus_open(path.c_str(), &later));
  ASSERT_OK(tessera_corpus_size(later, &rows, &removed, &dim));
  EXPECT_EQ(removed, 1);
  tessera_corpus_destroy(later);
}

TEST_F(CApiCorpus, Mistakes) {
  tessera_corpus* other = nullptr;
  EXPECT_STATUS(TESSERA_NOT_FOUND, "missing", tessera_corpus_open((folder / "missing").c_str(), &other));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "path is null", tessera_corpus_open(nullptr, &other));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "corpus is null", tessera_corpus_open(path.c_str(), nullptr));
  std::ofstream(folder / "cut") << bytes_of(path).substr(0, 200);
  EXPECT_STATUS(TESSERA_FORMAT, "cut", tessera_corpus_open((folder / "cut").c_str(), &other));
  EXPECT_EQ(other, nullptr);

  std::int64_t n = -5, bytes = -5;
  const char* found = nullptr;
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "corpus is null", tessera_corpus_size(nullptr, &n, &n, &n));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "rows is null", tessera_corpus_size(corpus, nullptr, &n, &n));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "removed is null", tessera_corpus_size(corpus, &n, nullptr, &n));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dim is null", tessera_corpus_size(corpus, &n, &n, nullptr));
  for (const std::int64_t id : {std::int64_t{-1}, kRows, INT64_MAX, INT64_MIN})
    EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "no row " + std::to_string(id), tessera_corpus_document(corpus, id, &found, &bytes));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "corpus is null", tessera_corpus_document(nullptr, 0, &found, &bytes));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "text is null", tessera_corpus_document(corpus, 0, nullptr, &bytes));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "bytes is null", tessera_corpus_document(corpus, 0, &found, nullptr));
  EXPECT_EQ(n, -5);
  EXPECT_EQ(bytes, -5);
  EXPECT_EQ(found, nullptr);

  EXPECT_STATUS(TESSERA_SHAPE_MISMATCH, "3 numbers", search(1, 3, 3));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dim and k", search(1, 0, 3));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dim and k", search(1, 2, 0));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dim and k", search(1, 2, -1));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "counts: -1", search(-1, 2, 3));
  EXPECT_STATUS(TESSERA_LIMIT, "ids", search(2, 2, INT64_MAX));
  EXPECT_STATUS(TESSERA_LIMIT, "ids", search(2, 2, INT64_MAX / 8));
  EXPECT_STATUS(TESSERA_LIMIT, "queries", search(INT64_MAX, 2, 1));
  EXPECT_STATUS(TESSERA_SHAPE_MISMATCH, "1 words", search(2, 2, 3, {~std::uint64_t{0}}));
  EXPECT_STATUS(TESSERA_SHAPE_MISMATCH, "3 words", search(2, 2, 3, {1, 1, 1}));
  const std::uint64_t word = 1;
  const auto raw = [&](tessera_context* x, tessera_corpus* c, const float* q, const std::uint64_t* a, std::int64_t words,
                       std::int64_t* i, float* s, std::int64_t* n_found) {
    return tessera_corpus_search(x, c, q, 2, 2, 3, a, words, -INFINITY, i, s, n_found);
  };
  float* q = queries.data();
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "context is null",
                raw(nullptr, corpus, q, nullptr, 0, ids.data(), scores.data(), counts.data()));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "corpus is null",
                raw(context, nullptr, q, nullptr, 0, ids.data(), scores.data(), counts.data()));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "queries is null",
                raw(context, corpus, nullptr, nullptr, 0, ids.data(), scores.data(), counts.data()));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "allowed is null",
                raw(context, corpus, q, nullptr, 2, ids.data(), scores.data(), counts.data()));
  EXPECT_STATUS(TESSERA_SHAPE_MISMATCH, "0 words",
                raw(context, corpus, q, &word, 0, ids.data(), scores.data(), counts.data()));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "ids is null",
                raw(context, corpus, q, nullptr, 0, nullptr, scores.data(), counts.data()));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "scores is null",
                raw(context, corpus, q, nullptr, 0, ids.data(), nullptr, counts.data()));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "counts is null",
                raw(context, corpus, q, nullptr, 0, ids.data(), scores.data(), nullptr));
  EXPECT_EQ(ids, std::vector<std::int64_t>(6, -7));
  EXPECT_EQ(counts, std::vector<std::int64_t>(2, -7));
  EXPECT_TRUE(untouched(scores));
#ifndef TESSERA_ADDRESS_SANITIZER  // which ends the program instead
  EXPECT_STATUS(TESSERA_LIMIT, "out of memory", search(1, 2, std::int64_t{1} << 55));
#endif
}

}  // namespace
}  // namespace tessera
