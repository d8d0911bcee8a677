// A corpus answers as one search over all of its rows would, however they were added; whatever is in its files.
#include <tessera/retrieval/corpus.hpp>

#include <cmath>
#include <filesystem>
#include <limits>
#include <new>
#include <thread>

#include <tessera/io/safetensors.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/hamming.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/retrieval/corpus_writer.hpp>
#include <tessera/retrieval/document_filter.hpp>
#include "retrieval/corpus_folder.hpp"
#include "support/errors.hpp"
#include "support/found.hpp"

namespace tessera::retrieval {
namespace {

namespace fs = std::filesystem;
using test::filled, test::Found, test::Matrix;

using CorpusTest = test::CorpusFolder;

Matrix unit(Context& ctx, Matrix m) {
  ops::l2_normalize(ctx, m.in(), m.out());
  return m;
}
/// What top_k() finds in all rows as that type.
Found expected(Context& ctx, const Matrix& q, const Matrix& rows, DType as, index_t k, const ops::TopKOptions& o = {}) {
  Found want(q.rows, k);
  if (as == DType::boolean) {
    std::vector<std::uint8_t> bits(static_cast<std::size_t>(q.rows * ops::bit_bytes(q.columns)));
    const View<std::uint8_t, 2> signs(bits.data(), q.rows, ops::bit_bytes(q.columns));
    ops::pack_bits(ctx, q.in(), signs);
    ops::hamming_top_k(ctx, signs, ops::BitRows::pack(ctx, rows.in()), {}, want.out());
    return want;
  }
  WeightView w = rows.in();
  w.packed = as, w.most_rounding = std::numeric_limits<float>::infinity();
  ops::top_k(ctx, q.in(), ops::pack_weight(ctx, w), o, want.out());
  return want;
}

TEST_F(CorpusTest, AnswersAsOneSearchHoweverRowsWereAdded) {
  Matrix rows = filled(333, 40, {.seed = 1, .pad = 3});
  for (index_t r = 100; r < 180; ++r)  // equal scores on both sides of every boundary
    for (index_t c = 0; c < 40; ++c) rows(r, c) = rows(r - 100, c);
  for (index_t c = 0; c < 40; ++c) rows(7, c) = 0;
  const Matrix q = filled(5, 40, {.seed = 2, .pad = 1});
  const Matrix unit_rows = unit(ctx, rows), unit_q = unit(ctx, q);
  for (const DType as : {DType::f32, DType::bf16, DType::i8, DType::boolean})
    for (const bool normalized : {false, true})
      for (const auto& [pieces, part] : {std::pair<std::vector<index_t>, index_t>{{333}, 1000},
                                         {{333}, 50},
                                         {{1, 63, 64, 65, 140}, 1000},
                                         {{200, 133}, 64}}) {
        write(rows, {40, as, normalized}, pieces, part);
        const Corpus corpus = Corpus::open(path);
        EXPECT_EQ(corpus.rows(), 333);
        for (const index_t k : {1, 10, 333, 400})
          for (int threads = 1; threads <= 3; ++threads) {
            Context many(threads);
            Found got(5, k);
            corpus.search(many, q.in(), {}, got.out());
            EXPECT_TRUE(got == expected(ctx, normalized ? unit_q : q, normalized ? unit_rows : rows, as, k))
                << dtype_name(as) << normalized << pieces.size() << " " << part << " k " << k;
          }
      }
}

TEST_F(CorpusTest, FindsWhatIsAllowedAndNotRemoved) {
  const Matrix rows = filled(200, 16, {.seed = 3}), q = filled(4, 16, {.seed = 4});
  write(rows, {16}, {70, 3, 127}, 40);
  std::vector<index_t> gone;
  std::vector<std::uint64_t> left(4), even(4);
  for (index_t r = 0; r < 200; ++r) {
    if (r % 3 == 0 || (r >= 70 && r < 73))
      gone.push_back(r);  // one part as a whole
    else
      left[static_cast<std::size_t>(r / 64)] |= std::uint64_t{1} << (r % 64);
    if (r % 2 == 0) even[static_cast<std::size_t>(r / 64)] |= std::uint64_t{1} << (r % 64);
  }
  remove_rows(path, std::vector<index_t>(gone.begin(), gone.begin() + 30));
  remove_rows(path, gone);
  const Corpus corpus = Corpus::open(path);
  EXPECT_EQ(corpus.removed(), static_cast<index_t>(gone.size()));
  EXPECT_EQ(corpus.rows(), 200);
  EXPECT_FALSE(corpus.has(72) || corpus.has(-1) || corpus.has(200));
  EXPECT_TRUE(corpus.has(73));
  for (const bool filtered : {false, true}) {
    auto allowed = left;
    for (std::size_t i = 0; filtered && i < 4; ++i) allowed[i] &= even[i];
    ops::TopKOptions o;
    o.allowed = View<const std::uint64_t, 1>(allowed.data(), 4);
    Found got(4, 90);
    SearchOptions options;
    if (filtered) options.allowed = even;
    corpus.search(ctx, q.in(), options, got.out());
    EXPECT_TRUE(got == expected(ctx, q, rows, DType::f32, 90, o));
    o.least = options.least = 0.5f;
    corpus.search(ctx, q.in(), options, got.out());
    EXPECT_TRUE(got == expected(ctx, q, rows, DType::f32, 90, o));
  }
  CorpusWriter more = CorpusWriter::append(path);  // gone stays gone
  more.add(ctx, rows.in().slice(0, 100));
  EXPECT_EQ(more.commit(ctx), 200);
  EXPECT_EQ(Corpus::open(path).removed(), static_cast<index_t>(gone.size()));
  EXPECT_EQ(Corpus::open(path).rows(), 300);
}

TEST_F(CorpusTest, CertifiedSearchSaysWhatItTook) {
  const Matrix rows = unit(ctx, filled(3000, 64, {.seed = 5})), q = unit(ctx, filled(2, 64, {.seed = 6}));
  write(rows, {64}, {1500, 1500}, 10000);
  ops::CertifiedStats stats{-1, -1};
  Found got(2, 10);
  Corpus::open(path).search(ctx, q.in(), {}, got.out(), &stats);
  EXPECT_EQ(stats.exhausted, 0);
  EXPECT_GE(stats.rescored, 20);
  EXPECT_LT(stats.rescored, 1000);
}

TEST_F(CorpusTest, DocumentsStandBesideTheirRows) {
  const Matrix rows = filled(150, 8, {.seed = 7});
  auto writer = CorpusWriter::create(path, {8}, 8 * 4 * 60);
  std::vector<std::string> documents;
  for (int i = 0; i < 150; ++i)
    documents.push_back(i % 10 == 3 ? "" : R"({"n": )" + std::to_string(i) + R"(, "s": "ü)" + std::to_string(i % 4) + "\"}");
  writer.add(ctx, rows.in().slice(0, 100), std::span(documents).first(100));
  writer.add(ctx, rows.in().slice(100, 101));
  writer.add(ctx, rows.in().slice(101, 150), std::span(documents).subspan(101));
  writer.commit(ctx);
  documents[100] = "";
  auto bare = CorpusWriter::append(path);
  bare.add(ctx, rows.in().slice(0, 5));
  bare.commit(ctx);
  const Corpus corpus = Corpus::open(path);
  for (int i = 0; i < 155; ++i) EXPECT_EQ(corpus.document(i), i < 150 ? documents[static_cast<std::size_t>(i)] : "") << i;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no row 155", (void)corpus.document(155));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no row -1", (void)corpus.document(-1));

