// Words that parts of a corpus keep score as those of one index over all rows would, bit for bit.
#include <tessera/retrieval/corpus_words.hpp>

#include <cstring>

#include <tessera/io/safetensors.hpp>
#include "retrieval/corpus_folder.hpp"
#include "support/errors.hpp"
#include "support/random.hpp"

namespace tessera::retrieval {
namespace {

using test::filled, test::Random;

struct WordsTest : test::CorpusFolder {
  std::vector<std::string> texts, documents;

  /// So many texts of words that some have often and most have never; each ninth row has no document, each eleventh no text.
  void SetUp() override {
    CorpusFolder::SetUp();
    Random random(21);
    for (int i = 0; i < 150; ++i) {
      std::string text;
      for (index_t n = random.in(0, 12); n > 0; --n)
        text += "w" + std::to_string(random.in(0, random.in(0, 60))) + (n % 3 == 0 ? ", " : " ");
      const bool none = i % 9 == 4, other = i % 11 == 5;
      documents.push_back(none ? "" : (other ? R"({"body": ")" : R"({"text": ")") + text + "\"}");
      texts.push_back(none || other ? "" : text);
    }
  }
  void add(std::size_t begin, std::size_t end, std::size_t part_rows, const std::string& field = "text") {
    auto writer = begin == 0 ? CorpusWriter::create(path, {4}, part_rows * 16, field)
                             : CorpusWriter::append(path, part_rows * 16, field);
    writer.add(ctx, filled(static_cast<index_t>(end - begin), 4).in(), std::span(documents).subspan(begin, end - begin));
    writer.commit(ctx);
  }
  /// What one builder makes of all rows.
  Bm25 expected(const std::vector<index_t>& gone = {}) const {
    Bm25Builder builder;
    for (std::size_t i = 0; i < texts.size(); ++i)
      builder.add(std::count(gone.begin(), gone.end(), static_cast<index_t>(i)) > 0 ? std::string() : texts[i]);
    return builder.finish();
  }
};

/// Every byte of both.
void expect_same(const Bm25& got, const Bm25& want) {
  const auto a = got.tensors(), b = want.tensors();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    ASSERT_EQ(a[i].view.bytes, b[i].view.bytes) << a[i].name;
    EXPECT_EQ(std::memcmp(a[i].view.data, b[i].view.data, static_cast<std::size_t>(a[i].view.bytes)), 0) << a[i].name;
  }
}

TEST_F(WordsTest, OfPartsAreThoseOfOneIndex) {
  for (const auto& ends : {std::vector<std::size_t>{150}, {1, 64, 65, 150}, {40, 80, 120, 150}}) {
    std::size_t begin = 0;
    for (const std::size_t end : ends) add(begin, end, ends.size() == 1 ? 1000 : 31), begin = end;
    const CorpusWords words = CorpusWords::open(Corpus::open(path));
    EXPECT_EQ(words.counted(), 0);
    expect_same(words.index(), expected());
  }
  const std::vector<index_t> gone = {0, 7, 8, 64, 149};
  remove_rows(path, gone);
  expect_same(CorpusWords::open(Corpus::open(path)).index(), expected(gone));
  expect_same(index_words(Corpus::open(path)), expected(gone));
}

TEST_F(WordsTest, OfAFewTextsScoreAsAll) {
  add(0, 100, 30), add(100, 150, 30);
  const std::vector<index_t> gone = {3, 77, 120};
  remove_rows(path, gone);
  const CorpusWords words = CorpusWords::open(Corpus::open(path));
  const Bm25 all = expected(gone);
  const std::vector<std::string> queries = {"w0 w1, w1 w59", "W3 none w2", "", "w0 w40"};
  const Bm25 few = words.index(queries);
  EXPECT_LE(few.vocabulary(), 7);
  EXPECT_EQ(few.size(), 150);
  for (const std::string& query : queries)
    for (const std::size_t k : {std::size_t{1}, std::size_t{10}, std::size_t{200}})
      EXPECT_EQ(few.search(few.terms(query), k), all.search(all.terms(query), k)) << query;
}

TEST_F(WordsTest, ThatAPartHasNotAreCounted) {
  add(0, 60, 1000, ""), add(60, 100, 1000, "body"), add(100, 150, 1000);
  EXPECT_EQ(CorpusWords::open(Corpus::open(path)).counted(), 100);
  expect_same(index_words(Corpus::open(path)), expected());
  EXPECT_EQ(CorpusWords::open(Corpus::open(path), "body").counted(), 110);
  EXPECT_GT(index_words(Corpus::open(path), "body").vocabulary(), 0);
  EXPECT_EQ(index_words(Corpus::open(path), "none").vocabulary(), 0);
}

TEST_F(WordsTest, OfAnEmptyCorpusFindNothing) {
  CorpusWriter::create(path, {4}).commit(ctx);
  const Bm25 none = index_words(Corpus::open(path));
  EXPECT_TRUE(none.search(none.terms("w0"), 3).empty());
  auto writer = CorpusWriter::append(path);  // rows without documents
  writer.add(ctx, filled(5, 4).in());
  writer.commit(ctx);
  EXPECT_EQ(CorpusWords::open(Corpus::open(path)).counted(), 0);
  EXPECT_EQ(index_words(Corpus::open(path)).size(), 5);
}

TEST_F(WordsTest, DamagedOnesAreRefused) {
  add(0, 150, 1000);
  const auto file = io::SafeTensors::open(path);
  const auto metadata = file.metadata();
  const Postings good = Postings::from(file, "words.");
  const auto refused = [&](const char* says, auto change) {
    std::vector<index_t> offsets(good.offsets.begin(), good.offsets.end());
    std::vector<index_t> word_offsets(good.words.offsets.begin(), good.words.offsets.end());
    std::vector<std::uint32_t> having(good.documents.begin(), good.documents.end());
    std::vector<std::uint32_t> counts(good.counts.begin(), good.counts.end());
    std::vector<std::uint32_t> lengths(good.lengths.begin(), good.lengths.end());
    std::string all_words(good.words.text);
    change(offsets, word_offsets, having, counts, lengths, all_words);
    std::vector<io::NamedTensor> all;
    for (const std::string& name : file.names())
      if (!name.starts_with("words.")) all.push_back({name, file.at(name)});
    const Postings bad{offsets, having, counts, lengths, {word_offsets, all_words}, nullptr, ""};
    for (auto& tensor : bad.tensors("words.")) all.push_back(std::move(tensor));
    const std::string other = (folder / "bad.safetensors").string();
    io::write_safetensors(other, all, metadata);
    const Corpus corpus = Corpus::open(other);  // which does not ask for words
    TESSERA_EXPECT_ERROR(Code::kFormat, says, (void)index_words(corpus));
    TESSERA_EXPECT_ERROR(Code::kFormat, "bad.safetensors", (void)index_words(corpus));
  };
  refused("do not part the documents", [](auto& o, auto&, auto&, auto&, auto&, auto&) { o[3] = o[4] + 1; });
  refused("do not part the documents", [](auto& o, auto&, auto&, auto&, auto&, auto&) { o.back() += 1; });
  refused("do not part the words", [](auto&, auto& w, auto&, auto&, auto&, auto&) { w[1] = -1; });
  refused("as many counts", [](auto&, auto&, auto&, auto& c, auto&, auto&) { c.pop_back(); });
  refused("as many words", [](auto&, auto& w, auto&, auto&, auto&, auto&) { w.insert(w.begin(), 0); });
  refused("ascending order", [](auto&, auto&, auto&, auto&, auto&, auto& s) { s[0] = 'x'; });
  refused("of 149 rows", [](auto&, auto&, auto&, auto&, auto& l, auto&) { l.pop_back(); });
  refused("not ascending ones", [](auto&, auto&, auto& d, auto&, auto&, auto&) { d[1] = d[0]; });
  refused("not ascending ones",
          [](auto& o, auto&, auto& d, auto&, auto&, auto&) { d[static_cast<std::size_t>(o[1]) - 1] = 150; });
  refused("more often", [](auto&, auto&, auto&, auto& c, auto&, auto&) { c[0] = 0; });
  refused("more often", [](auto&, auto&, auto&, auto& c, auto&, auto&) { c[0] = 1000; });
}

}  // namespace
}  // namespace tessera::retrieval
