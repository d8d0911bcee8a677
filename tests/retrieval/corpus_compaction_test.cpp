// A corpus of few parts answers as the one of many did, bit for bit; and what killed writers left goes, no more.
#include <tessera/retrieval/corpus_compaction.hpp>

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/hamming.hpp>
#include <tessera/ops/stack_rows.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include "retrieval/corpus_folder.hpp"
#include "support/errors.hpp"

namespace tessera::retrieval {
namespace {

namespace fs = std::filesystem;
using test::filled, test::Found, test::Matrix;

bool same_bytes(const PackedWeight& a, const PackedWeight& b) {
  return a.n() == b.n() && a.bytes() == b.bytes() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

TEST(StackRows, AreThoseOfOnePacking) {
  Context ctx{2};
  for (const index_t k : {1, 5, 64, 70}) {
    Matrix rows = filled(150, k, {.seed = 31, .pad = 2});
    rows(70, k - 1) = 300;  // far from the rest: int8 keeps it apart
    for (const DType as : {DType::f32, DType::bf16, DType::i8, DType::boolean}) {
      const auto pack = [&](index_t begin, index_t end) {
        if (as == DType::boolean) return ops::BitRows::pack(ctx, rows.in().slice(begin, end)).panels;
        WeightView w = rows.in().slice(begin, end);
        w.packed = as, w.most_rounding = std::numeric_limits<float>::infinity();
        return ops::pack_weight(ctx, w);
      };
      for (const auto& ends : {std::vector<index_t>{150}, {64, 128, 150}, {1, 17, 80, 150}}) {
        std::vector<PackedWeight> parts;
        index_t begin = 0;
        for (const index_t end : ends) parts.push_back(pack(begin, end)), begin = end;
        EXPECT_TRUE(same_bytes(ops::stack_rows(parts), pack(0, 150))) << k << dtype_name(as) << ends.size();
      }
    }
  }
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no parts", (void)ops::stack_rows({}));
  const PackedWeight two[] = {ops::pack_weight(ctx, filled(3, 4).in()), ops::pack_weight(ctx, filled(3, 5).in())};
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "different", (void)ops::stack_rows(two));
}

struct CompactionTest : test::CorpusFolder {
  Matrix rows = filled(200, 24, {.seed = 32}), queries = filled(3, 24, {.seed = 33});
  const std::vector<index_t> gone = {0, 69, 70, 71, 199};

