// Embedding models of all kinds against what make_heads.py recorded: modules of sentences, 2-D Matryoshka, SPLADE, BGE-M3,
// ColBERT; and the bits promise of each.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/io/npy.hpp>
#include <tessera/models/multi_vector_encoder.hpp>
#include <tessera/models/sparse_encoder.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>
#include "support/errors.hpp"
#include "support/isas.hpp"

namespace tessera::models {
namespace {

const std::string kHeads = std::string(TESSERA_GOLDENS) + "/heads/";
constexpr double kBound = 2e-5;  // of a row's largest value

std::vector<std::string> texts() {
  std::vector<std::string> all;
  std::ifstream file(kHeads + "texts.jsonl");
  for (std::string line; std::getline(file, line);) all.push_back(io::Json::parse(line).get<std::string>());
  return all;
}
const std::vector<std::string> kTexts = texts();
std::vector<std::string_view> views() { return {kTexts.begin(), kTexts.end()}; }

/// Of rows [n, dim] against a recorded array.
void expect_rows(const std::vector<float>& got, index_t dim, const std::string& golden) {
  const auto file = io::NpyFile::open(kHeads + golden);
  const auto want = file.array().as<float, 2>();
  ASSERT_EQ(want.extent[1], dim) << golden;
  ASSERT_EQ(static_cast<index_t>(got.size()), want.size()) << golden;
  for (index_t r = 0; r < want.extent[0]; ++r) {
    double top = 0, error = 0;
    for (index_t c = 0; c < dim; ++c) {
      const double w = static_cast<double>(want(r, c)), g = static_cast<double>(got[static_cast<std::size_t>(r * dim + c)]);
      top = std::max(top, std::abs(w)), error = std::max(error, std::isnan(g) ? INFINITY : std::abs(w - g));
    }
    EXPECT_LE(error, kBound * (top > 0 ? top : 1)) << golden << " row " << r;
  }
}

std::vector<float> dense(const SparseRows& rows, index_t vocabulary) {
  std::vector<float> all(static_cast<std::size_t>(rows.rows() * vocabulary), 0.f);
  for (index_t b = 0; b < rows.rows(); ++b)
    for (std::size_t i = 0; i < rows.ids_of(b).size(); ++i)
      all[static_cast<std::size_t>(b * vocabulary + rows.ids_of(b)[i])] = rows.weights_of(b)[i];
  return all;
}

struct Heads : ::testing::Test {
  Context ctx{2};
};

struct Modules : ::testing::TestWithParam<const char*> {};
TEST_P(Modules, EqualSentenceTransformers) {
  Context ctx(2);
  const std::string name = GetParam();
  const auto model = TextEncoder::load(ctx, kHeads + name);
  const auto e = model.embed(ctx, views());
  expect_rows(e.values, e.dim, name + "/embeddings.npy");
  for (const Isa isa : test::isas()) {
    Context one(isa, 1);
    const auto same = TextEncoder::load(one, kHeads + name);
    for (std::size_t i = 0; i < kTexts.size(); i += 3) {
      const auto alone = same.embed(one, {kTexts[i]});
      EXPECT_TRUE(std::equal(alone.values.begin(), alone.values.end(), e.row(static_cast<index_t>(i)).begin()))
          << isa_name(isa) << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Folders, Modules, ::testing::Values("weighted_layers", "token_dense", "t5_layers", "bge_m3"),
                         [](const auto& p) { return std::string(p.param); });

TEST_F(Heads, EveryNumberOfLayersInOnePass) {
  for (const std::string name : {"token_dense", "t5_layers"}) {
    const auto model = TextEncoder::load(ctx, kHeads + name);
    std::vector<index_t> layers;  // the deepest one twice, and by its two names
    for (index_t n = model.model().transformer->config().layers; n >= 0; --n) layers.push_back(n);
    layers.push_back(-1);
    const auto all = model.embed_layers(ctx, views(), layers);
    ASSERT_EQ(all.size(), layers.size());
    EmbedOptions narrow;
    narrow.dims = 9;
    const auto cut = model.embed_layers(ctx, views(), layers, narrow);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const bool whole = layers[i] < 0 || layers[i] == layers[0];
      const std::string golden = whole ? "/embeddings.npy" : "/embeddings.layer." + std::to_string(layers[i]) + ".npy";
      expect_rows(all[i].values, all[i].dim, name + golden);
      EmbedOptions o;
      o.layers = layers[i];
      EXPECT_EQ(model.embed(ctx, views(), o).values, all[i].values) << layers[i];
      o.dims = 9;
      EXPECT_EQ(model.embed(ctx, views(), o).values, cut[i].values) << layers[i];
    }
    const index_t deep[] = {0, 9};
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "layer 9", (void)model.embed_layers(ctx, views(), deep));
  }
}

TEST_F(Heads, WidthsThatAFolderDeclares) {
  const auto with = [](index_t dims, bool force = false) {
    EmbedOptions o;
    o.dims = dims, o.force_dims = force;
    return o;
  };
  const auto card = TextEncoder::load(ctx, kHeads + "token_dense");
  EXPECT_EQ(card.matryoshka().dims, (std::vector<index_t>{8, 16, 34}));
  EXPECT_EQ(card.dim(with(11)), 11);  // between those trained
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "8, 16, 34", (void)card.dim(with(7)));
  EXPECT_EQ(card.dim(with(7, true)), 7);
  EXPECT_EQ(card.dim(with(34)), 34);
  const auto flag = TextEncoder::load(ctx, kHeads + "t5_layers");
  EXPECT_EQ(flag.dim(with(1)), 1);
  const auto cut = TextEncoder::load(ctx, kHeads + "weighted_layers");  // truncate_dim
  EXPECT_EQ(cut.dim(), 11);
  EXPECT_EQ(cut.dim(with(18)), 18);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "truncate_dim", (void)cut.dim(with(10)));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "dims 19", (void)cut.dim(with(19, true)));
  const auto none = TextEncoder::load(ctx, kHeads + "bge_m3");
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "force_dims", (void)none.dim(with(23)));
  EmbedOptions layer;
  layer.layers = 1;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "WeightedLayerPooling", (void)cut.dim(layer));
}

