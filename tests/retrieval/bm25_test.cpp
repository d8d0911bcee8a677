#include <tessera/retrieval/bm25.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include <tessera/io/json.hpp>
#include <tessera/text/words.hpp>
#include "support/errors.hpp"
#include "support/random.hpp"

namespace tessera::retrieval {
namespace {

using test::Random;
using Documents = std::vector<std::vector<Term>>;
using Words = std::vector<std::string>;

Words words_of(std::string_view text) {
  Words all;
  text::each_word(text, [&](std::string_view word) { all.emplace_back(word); });
  return all;
}

Bm25 index_of(const Documents& documents, const Bm25Options& options = {}) {
  Bm25Builder builder;
  for (const auto& d : documents) builder.add(d);
  return builder.finish(options);
}

/// Term t about as often as 1 / (t + 1); each seventh document is empty, each fifth one that was before.
Documents zipf(std::uint64_t seed, index_t n, index_t terms, index_t longest) {
  Random random(seed);
  Documents all(static_cast<std::size_t>(n));
  for (std::size_t d = 0; d < all.size(); ++d) {
    if (d % 7 == 6) continue;
    if (d % 5 == 4) {
      all[d] = all[d / 2];
      continue;
    }
    for (index_t i = random.in(1, longest); i > 0; --i)
      all[d].push_back(static_cast<Term>(std::pow(static_cast<double>(terms), (1 + random.unit()) / 2)) - 1);
  }
  return all;
}

/// The formula as it stands, for all documents.
std::vector<double> reference(const Documents& documents, const std::vector<Term>& query, const Bm25Options& o) {
  const auto n = static_cast<double>(documents.size());
  double mean = 0;
  for (const auto& d : documents) mean += static_cast<double>(d.size()) / n;
  std::vector<double> scores(documents.size());
  for (const Term t : query) {
    double df = 0;
    for (const auto& d : documents) df += std::count(d.begin(), d.end(), t) > 0;
    const double idf = std::log(1 + (n - df + 0.5) / (df + 0.5));
    for (std::size_t d = 0; d < documents.size(); ++d)
      if (const auto tf = static_cast<double>(std::count(documents[d].begin(), documents[d].end(), t)); tf > 0)
        scores[d] += idf * tf / (tf + o.k1 * (1 - o.b + o.b * static_cast<double>(documents[d].size()) / mean));
  }
  return scores;
}

/// A ranking is what the scores say, but for what f32 cannot tell apart.
void expect_best(const Ranking& found, const std::vector<double>& scores, std::size_t k,
                 const std::function<bool(index_t)>& allowed) {
  constexpr double kRounding = 4e-7;
  std::vector<bool> listed(scores.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto d = static_cast<std::size_t>(found[i].id);
    ASSERT_LT(d, scores.size());
    ASSERT_TRUE(allowed(found[i].id)) << d;
    ASSERT_FALSE(listed[d]) << d;
    listed[d] = true;
    ASSERT_NEAR(found[i].score, scores[d], kRounding * scores[d]) << d;
    ASSERT_TRUE(i == 0 || before(found[i - 1], found[i])) << i;
  }
  std::size_t answers = 0;
  for (std::size_t d = 0; d < scores.size(); ++d) {
    if (!(scores[d] > 0) || !allowed(static_cast<index_t>(d))) continue;
    ++answers;
    ASSERT_TRUE(listed[d] || found.empty() || scores[d] <= found.back().score * (1 + kRounding)) << d;
  }
  ASSERT_EQ(found.size(), std::min(k, answers));
}
const auto kAll = [](index_t) { return true; };

TEST(Bm25, WordsAreThoseOfTheGolden) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/bm25.json");
  for (std::size_t i = 0; i < golden["texts"].size(); ++i)
    EXPECT_EQ(words_of(golden["texts"][i].get<std::string>()), golden["words"][i].get<Words>()) << golden["texts"][i];
  EXPECT_EQ(golden["texts"].size(), 228u);
}
TEST(Bm25, WordsPartAtWhatIsNotUtf8) {
  EXPECT_EQ(words_of("ab\xff"
                     "cd \xc3(x) \xed\xa0\x80y \xe6\x9d"),
            (Words{"ab", "cd", "x", "y"}));
  EXPECT_EQ(words_of("\xc3\x84\xc3"), Words{"\xc3\xa4"});
}
TEST(Bm25, ScoresAreThoseOfTheGolden) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/bm25.json");
  Bm25Builder builder;
  for (const auto& text : golden["texts"]) builder.add(text.get<std::string>());
  const auto n = static_cast<std::size_t>(builder.size());
  std::size_t answers = 0;
  for (const auto& [name, rows] : golden["scores"].items()) {
    Bm25Options options;
    ASSERT_EQ(std::sscanf(name.c_str(), "%lf %lf", &options.k1, &options.b), 2);
    const Bm25 index = builder.finish(options);
    for (std::size_t q = 0; q < rows.size(); ++q) {
      std::vector<double> scores(n);
      for (const auto& [d, score] : rows[q].items()) scores[std::stoul(d)] = score.get<double>(), ++answers;
      const auto query = index.terms(golden["queries"][q].get<std::string>());
      for (const std::size_t k : {std::size_t{1}, std::size_t{5}, n + 10})
        expect_best(index.search(query, k), scores, k, kAll);
    }
  }
  EXPECT_EQ(golden["scores"].size(), 5u);
  EXPECT_GT(answers, 1000u);
}