  /// Parts of 70, 3, 60, 60 and 7 rows; the second one has no documents.
  void make(const CorpusFormat& format) {
    index_t begin = 0;
    for (const index_t end : {70, 73, 193, 200}) {
      const std::size_t bytes = static_cast<std::size_t>(60 * format.dim) * sizeof(float);
      auto writer = begin == 0 ? CorpusWriter::create(path, format) : CorpusWriter::append(path, bytes);
      std::vector<std::string> documents;
      for (index_t r = begin; r < end && end != 73; ++r)
        documents.push_back(r % 5 == 2 ? ""
                                       : R"({"text": "row w)" + std::to_string(r % 13) + " w" + std::to_string(r) + "\"}");
      writer.add(ctx, rows.in().slice(begin, end), documents);
      writer.commit(ctx);
      begin = end;
    }
    remove_rows(path, gone);
  }
  struct Answer {
    Found found{3, 200};
    std::vector<Ranking> words;
    std::vector<std::string> documents;
    bool operator==(const Answer&) const = default;
  };
  Answer answer() {
    const Corpus corpus = Corpus::open(path);
    Answer a;
    corpus.search(ctx, queries.in(), {}, a.found.out());
    const Bm25 index = index_words(corpus);
    for (const char* text : {"w1 w12 row", "w69", "w150 w7"}) a.words.push_back(index.search(index.terms(text), 50));
    for (index_t r = 0; r < corpus.rows(); ++r) a.documents.emplace_back(corpus.has(r) ? corpus.document(r) : "");
    return a;
  }
};

TEST_F(CompactionTest, AnswersAsBefore) {
  for (const DType as : {DType::f32, DType::bf16, DType::i8, DType::boolean})
    for (const index_t most : {1000, 123}) {
      make({24, as, as == DType::f32});
      EXPECT_EQ(files().size(), 6u);
      const Answer before = answer();
      const Corpus open = Corpus::open(path);
      const index_t parts = compact(path, static_cast<std::size_t>(most * 24) * sizeof(float));
      EXPECT_EQ(parts, most == 1000 ? 1 : 3);  // 73 and 120, but not 60 more; the last by itself
      EXPECT_EQ(files().size(), static_cast<std::size_t>(parts + 1));
      EXPECT_TRUE(answer() == before) << dtype_name(as) << most;
      EXPECT_EQ(CorpusWords::open(Corpus::open(path)).counted(), 0);
      EXPECT_EQ(Corpus::open(path).removed(), 5);
      EXPECT_EQ(Corpus::open(path).document(70), "");
      EXPECT_EQ(Corpus::open(path).document(69), "") << "what was removed is still there";
      Found late(3, 200);
      open.search(ctx, queries.in(), {}, late.out());  // whoever had it open still has it
      EXPECT_TRUE(late == before.found);
      EXPECT_EQ(compact(path, static_cast<std::size_t>(most * 24) * sizeof(float)), parts);
      EXPECT_TRUE(answer() == before);
      auto more = CorpusWriter::append(path);
      more.add(ctx, rows.in().slice(0, 10));
      EXPECT_EQ(more.commit(ctx), 200);
      EXPECT_EQ(Corpus::open(path).rows(), 210);
      fs::remove_all(folder), fs::create_directory(folder);
    }
}

TEST_F(CompactionTest, HasNothingToDoForOnePart) {
  write(rows, {24}, {200}, 1000);
  const std::string before = bytes_of(path);
  EXPECT_EQ(compact(path), 1);
  EXPECT_EQ(bytes_of(path), before);
  EXPECT_EQ(files().size(), 1u);
  CorpusWriter::create(path, {24}).commit(ctx);
  EXPECT_EQ(compact(path), 0);
  TESSERA_EXPECT_ERROR(Code::kNotFound, "none", (void)compact((folder / "none").string()));
}

TEST_F(CompactionTest, WordsOfDifferentFieldsAreCountedAgain) {
  const std::vector<std::string> document = {R"({"text": "a", "body": "b"})"};
  for (const char* field : {"text", "body"}) {
    auto writer = *field == 't' ? CorpusWriter::create(path, {24}) : CorpusWriter::append(path, 1 << 20, field);
    writer.add(ctx, rows.in().slice(0, 1), document);
    writer.commit(ctx);
  }
  EXPECT_EQ(compact(path), 1);
  EXPECT_EQ(CorpusWords::open(Corpus::open(path)).counted(), 2);
  EXPECT_EQ(index_words(Corpus::open(path)).vocabulary(), 1);
}

TEST_F(CompactionTest, LeftoversOfTheKilledGoAndNothingElse) {
  write(rows, {24}, {100, 100}, 1000);
  const auto named = files();
  const pid_t child = fork();
  if (child == 0) {  // dies with two parts written and none committed
    Context own(1);
    auto writer = CorpusWriter::append(path, 50 * 24 * sizeof(float));
    writer.add(own, rows.in().slice(0, 120));
    std::ofstream(path + "-0123456789abcdef.safetensors.tmp12-3") << "not a list's";
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(files().size(), named.size() + 4);
  put(folder / "c-00000000000000aa.safetensors", "mine");
  put(folder / "c-00000000000000bb.writing", named[0].substr(2, 16) + "\n../../../../../x\n");  // lists a part that is named
  put(folder / "c-notes.writing", "mine");
  put(folder / "c.safetensors.tmp12-34", "begun");
  put(folder / "c.safetensors.tmp12-34.bak", "mine");
  const int held = open((folder / "c-00000000000000cc.writing").c_str(), O_RDWR | O_CREAT, 0666);
  ASSERT_EQ(flock(held, LOCK_EX), 0);  // somebody at work
  auto living = CorpusWriter::append(path, 50 * 24 * sizeof(float));
  living.add(ctx, rows.in().slice(0, 60));
  remove_rows(path, std::vector<index_t>{3});
  auto writer = CorpusWriter::append(path);
  writer.add(ctx, rows.in().slice(0, 1));
  EXPECT_EQ(writer.commit(ctx), 200);
  const auto left = files();
  const auto has = [&](const char* name) { return std::count(left.begin(), left.end(), name) == 1; };
  EXPECT_TRUE(has("c-00000000000000aa.safetensors") && has("c-notes.writing") && has("c.safetensors.tmp12-34.bak"));
  EXPECT_TRUE(has("c-00000000000000cc.writing") && has("c.safetensors-0123456789abcdef.safetensors.tmp12-3"));
  EXPECT_FALSE(has("c-00000000000000bb.writing") || has("c.safetensors.tmp12-34"));
  EXPECT_EQ(left.size(), named.size() + 1 + 5 + 2);  // the new part, these five, and the one that is alive with its list
  EXPECT_EQ(living.commit(ctx), 201);
  EXPECT_EQ(Corpus::open(path).rows(), 261);
  close(held);
}

TEST_F(CompactionTest, ANameThatADeadAndALivingWriterListIsTheLivingOnes) {
  write(rows, {24}, {100, 100}, 1000);
  const auto named = files();
  auto living = CorpusWriter::append(path, 50 * 24 * sizeof(float));
  living.add(ctx, rows.in().slice(0, 60));
  std::string part;
  for (const std::string& name : files())
    if (name.ends_with(".safetensors") && std::count(named.begin(), named.end(), name) == 0) part = name;
  // Whoever removed what a killed writer of the same rows left was killed itself, with the list still there.
  put(folder / "c-00000000000000dd.writing", part.substr(2, 16) + "\n");
  compact(path);
  EXPECT_FALSE(fs::exists(folder / "c-00000000000000dd.writing"));
  EXPECT_EQ(living.commit(ctx), 200);
  EXPECT_EQ(Corpus::open(path).rows(), 260);
}

TEST_F(CompactionTest, WhatWasLinkedAndNotNamedGoes) {
  write(rows, {24}, {200}, 1000);  // a corpus of one file
  const auto alone = files();
  const pid_t child = fork();
  if (child == 0) {
    Context own(1);
    auto writer = CorpusWriter::append(path, 60 * 24 * sizeof(float));
    writer.add(own, rows.in().slice(0, 60));
    const struct rlimit most = {40, 40};  // two names in a list; SIGXFSZ at the small file that would name the parts
    setrlimit(RLIMIT_FSIZE, &most), signal(SIGXFSZ, SIG_DFL);
    writer.commit(own);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(files().size(), alone.size() + 4);  // a part, the link, the list, the small file begun
  auto writer = CorpusWriter::create(path, {24});
  writer.add(ctx, rows.in().slice(0, 7));
  writer.commit(ctx);
  EXPECT_EQ(files(), alone);
  EXPECT_EQ(Corpus::open(path).rows(), 7);
}

}  // namespace
}  // namespace tessera::retrieval