  const auto where = [&](std::initializer_list<const char*> texts) {
    std::vector<Condition> all;
    for (const char* t : texts) all.push_back(Condition::parse(t));
    std::vector<int> ids;
    Context many(3);
    const auto words = rows_where(many, corpus, all);
    EXPECT_EQ(words.size(), 3u);
    for (int i = 0; i < 192; ++i)
      if (words[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1) ids.push_back(i);
    return ids;
  };
  EXPECT_EQ(where({"n<=2"}), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(where({"n>=2", "n<5"}), (std::vector<int>{2, 4}));
  EXPECT_EQ(where({"n=120"}), (std::vector<int>{120}));
  EXPECT_EQ(where({"s=ü1", "n<20"}), (std::vector<int>{1, 5, 9, 17}));
  EXPECT_EQ(where({"n>148"}), (std::vector<int>{149}));
  EXPECT_EQ(where({"s>ü"}).size(), 134u);
  EXPECT_EQ(where({"n=ü1"}), (std::vector<int>{}));
  EXPECT_EQ(where({"s!=ü0"}).size(), 155u - 37u);
  EXPECT_EQ(where({}).size(), 155u);
  remove_rows(path, std::vector<index_t>{1});
  EXPECT_EQ(rows_where(ctx, Corpus::open(path), {})[0], ~std::uint64_t{2});
}

TEST(Condition, MeetsFieldsOfItsKind) {
  const io::Json d = io::parse_json(R"({"n":2,"f":2.5,"s":"b","t":true,"l":["x",3],"z":null,"a=b":1})", "d");
  for (const char* holds : {"n=2", "n=2.0", "f>2", "f<=2.5", "s=b", "s<c", "t=true", "l=x", "l=3", "l>2", "z=null",
                            "none!=1", "n!=3", "s=\"b\"", "l!=y", "n!=2x", "n>=-1e3"})
    EXPECT_TRUE(Condition::parse(holds).holds(d)) << holds;
  for (const char* fails :
       {"n=3", "n!=2", "f>2.5", "s=\"c\"", "s>2", "t=1", "t>false", "l=y", "l!=x", "z=0", "none=1", "n=", "n<nan", "s<1"})
    EXPECT_FALSE(Condition::parse(fails).holds(d)) << fails;
  for (const char* wrong : {"", "n", "=3", "!3", "n!3", "<2"})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "FIELD=VALUE", (void)Condition::parse(wrong));
}

TEST_F(CorpusTest, NothingOfAWriterThatGivesUpRemains) {
  const Matrix rows = filled(100, 8, {.seed = 8});
  {
    auto writer = CorpusWriter::create(path, {8}, 8 * 4 * 30);
    writer.add(ctx, rows.in());
    EXPECT_EQ(files().size(), 4u);  // and the list of them
  }
  EXPECT_TRUE(files().empty());
  write(rows, {8}, {100}, 1000);
  EXPECT_EQ(files(), std::vector<std::string>{"c.safetensors"});
  const std::string before = bytes_of(path);
  {  // what it would add is what is there: it must not take that with it
    auto writer = CorpusWriter::append(path, 8 * 4 * 100);
    writer.add(ctx, rows.in());
    auto moved = std::move(writer);
    auto again = CorpusWriter::append(path, 8 * 4 * 100);
    again.add(ctx, rows.in());
    again.commit(ctx);
    auto twice = CorpusWriter::append(path, 8 * 4 * 100);
    twice.add(ctx, rows.in());
  }
  EXPECT_EQ(Corpus::open(path).rows(), 200);
  EXPECT_EQ(files().size(), 3u);
  // Replaced by one of a single part, and by one of several: the parts of the old one go.
  write(rows, {8}, {100}, 1000);
  EXPECT_EQ(files(), std::vector<std::string>{"c.safetensors"});
  EXPECT_EQ(bytes_of(path), before);
  write(rows, {8}, {100}, 50);
  write(rows, {8}, {100}, 30);
  EXPECT_EQ(files().size(), 5u);
  EXPECT_EQ(Corpus::open(path).rows(), 100);
}

TEST_F(CorpusTest, OneOfTwoWritersWaitsForTheOther) {
  const Matrix rows = filled(64, 8, {.seed = 9});
  write(rows, {8}, {64}, 1000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      Context own(1);
      for (int i = 0; i < 10; ++i) {
        auto writer = CorpusWriter::append(path);
        writer.add(own, rows.in());
        (void)writer.commit(own);
        EXPECT_EQ(Corpus::open(path).rows() % 64, 0);
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(Corpus::open(path).rows(), 41 * 64);
}

TEST_F(CorpusTest, AnEmptyOneFindsNothing) {
  auto writer = CorpusWriter::create(path, {8, DType::bf16, true});
  EXPECT_EQ(writer.commit(ctx), 0);
  const Corpus corpus = Corpus::open(path);
  EXPECT_EQ(corpus.rows(), 0);
  Found got(2, 3);
  corpus.search(ctx, filled(2, 8).in(), {}, got.out());
  EXPECT_EQ(got.out().ids(1, 2), -1);
  EXPECT_EQ(got.out().counts(1), 0);
  EXPECT_EQ(got.out().scores(0, 0), -std::numeric_limits<float>::infinity());
  auto more = CorpusWriter::append(path);
  more.add(ctx, filled(3, 8).in());
  EXPECT_EQ(more.commit(ctx), 0);
  EXPECT_EQ(Corpus::open(path).rows(), 3);
  auto none = CorpusWriter::append(path);
  EXPECT_EQ(none.commit(ctx), 3);
}

TEST_F(CorpusTest, RefusesWhatDoesNotFit) {
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "rows of 0", (void)CorpusWriter::create(path, {0}));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "int8 or bits", (void)CorpusWriter::create(path, {4, DType::f16}));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "c.safetensors", (void)CorpusWriter::append(path));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "c.safetensors", (void)Corpus::open(path));
  put(path, "not mine");
  TESSERA_EXPECT_ERROR(Code::kFormat, "is no corpus", (void)CorpusWriter::create(path, {4}));
  EXPECT_EQ(bytes_of(path), "not mine");
  fs::remove(path);
  io::write_safetensors(path, {});
  TESSERA_EXPECT_ERROR(Code::kFormat, "tessera index", (void)Corpus::open(path));
  fs::remove(path);

  Matrix rows = filled(10, 4, {.seed = 10});
  auto writer = CorpusWriter::create(path, {4});
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows of 3", writer.add(ctx, filled(2, 3).in()));
  const std::vector<std::string> two = {"{}", "[]"};
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "2 documents for 10", writer.add(ctx, rows.in(), two));
  TESSERA_EXPECT_ERROR(Code::kFormat, "a JSON object", writer.add(ctx, rows.in().slice(0, 2), two));
  rows(8, 3) = std::numeric_limits<float>::infinity();
  TESSERA_EXPECT_ERROR(Code::kNonFinite, "row 8", writer.add(ctx, rows.in()));
  writer.add(ctx, rows.in().slice(0, 8));  // and nothing of before
  writer.commit(ctx);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no row 8", remove_rows(path, std::vector<index_t>{1, 8}));
  const Corpus corpus = Corpus::open(path);
  EXPECT_EQ(corpus.rows(), 8);
  EXPECT_EQ(corpus.removed(), 0);
  Found got(2, 3);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "queries of 5", corpus.search(ctx, filled(2, 5).in(), {}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "do not fit", corpus.search(ctx, filled(3, 4).in(), {}, got.out()));
  const std::vector<std::uint64_t> words(2);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "2 words", corpus.search(ctx, filled(2, 4).in(), {words}, got.out()));
  EXPECT_TRUE(got == Found(2, 3));  // untouched
}