TEST(Bm25, IsTheFormulaOverRandomCorpora) {
  struct Shape {
    index_t n, terms, longest;
  };
  for (const Shape& s : {Shape{1, 1, 1}, {2, 3, 4}, {100, 30, 20}, {4096, 50, 6}, {4097, 4000, 9}, {9000, 300, 12}}) {
    const Documents documents = zipf(static_cast<std::uint64_t>(s.n), s.n, s.terms, s.longest);
    const Bm25Options options{.k1 = 0.9 + 0.01 * static_cast<double>(s.terms % 7), .b = s.n % 2 ? 0.75 : 0.3};
    const Bm25 index = index_of(documents, options);
    EXPECT_EQ(index.size(), s.n);
    std::vector<std::uint64_t> words(static_cast<std::size_t>(s.n + 63) / 64);
    const auto some = [](index_t d) { return d % 3 == 1 && d / 64 % 2 == 0; };
    for (index_t d = 0; d < s.n; ++d)
      if (some(d)) words[static_cast<std::size_t>(d / 64)] |= std::uint64_t{1} << (d % 64);
    Random random(3);
    for (index_t terms = 0; terms < 7; ++terms) {
      std::vector<Term> query;
      for (index_t i = 0; i < terms; ++i) query.push_back(static_cast<Term>(random.in(0, i % 2 ? s.terms : s.terms / 20)));
      if (terms == 6) query[5] = query[0];
      const auto scores = reference(documents, query, options);
      for (const std::size_t k : {std::size_t{1}, std::size_t{10}, std::size_t{70}, std::size_t{100000}}) {
        expect_best(index.search(query, k), scores, k, kAll);
        expect_best(index.search(query, k, View<const std::uint64_t, 1>(words.data(), words.size())), scores, k, some);
      }
    }
  }
}
TEST(Bm25, RepeatedTermsCountEachTime) {
  const Bm25 index = index_of({{0, 1}, {1, 1, 2}, {2}});
  const Ranking once = index.search(std::vector<Term>{1}, 9), twice = index.search(std::vector<Term>{1, 1}, 9);
  ASSERT_EQ(once.size(), 2u);
  ASSERT_EQ(twice.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(twice[i].score, 2 * once[i].score);
}
TEST(Bm25, EqualScoresGoById) {
  const Bm25 index = index_of(Documents(5000, {4, 7}));
  for (const auto k : {std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{4999}}) {
    const Ranking found = index.search(std::vector<Term>{7}, k);
    ASSERT_EQ(found.size(), k);
    for (std::size_t i = 0; i < k; ++i) ASSERT_EQ(found[i].id, static_cast<index_t>(i));
  }
}
// The documents of one term are looked at before those of another, which have lower ids.
TEST(Bm25, EqualScoresOfTermsInTurnGoById) {
  Documents documents(200, {1});
  for (std::size_t d = 100; d < 200; ++d) documents[d] = {0};
  const Ranking found = index_of(documents).search(std::vector<Term>{0, 1}, 3);
  ASSERT_EQ(found.size(), 3u);
  for (index_t i = 0; i < 3; ++i) EXPECT_EQ(found[static_cast<std::size_t>(i)].id, i);
}
TEST(Bm25, ThreadsAndBatchesChangeNoBit) {
  const Documents documents = zipf(5, 6000, 200, 15);
  const Bm25 index = index_of(documents);
  Random random(1);
  Documents queries(60);
  for (auto& q : queries)
    for (index_t i = random.in(0, 5); i >= 0; --i) q.push_back(static_cast<Term>(random.in(0, 220)));
  std::vector<Ranking> alone;
  for (const auto& q : queries) alone.push_back(index.search(q, 20));
  for (const int threads : {1, 2, 3, 8}) {
    Context ctx(threads);
    EXPECT_EQ(index.search(ctx, queries, 20), alone) << threads;
  }
}
TEST(Bm25, NothingToFind) {
  const std::vector<Term> query{0, 3, 0xffffffff};
  Bm25Builder none;
  EXPECT_TRUE(none.finish().search(query, 5).empty());
  EXPECT_EQ(none.finish().size(), 0);
  const Bm25 empty = index_of(Documents(3));
  EXPECT_EQ(empty.size(), 3);
  EXPECT_TRUE(empty.search(query, 5).empty());
  const Bm25 index = index_of({{1, 3}, {}, {5}});
  EXPECT_EQ(index.vocabulary(), 6);
  EXPECT_EQ(std::vector<std::uint32_t>(index.lengths().begin(), index.lengths().end()),
            (std::vector<std::uint32_t>{2, 0, 1}));
  EXPECT_TRUE(index.search({}, 5).empty());
  EXPECT_TRUE(index.search(query, 0).empty());
  EXPECT_EQ(index.search(query, ~std::size_t{0}).size(), 1u);
  Bm25Builder blank;
  blank.add("");
  EXPECT_TRUE(blank.finish().terms("words").empty());
}
TEST(Bm25, Mistakes) {
  Bm25Builder words, terms;
  words.add("a b");
  terms.add(std::vector<Term>{0, 1});
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "in one index", words.add(std::vector<Term>{1}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "in one index", terms.add("c"));
  TESSERA_EXPECT_ERROR(Code::kLimit, "268435456", terms.add(std::vector<Term>{1, 1U << 28}));
  EXPECT_EQ(terms.size(), 1);
  EXPECT_EQ(terms.finish().vocabulary(), 2);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "not words", (void)terms.finish().terms("a"));
  for (const double k1 : {-0.1, std::nan(""), HUGE_VAL})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "k1", (void)terms.finish({.k1 = k1}));
  for (const double b : {-0.1, 1.1, std::nan("")})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "b must", (void)terms.finish({.b = b}));
  const std::uint64_t allowed[4] = {};
  const std::vector<Term> query{1};
  View<const std::uint64_t, 1> two(allowed, 2);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "expected 1", (void)terms.finish().search(query, 1, two));
  for (int i = 0; i < 100; ++i) terms.add(query);
  two.stride[0] = 2;
  Context ctx(1);
  TESSERA_EXPECT_ERROR(Code::kBadStride, "gaps", (void)terms.finish().search(ctx, Documents{query}, 1, two));
}

