// Stages in one call answer as they do one by one, and say what they left out.
#include <tessera/retrieval/stages.hpp>

#include <limits>

#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/fusion.hpp>
#include "retrieval/corpus_folder.hpp"
#include "support/errors.hpp"

namespace tessera::retrieval {
namespace {

using test::filled, test::Found, test::Matrix;

struct StagesTest : test::CorpusFolder {
  Matrix rows = filled(300, 32, {.seed = 41}), queries = filled(4, 32, {.seed = 42, .pad = 3});
  const std::vector<std::string> asked = {"where is the cat", "dog", "w3 w14", ""};

  Corpus corpus(const char* name, const CorpusFormat& format) {
    const std::string at = (folder / name).string();
    auto writer = CorpusWriter::create(at, format, 100 * 32 * 4);
    std::vector<std::string> documents;
    for (int i = 0; i < 300; ++i)
      documents.push_back(i % 10 == 7 ? R"({"body": "a dog"})"
                                      : R"({"text": "the w)" + std::to_string(i % 31) + R"( dog"})");
    View<const float, 2> in = rows.in();
    in.extent[1] = format.dim;
    writer.add(ctx, in, documents);
    writer.commit(ctx);
    return Corpus::open(at);
  }
};

/// The best of all rows by brute force of Corpus::search() over everything, of those alone that are in `among`.
Ranking restricted(Context& ctx, const Corpus& c, View<const float, 2> query, const Ranking& among, std::size_t keep) {
  query.extent[1] = c.format().dim;
  Found all(1, c.rows());
  c.search(ctx, query, {}, all.out());
  Ranking left;
  for (index_t i = 0; i < c.rows(); ++i)
    if (std::any_of(among.begin(), among.end(), [&](const Hit& h) { return h.id == all.out().ids(0, i); }))
      left.push_back({all.out().ids(0, i), static_cast<double>(all.out().scores(0, i))});
  return best(left, keep);
}
Ranking everything(index_t n) {
  Ranking all;
  for (index_t i = 0; i < n; ++i) all.push_back({i, 0});
  return all;
}

TEST_F(StagesTest, AnswerAsOneByOne) {
  const Corpus bits = corpus("bits.safetensors", {32, DType::boolean}),
               prefix = corpus("prefix.safetensors", {8, DType::i8, true}),
               full = corpus("full.safetensors", {32, DType::f32, true});
  const auto model = models::CrossEncoder::load(ctx, std::string(TESSERA_GOLDENS) + "/cross_encoder/one_label");
  index_t left_out = 0;
  const Stage stages[] = {{"bits", by_embeddings(bits, queries.in()), 120},
                          {"prefix", by_embeddings(prefix, queries.in()), 60},
                          {"full", by_embeddings(full, queries.in()), 20},
                          {"cross-encoder", by_cross_encoder(model, asked, full, "text", {}, &left_out), 7}};
  const auto got = search_in_stages(ctx, stages, 4, 300);
  ASSERT_EQ(got.of.size(), 4u);
  EXPECT_FALSE(got.skipped());
  index_t without = 0;
  for (std::size_t q = 0; q < 4; ++q) {
    const View<const float, 2> query = queries.in().slice(static_cast<index_t>(q), static_cast<index_t>(q) + 1);
    Ranking want = restricted(ctx, bits, query, everything(300), 120);
    want = restricted(ctx, prefix, query, want, 60);
    want = restricted(ctx, full, query, want, 20);
    Ranking scored;
    for (const Hit& h : want) {
      const std::string text = text_of(full, h.id, "text");
      without += text.empty();
      if (!text.empty()) scored.push_back({h.id, static_cast<double>(model.score(ctx, {{asked[q], text}})[0])});
    }
    EXPECT_EQ(got.of[q], best(scored, 7)) << q;
  }
  EXPECT_EQ(left_out, without);
  EXPECT_GT(without, 0);
  const index_t seen[] = {1200, 480, 240, 80}, kept[] = {480, 240, 80, 28};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(got.stages[i].seen, seen[i]);
    EXPECT_EQ(got.stages[i].kept, kept[i]);
    EXPECT_GT(got.stages[i].ms, 0);
  }
  for (int threads = 1; threads <= 3; ++threads) {
    Context many(threads);
    EXPECT_EQ(search_in_stages(many, stages, 4, 300).of, got.of);
  }
}

TEST_F(StagesTest, WordsAndRanksAreStagesToo) {
  const Corpus full = corpus("full.safetensors", {32});
  const Bm25 index = index_words(full);
  std::vector<std::vector<Term>> terms;
  for (const std::string& text : asked) terms.push_back(index.terms(text));
  std::vector<std::uint64_t> even(5, 0x5555555555555555u);
  ops::CertifiedStats took;
  const auto words = by_words(index, terms, even);
  const auto dense = by_embeddings(full, queries.in(), {even, -1000}, &took);
  const Stage first[] = {{"words", words, 40}, {"dense", dense, 5}};
  const auto got = search_in_stages(ctx, first, 4, 150);
  EXPECT_GT(took.rescored, 0);
  const Stage both[] = {{"hybrid", by_ranks(dense, words, 30), 10}}, behind[] = {{"words", words, 40}, both[0]};
  const auto fused = search_in_stages(ctx, both, 4, 150), fused_among = search_in_stages(ctx, behind, 4, 150);
  for (std::size_t q = 0; q < 4; ++q) {
    const View<const float, 2> query = queries.in().slice(static_cast<index_t>(q), static_cast<index_t>(q) + 1);
    const View<const std::uint64_t, 1> allowed(even.data(), 5);
    const Ranking found = index.search(terms[q], 40, allowed);
    EXPECT_EQ(got.of[q], restricted(ctx, full, query, found, 5));
    Ranking even_rows = everything(300);
    std::erase_if(even_rows, [](const Hit& h) { return h.id % 2 != 0; });
    EXPECT_EQ(
        fused.of[q],
        best(reciprocal_rank_fusion({restricted(ctx, full, query, even_rows, 30), index.search(terms[q], 30, allowed)}),
             10));
    EXPECT_EQ(fused_among.of[q],
              best(reciprocal_rank_fusion({restricted(ctx, full, query, found, 30), best(found, 30)}), 10));
  }
  EXPECT_TRUE(got.of[3].empty());  // a query without words
}

TEST_F(StagesTest, WhoseTimeIsUpAreSkippedAndSayIt) {
  const Corpus full = corpus("full.safetensors", {32});
  const auto dense = by_embeddings(full, queries.in());
  const Stage stages[] = {{"one", dense, 50}, {"two", dense, 20, 0}, {"three", dense, 10}, {"four", dense, 5}};
  const auto got = search_in_stages(ctx, stages, 4, 300);
  EXPECT_TRUE(got.skipped());
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(got.stages[i].skipped, i > 1) << i;
  EXPECT_EQ(got.stages[2].seen, 0);
  EXPECT_EQ(got.of, search_in_stages(ctx, std::span(stages).first(2), 4, 300).of);
  EXPECT_FALSE(search_in_stages(ctx, std::span(stages).first(2), 4, 300).skipped());  // nothing was left to skip
  const Stage patient[] = {{"one", dense, 50, 1e9}, {"two", dense, 20}};
  EXPECT_FALSE(search_in_stages(ctx, patient, 4, 300).skipped());
}

TEST_F(StagesTest, RefuseWhatDoesNotFit) {
  const Corpus full = corpus("full.safetensors", {32});
  auto small_writer = CorpusWriter::create(path, {32});
  small_writer.add(ctx, rows.in().slice(0, 5));
  small_writer.commit(ctx);
  const Corpus few = Corpus::open(path);
  const auto dense = by_embeddings(full, queries.in()), other = by_embeddings(few, queries.in());
  const auto model = models::CrossEncoder::load(ctx, std::string(TESSERA_GOLDENS) + "/cross_encoder/one_label");
  const auto run = [&](std::vector<Stage> stages) { (void)search_in_stages(ctx, stages, 4, 300); };
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "none", run({}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "keeps 0", run({{"a", dense, 0}}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "a keeps 1", run({{"a", dense, 1, -1}}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "may take", run({{"a", dense, 1, std::numeric_limits<double>::quiet_NaN()}}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "has 5 rows", run({{"a", dense, 300}, {"b", other, 3}}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "cannot be the first", run({{"a", by_cross_encoder(model, asked, full)}}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "expected 4", run({{"a", by_embeddings(full, queries.in().slice(0, 3))}}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "queries of 5", (void)by_embeddings(full, filled(2, 5).in()));
  const auto three = models::CrossEncoder::load(ctx, std::string(TESSERA_GOLDENS) + "/cross_encoder/three_labels");
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "3 labels", (void)by_cross_encoder(three, asked, full));
  EXPECT_TRUE(
      search_in_stages(ctx, std::vector<Stage>{{"a", by_embeddings(full, queries.in().slice(0, 0))}}, 0, 300).of.empty());
}

}  // namespace
}  // namespace tessera::retrieval