struct Sparse : ::testing::TestWithParam<const char*> {};
TEST_P(Sparse, WeightsEqualTheRecordedOnes) {
  Context ctx(2);
  const std::string name = GetParam();
  const auto model = SparseEncoder::load(ctx, kHeads + name);
  const SparseRows rows = model.encode(ctx, views());
  expect_rows(dense(rows, model.vocabulary()), model.vocabulary(), name + "/sparse.npy");
  for (index_t b = 0; b < rows.rows(); ++b) {
    const auto ids = rows.ids_of(b);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()) && std::adjacent_find(ids.begin(), ids.end()) == ids.end());
    EXPECT_TRUE(std::all_of(rows.weights_of(b).begin(), rows.weights_of(b).end(), [](float w) { return w > 0; }));
  }
  if (model.base().prompts.count("query")) {
    SparseOptions query;
    query.prompt_name = "query";
    expect_rows(dense(model.encode(ctx, views(), query), model.vocabulary()), model.vocabulary(),
                name + "/sparse.query.npy");
  }
  SparseOptions few;
  few.top = 3;
  few.batch_tokens = 1;
  const SparseRows best = model.encode(ctx, views(), few);
  for (index_t b = 0; b < rows.rows(); ++b) {
    std::vector<float> weights(rows.weights_of(b).begin(), rows.weights_of(b).end()),
        kept(best.weights_of(b).begin(), best.weights_of(b).end());
    std::sort(weights.rbegin(), weights.rend()), std::sort(kept.rbegin(), kept.rend());
    weights.resize(std::min<std::size_t>(weights.size(), 3));
    EXPECT_EQ(kept, weights) << b;
    const auto ids = best.ids_of(b);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  }
  for (const Isa isa : test::isas()) {
    Context one(isa, 1);
    const auto same = SparseEncoder::load(one, kHeads + name);
    const SparseRows alone = same.encode(one, {kTexts[3]});
    EXPECT_TRUE(std::equal(alone.ids.begin(), alone.ids.end(), rows.ids_of(3).begin(), rows.ids_of(3).end()));
    EXPECT_TRUE(
        std::equal(alone.weights.begin(), alone.weights.end(), rows.weights_of(3).begin(), rows.weights_of(3).end()));
  }
}
INSTANTIATE_TEST_SUITE_P(Folders, Sparse,
                         ::testing::Values("splade_bert", "splade_distilbert", "mlm_roberta", "mlm_mpnet", "mlm_electra",
                                           "mlm_jina", "mlm_modernbert", "mlm_modernbert_biased", "bge_m3"),
                         [](const auto& p) { return std::string(p.param); });