TEST_F(CorpusTest, WithoutMemoryItSaysSoAndTouchesNothing) {
  const Matrix rows = filled(200, 12, {.seed = 15}), q = filled(2, 12, {.seed = 16});
  write(rows, {12, DType::f32, true}, {100, 100}, 1000);
  const Corpus corpus = Corpus::open(path);
  struct Calls {
    int left;
  };
  for (int fine = 0;; ++fine) {  // work that is handed to threads runs out of memory, each time a little later
    Calls calls{fine};
    const auto run = [](void* state, int n, void (*task)(void*, int), void* arg) {
      if (static_cast<Calls*>(state)->left-- == 0) throw std::bad_alloc();
      for (int i = 0; i < n; ++i) task(arg, i);
    };
    Context with(ContextOptions{.executor = {&calls, run, 2}});
    Found got(2, 3);
    ops::CertifiedStats stats{-7, -7};
    try {
      corpus.search(with, q.in(), {}, got.out(), &stats);
      EXPECT_GT(fine, 1);  // one for each part, and the queries' lengths
      EXPECT_TRUE(got == expected(ctx, unit(ctx, q), unit(ctx, rows), DType::f32, 3));
      break;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kLimit);
      EXPECT_TRUE(got == Found(2, 3));
      EXPECT_EQ(stats.rescored, -7);
    }
  }
}