struct Bm25File : ::testing::Test {
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tessera_bm25_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::vector<std::byte> bytes_of(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
  }
  std::string folder;
};

Bm25 small_index() {
  Bm25Builder builder;
  for (const char* text : {"the red shoe", "", "a blue shoe, a red hat", "größe 42 東京"}) builder.add(text);
  return builder.finish();
}

TEST_F(Bm25File, ReadsWhatItWrote) {
  const std::string path = folder + "/index.safetensors", both = folder + "/both.safetensors";
  Bm25Builder large;
  Random random(2);
  for (int d = 0; d < 5000; ++d) {
    std::string text;
    for (index_t i = random.in(0, 9); i > 0; --i) text += "w" + std::to_string(random.in(0, 700)) + ' ';
    large.add(text);
  }
  const Bm25 made = large.finish();
  made.save(path);
  const Bm25 read = Bm25::open(path);
  EXPECT_EQ(read.size(), 5000);
  EXPECT_EQ(read.vocabulary(), made.vocabulary());
  const auto query = made.terms("w0 W17 w699 nothing w8");
  EXPECT_EQ(query.size(), 4u);
  EXPECT_EQ(read.terms("w0 W17 w699 nothing w8"), query);
  EXPECT_EQ(read.search(query, 50), made.search(query, 50));

  const Bm25 numbers = index_of({{0, 9}, {9}});
  const Bm25 small = small_index();
  auto tensors = numbers.tensors("of.ids.");
  for (io::NamedTensor& t : small.tensors("of.words.")) tensors.push_back(t);
  io::write_safetensors(both, tensors);
  const auto file = io::SafeTensors::open(both);
  EXPECT_EQ(Bm25::from(file, "of.ids.").search(std::vector<Term>{9, 0}, 5), numbers.search(std::vector<Term>{9, 0}, 5));
  const Bm25 again = Bm25::from(file, "of.words.");
  EXPECT_EQ(again.search(again.terms("Red HAT größe"), 5), small.search(small.terms("red hat größe"), 5));
  EXPECT_EQ(again.search(again.terms("Red HAT größe"), 5).size(), 3u);
  TESSERA_EXPECT_ERROR(Code::kNotFound, "bm25.offsets", (void)Bm25::from(file));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "not words", (void)Bm25::from(file, "of.ids.").terms("red"));
}
TEST_F(Bm25File, CutShortOrDamagedItIsRefusedOrSafe) {
  const std::string path = folder + "/index.safetensors";
  const Bm25 made = small_index();
  made.save(path);
  const std::vector<std::byte> whole = bytes_of(path);
  ASSERT_GT(whole.size(), 300u);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_THROW((void)Bm25::from(io::SafeTensors::parse(cut, "cut")), Error) << n;
  }
  std::size_t refused = 0, taken = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const int flip : {1, 0x40, 0x80, 0xff}) {
      std::vector<std::byte> damaged = whole;
      damaged[i] ^= static_cast<std::byte>(flip);
      try {
        const auto file = io::SafeTensors::parse(damaged, "damaged");
        const Bm25 index = Bm25::from(file);
        const auto query = index.terms("the red shoe größe 東京");
        for (const Hit& h : index.search(query, 10)) EXPECT_TRUE(h.id >= 0 && h.id < index.size());
        ++taken;
      } catch (const Error&) {
        ++refused;
      }
    }
  EXPECT_GT(refused, taken);
  EXPECT_GT(taken, 0u);  // a length, the last bit of a weight
}
TEST_F(Bm25File, EachWrongTensorIsNamed) {
  struct Lists {
    std::vector<index_t> offsets{0, 2, 3}, word_offsets{0, 1, 2};
    std::vector<std::uint32_t> documents{0, 2, 1}, lengths{1, 1, 1};
    std::vector<float> weights{1, 2, 3};
    std::string words = "ab";
  };
  const auto opened = [&](const std::function<void(Lists&)>& change) {
    Lists l;
    change(l);
    const auto view = []<class T>(const std::vector<T>& v) { return io::any_view(View<const T, 1>(v.data(), v.size())); };
    const std::vector<std::uint8_t> words(l.words.begin(), l.words.end());
    io::write_safetensors(folder + "/x", {{"bm25.offsets", view(l.offsets)},
                                          {"bm25.documents", view(l.documents)},
                                          {"bm25.weights", view(l.weights)},
                                          {"bm25.lengths", view(l.lengths)},
                                          {"bm25.words", view(words)},
                                          {"bm25.word_offsets", view(l.word_offsets)}});
    return Bm25::open(folder + "/x").search(std::vector<Term>{0}, 5).size();
  };
  EXPECT_EQ(opened([](Lists&) {}), 2u);
  const float nan = std::nanf(""), infinite = HUGE_VALF;
  const std::map<const char*, std::vector<std::function<void(Lists&)>>> wrong{
      {"do not part the documents",
       {[](Lists& l) { l.offsets = {}; },
        [](Lists& l) {
          l.offsets = {1, 2, 3};
        },
        [](Lists& l) {
          l.offsets = {0, 4, 3};
        },
        [](Lists& l) {
          l.offsets = {0, -1, 3};
        },
        [](Lists& l) {
          l.offsets = {0, 2, 2};
        },
        [](Lists& l) {
          l.offsets = {0, 2, 4};
        },
        [](Lists& l) { l.documents.pop_back(); }}},
      {"as many weights", {[](Lists& l) { l.weights.pop_back(); }, [](Lists& l) { l.weights.push_back(1); }}},
      {"ascending numbers of documents",
       {[](Lists& l) { l.documents[2] = 3; }, [](Lists& l) { l.documents[1] = 0xffffffff; },
        [](Lists& l) { l.documents[1] = 0; }, [](Lists& l) { l.documents[0] = 2; }, [](Lists& l) { l.lengths.pop_back(); }}},
      {"negative or not finite",
       {[&](Lists& l) { l.weights[2] = nan; }, [&](Lists& l) { l.weights[0] = infinite; },
        [](Lists& l) { l.weights[1] = -1; }}},
      {"do not part the words",
       {[](Lists& l) { l.word_offsets = {}; },
        [](Lists& l) {
          l.word_offsets = {0, 3, 2};
        },
        [](Lists& l) { l.words = "a"; }}},
      {"as many words",
       {[](Lists& l) {
          l.word_offsets = {0, 2};
        },
        [](Lists& l) {
          l.word_offsets = {0, 0, 1, 2};
        }}},
      {"ascending order", {[](Lists& l) { l.words = "ba"; }, [](Lists& l) { l.words = "aa"; }}}};
  for (const auto& [says, changes] : wrong)
    for (const auto& change : changes) TESSERA_EXPECT_ERROR(Code::kFormat, says, (void)opened(change));
  const std::vector<std::int32_t> other{0, 2, 3};
  io::write_safetensors(folder + "/y", {{"bm25.offsets", io::any_view(View<const std::int32_t, 1>(other.data(), 3))}});
  TESSERA_EXPECT_ERROR(Code::kFormat, "is I32 of rank 1, expected I64", (void)Bm25::open(folder + "/y"));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "", (void)Bm25::open(folder + "/none"));
}

}  // namespace
}  // namespace tessera::retrieval