TEST(SparseDot, OfWhatBothHave) {
  const std::int32_t a[] = {1, 4, 9}, b[] = {0, 4, 9, 12};
  const float x[] = {2, 3, 5}, y[] = {7, 11, 13, 17};
  EXPECT_FLOAT_EQ(sparse_dot(a, x, b, y), 3 * 11 + 5 * 13);
  EXPECT_EQ(sparse_dot(a, x, {}, {}), 0.f);
}

struct MultiVector : ::testing::TestWithParam<const char*> {};
TEST_P(MultiVector, TokensEqualTheRecordedOnes) {
  Context ctx(2);
  const std::string name = GetParam();
  const auto model = MultiVectorEncoder::load(ctx, kHeads + name);
  for (const auto& [role, file] : {std::pair(TextRole::query, "query"), {TextRole::document, "document"}}) {
    if (name == "bge_m3" && role == TextRole::query) continue;  // as documents
    const TokenEmbeddings e = model.encode(ctx, views(), role);
    const io::Json lengths = io::read_json(kHeads + name + "/" + file + ".lengths.json");
    ASSERT_EQ(e.texts(), static_cast<index_t>(lengths.size()));
    for (index_t b = 0; b < e.texts(); ++b) {
      const auto at = static_cast<std::size_t>(b);
      ASSERT_EQ(e.offsets[at + 1] - e.offsets[at], lengths[at].get<index_t>()) << name << " " << file << " " << b;
    }
    EXPECT_EQ(static_cast<index_t>(e.ids.size()), e.offsets.back());
    expect_rows(e.values, e.dim, name + "/" + file + ".npy");
    for (const Isa isa : test::isas()) {
      Context one(isa, 1);
      const auto same = MultiVectorEncoder::load(one, kHeads + name);
      const TokenEmbeddings alone = same.encode(one, {kTexts[7]}, role);
      EXPECT_TRUE(std::equal(alone.values.begin(), alone.values.end(), e.values.begin() + e.offsets[7] * e.dim))
          << isa_name(isa);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Folders, MultiVector,
                         ::testing::Values("colbert_stanford", "colbert_pylate", "colbert_saved", "bge_m3"),
                         [](const auto& p) { return std::string(p.param); });

TEST_F(Heads, QueriesAreFilledUpAndDocumentsAreNot) {
  const auto model = MultiVectorEncoder::load(ctx, kHeads + "colbert_stanford");
  const RoleTokens& query = model.tokens_of(TextRole::query);
  EXPECT_EQ(query.expanded, 14);
  EXPECT_FALSE(query.attended);
  EXPECT_EQ(model.base().tokenizer->id_to_token(query.marker), "[unused0]");
  const auto q =
      model.encode(ctx, {"x", "a small text about the cat and the dog in the search of it, and the text"}, TextRole::query);
  EXPECT_EQ(q.offsets, (std::vector<index_t>{0, 14, 28}));
  EXPECT_EQ(q.ids[13], query.expansion);
  const auto d = model.encode(ctx, {"a cat.", "..."}, TextRole::document);
  EXPECT_EQ(d.offsets, (std::vector<index_t>{0, 5, 8}));  // [CLS] [D] a cat [SEP]; full stops have no row
  EXPECT_EQ(model.tokens_of(TextRole::document).skipped.size(), 32u);
  // What it is for: scores by late interaction.
  std::vector<float> scores(4);
  const auto offsets = [](const std::vector<index_t>& v) {
    return View<const index_t, 1>(v.data(), static_cast<index_t>(v.size()));
  };
  ops::maxsim(ctx, q.view(), offsets(q.offsets), ops::pack_weight(ctx, d.view()), offsets(d.offsets),
              View<float, 2>(scores.data(), 2, 2));
  for (const float s : scores) EXPECT_TRUE(s > 0 && s <= 14.001f);
}

TEST_F(Heads, EachKindNamesTheOther) {
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "--sparse", (void)TextEncoder::load(ctx, kHeads + "splade_bert"));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "--multi-vector", (void)TextEncoder::load(ctx, kHeads + "colbert_saved"));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "no SpladePooling", (void)SparseEncoder::load(ctx, kHeads + "token_dense"));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "MultiVectorMask", (void)MultiVectorEncoder::load(ctx, kHeads + "token_dense"));
}

}  // namespace
}  // namespace tessera::models