// Bytes of every kind in every place: refused, or answered without a crash.
TEST_F(CorpusTest, DamagedFilesAreRefusedOrAnswered) {
  const Matrix rows = filled(70, 12, {.seed = 11}), q = filled(2, 12, {.seed = 12});
  const std::vector<std::string> documents(70, R"({"a":1})");
  for (const DType as : {DType::f32, DType::i8, DType::boolean}) {
    auto writer = CorpusWriter::create(path, {12, as}, 12 * 4 * 40);
    writer.add(ctx, rows.in(), documents);
    writer.commit(ctx);
    remove_rows(path, std::vector<index_t>{3});
    for (const std::string& name : files()) {
      const std::string good = bytes_of(folder / name);
      const auto try_it = [&](const std::string& bytes) {
        put(folder / name, bytes);
        try {
          const Corpus corpus = Corpus::open(path);
          Found got(2, 5);
          corpus.search(ctx, q.in(), {}, got.out());
          for (index_t i = 0; i < corpus.rows(); ++i) (void)corpus.document(i);
          return true;
        } catch (const Error&) {
          return false;
        }
      };
      const std::size_t header = good.rfind('}', good.find("}}") + 2) + 1;
      for (std::size_t n = 0; n < good.size(); n += n < header ? 1 : 61)
        EXPECT_FALSE(try_it(good.substr(0, n))) << name << n;
      test::Random random(13);
      for (int i = 0; i < 600; ++i) {
        std::string bad = good;
        const bool in_header = i % 2 == 0;
        const auto at = static_cast<std::size_t>(random.in(0, static_cast<index_t>((in_header ? header : good.size()) - 4)));
        const char with[] = {'\xff', '\x7f', '\x80', '0', '9', ',', '\0'};
        for (std::size_t j = 0; j < static_cast<std::size_t>(random.in(1, 4)); ++j) bad[at + j] = with[random.in(0, 6)];
        (void)try_it(bad);
      }
      EXPECT_TRUE(try_it(good));
    }
    fs::remove_all(folder), fs::create_directory(folder);
  }
}

TEST_F(CorpusTest, NamesThePartThatIsNotItsOwn) {
  const Matrix rows = filled(70, 12, {.seed = 14});
  write(rows, {12}, {70}, 40);
  const auto parts = files();
  ASSERT_EQ(parts.size(), 3u);
  fs::copy_file(folder / parts[0], folder / parts[1], fs::copy_options::overwrite_existing);
  TESSERA_EXPECT_ERROR(Code::kFormat, parts[1], (void)Corpus::open(path));
  fs::remove(folder / parts[1]);
  TESSERA_EXPECT_ERROR(Code::kNotFound, parts[1], (void)Corpus::open(path));
}

}  // namespace
}  // namespace tessera::retrieval
