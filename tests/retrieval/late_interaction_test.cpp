// An index for late interaction answers as MaxSim with its decoded tokens does, its pruning keeps what an oracle of the
// papers keeps, and a damaged file is refused.
#include <tessera/retrieval/late_interaction.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>

#include <tessera/io/safetensors.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/retrieval/late_interaction_writer.hpp>
#include "support/errors.hpp"
#include "support/found.hpp"

namespace tessera::retrieval {
namespace {

namespace fs = std::filesystem;
using test::filled, test::Found, test::Matrix, test::Random;

constexpr float kInf = std::numeric_limits<float>::infinity();

template <class T>
View<const T, 1> view(const std::vector<T>& v) {
  return View<const T, 1>(v.data(), static_cast<index_t>(v.size()));
}

/// The tensors of an index, to be changed before they are written.
struct Tensors {
  std::vector<float> centroids, cutoffs, weights;
  index_t dim = 0;
  std::vector<std::int32_t> ids, list_documents;
  std::vector<std::uint8_t> codes;
  std::vector<index_t> cu_d, list_offsets;
  std::map<std::string, std::string> metadata{{"tessera.late_interaction", "1"}};
  std::string without;  ///< the name of a tensor that is left out

  void list() {
    const std::size_t count = centroids.size() / static_cast<std::size_t>(dim);
    list_offsets.assign(1, 0), list_documents.clear();
    for (std::size_t c = 0; c < count; ++c) {
      for (std::size_t d = 0; d + 1 < cu_d.size(); ++d)
        if (std::find(ids.begin() + cu_d[d], ids.begin() + cu_d[d + 1], static_cast<std::int32_t>(c)) !=
            ids.begin() + cu_d[d + 1])
          list_documents.push_back(static_cast<std::int32_t>(d));
      list_offsets.push_back(static_cast<index_t>(list_documents.size()));
    }
  }
  void write(const std::string& path) const {
    const auto bytes =
        ids.empty() ? dim * (cutoffs.size() == 3 ? 2 : 4) / 8 : static_cast<index_t>(codes.size() / ids.size());
    std::vector<io::NamedTensor> all{
        {"centroids",
         io::any_view(View<const float, 2>(centroids.data(), static_cast<index_t>(centroids.size()) / dim, dim))},
        {"cutoffs", io::any_view(view(cutoffs))},
        {"weights", io::any_view(view(weights))},
        {"token_centroids", io::any_view(view(ids))},
        {"codes", io::any_view(View<const std::uint8_t, 2>(codes.data(), static_cast<index_t>(ids.size()), bytes))},
        {"document_offsets", io::any_view(view(cu_d))},
        {"list_offsets", io::any_view(view(list_offsets))},
        {"list_documents", io::any_view(view(list_documents))}};
    std::erase_if(all, [&](const io::NamedTensor& t) { return t.name == without; });
    io::write_safetensors(path, all, metadata);
  }
};

template <class T, int Rank>
std::vector<T> copied(const View<const T, Rank>& v) {
  return {v.data, v.data + v.size()};
}
Tensors golden_index(const io::SafeTensors& golden, int bits) {
  const std::string end = "." + std::to_string(bits);
  Tensors t;
  const auto centroids = golden.at("centroids").as<float, 2>();
  t.centroids = copied(centroids), t.dim = centroids.extent[1];
  t.cutoffs = copied(golden.at("cutoffs" + end).as<float, 1>());
  t.weights = copied(golden.at("weights" + end).as<float, 1>());
  t.ids = copied(golden.at("ids").as<std::int32_t, 1>());
  t.codes = copied(golden.at("codes" + end).as<std::uint8_t, 2>());
  t.cu_d = copied(golden.at("document_offsets").as<index_t, 1>());
  t.list();
  return t;
}

struct LateInteraction : ::testing::Test {
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tessera_late_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name;
    path = folder / "index.safetensors";
    for (int d = 0; d < 90; ++d) cu_d.push_back(cu_d.back() + (d % 11 == 3 ? 0 : random.in(1, 30)));
    tokens = filled(cu_d.back(), 16, {.seed = 2, .scale = 0.5f, .pad = 3});
    const Matrix topics = filled(10, 16, {.seed = 3});
    for (index_t t = 0; t < tokens.rows; ++t)
      for (index_t c = 0; c < 16; ++c) tokens(t, c) += topics(random.in(0, 9) % 10, c);
    ops::l2_normalize(ctx, tokens.in(), tokens.out());
    queries = filled(14, 16, {.seed = 4, .pad = 1});
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  LateInteractionIndex written(const LateInteractionFormat& f) {
    write_late_interaction_index(ctx, path, tokens.in(), view(cu_d), f);
    return LateInteractionIndex::open(ctx, path);
  }
  /// By the operations: decoded, packed, scored, those without tokens or not allowed never found.
  Found expected(const LateInteractionIndex& index, index_t k, View<const std::uint64_t, 1> allowed = {},
                 float least = -kInf) {
    Matrix decoded(index.tokens(), index.dim(), 0);
    ops::residual_decode(ctx, index.codec(), index.token_centroids(), index.codes(), decoded.out());
    Matrix scores(static_cast<index_t>(cu_q.size()) - 1, index.documents(), 0);
    ops::maxsim(ctx, queries.in(), view(cu_q), ops::pack_weight(ctx, decoded.in()), index.document_offsets(), scores.out());
    for (index_t b = 0; b < scores.rows; ++b)
      for (index_t d = 0; d < scores.columns; ++d)
        if (cu_q[static_cast<std::size_t>(b)] == cu_q[static_cast<std::size_t>(b) + 1] || scores(b, d) == -kInf ||
            scores(b, d) < least || (allowed.data && !(allowed(d / 64) >> (d % 64) & 1)))
          scores(b, d) = std::numeric_limits<float>::quiet_NaN();
    Found found(scores.rows, k);
    ops::select_k(ctx, scores.in(), found.out());
    return found;
  }

  Context ctx{1};
  Random random{1};
  fs::path folder;
  std::string path;
  Matrix tokens, queries;
  std::vector<index_t> cu_d{0}, cu_q{0, 5, 5, 6, 14};
};

TEST_F(LateInteraction, AnIndexHasWhatItSays) {
  for (const int bits : {2, 4}) {
    const LateInteractionIndex index = written({.bits = bits, .centroids = 20});
    EXPECT_EQ(index.documents(), 90);
    EXPECT_EQ(index.tokens(), tokens.rows);
    EXPECT_EQ(index.dim(), 16);
    const ops::ResidualCodec& codec = index.codec();
    EXPECT_EQ(codec.bits(), bits);
    EXPECT_TRUE(std::is_sorted(codec.cutoffs.data, codec.cutoffs.data + codec.cutoffs.size()));
    double apart = 0, rest = 0;  // squares: of what coding moved, and of what a centroid alone would
    Matrix decoded(tokens.rows, 16, 0);
    ops::residual_decode(ctx, codec, index.token_centroids(), index.codes(), decoded.out());
    for (index_t t = 0; t < tokens.rows; ++t) {
      float own = 0, most = -kInf;
      for (index_t c = 0; c < 20; ++c) {
        float s = 0;
        for (index_t j = 0; j < 16; ++j) s = std::fma(tokens(t, j), codec.centroids(c, j), s);
        most = std::max(most, s);
        if (c == index.token_centroids()(t)) own = s;
      }
      ASSERT_EQ(own, most) << t;
      for (index_t j = 0; j < 16; ++j) {
        apart += std::pow(static_cast<double>(tokens(t, j) - decoded(t, j)), 2);
        rest += std::pow(static_cast<double>(tokens(t, j) - codec.centroids(index.token_centroids()(t), j)), 2);
      }
    }
    // 4 and 16 buckets of equally many normal numbers leave 0.147 and 0.024 of their variance.
    EXPECT_NEAR(apart / rest, bits == 2 ? 0.147 : 0.024, bits == 2 ? 0.03 : 0.01);
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(index.codes().size()));
    ops::residual_encode(ctx, codec, tokens.in(), index.token_centroids(),
                         View<std::uint8_t, 2>(codes.data(), index.codes().extent));
    EXPECT_EQ(codes, copied(index.codes()));
    Tensors lists;
    lists.centroids = copied(codec.centroids), lists.dim = 16, lists.ids = copied(index.token_centroids()),
    lists.cu_d = cu_d;
    lists.list();
    EXPECT_EQ(lists.list_offsets, copied(index.list_offsets()));
    EXPECT_EQ(lists.list_documents, copied(index.list_documents()));
  }
  EXPECT_EQ(written({}).codec().centroids.extent[0], 512);  // 16 sqrt(1239) = 563
}
TEST_F(LateInteraction, ThreadsAndSeedsOfAnIndex) {
  (void)written({.centroids = 30, .seed = 4});
  const std::string one = bytes();
  for (const int threads : {2, 3}) {
    Context many(threads);
    write_late_interaction_index(many, path, tokens.in(), view(cu_d), {.centroids = 30, .seed = 4});
    EXPECT_EQ(bytes(), one);
  }
  Context generic(Isa::generic, 1);
  write_late_interaction_index(generic, path, tokens.in(), view(cu_d), {.centroids = 30, .seed = 4});
  EXPECT_EQ(bytes(), one);
  (void)written({.centroids = 30, .seed = 5});
  EXPECT_NE(bytes(), one);
  (void)written({.centroids = 30, .sample = 2, .seed = 4});
  EXPECT_NE(bytes(), one);
}
TEST_F(LateInteraction, WithoutPruningItIsMaxSimWithDecodedTokens) {
  std::vector<std::uint64_t> allowed{random.next(), random.next() & 0x3ffffff};
  for (const int bits : {2, 4}) {
    const LateInteractionIndex index = written({.bits = bits, .centroids = 25});
    for (const index_t k : {1, 7, 200})
      for (const bool filtered : {false, true})
        for (const float least : {-kInf, 1.f}) {
          LateInteractionOptions o{.least = least};
          if (filtered) o.allowed = view(allowed);
          const Found want = expected(index, k, o.allowed, least);
          for (const bool pruned : {false, true}) {  // a pruning that leaves all is none
            if (pruned) o.pruning = PlaidPruning{25, -kInf, 4 * 90};
            for (const int threads : {1, 3}) {
              Context many(threads);
              Found got(4, k);
              index.search(many, queries.in(), view(cu_q), o, got.out());
              EXPECT_TRUE(got == want) << bits << " bits, k " << k << " pruned " << pruned;
            }
          }
        }
  }
}
TEST_F(LateInteraction, ManyTokensAreDecodedInBlocks) {
  cu_d = {0, 9000, 9001, 9001, 17500};
  for (int i = 0; i < 200; ++i) cu_d.push_back(cu_d.back() + random.in(1, 60));
  tokens = filled(cu_d.back(), 16, {.seed = 12});
  ops::l2_normalize(ctx, tokens.in(), tokens.out());
  const LateInteractionIndex index = written({.centroids = 8, .iterations = 1});
  Found got(4, 30);
  index.search(ctx, queries.in(), view(cu_q), {}, got.out());
  EXPECT_TRUE(got == expected(index, 30));
}
TEST_F(LateInteraction, StagesAreThoseOfAnOracle) {
  const auto golden = io::SafeTensors::open(TESSERA_GOLDENS "/late_interaction.safetensors");
  const auto settings = golden.at("settings").as<float, 2>();
  const auto query = golden.at("query").as<float, 2>();
  for (const int bits : {2, 4}) {
    golden_index(golden, bits).write(path);
    const LateInteractionIndex index = LateInteractionIndex::open(ctx, path);
    const auto exact = golden.at("exact." + std::to_string(bits)).as<float, 1>();
    const std::vector<index_t> cu{0, query.extent[0]};
    Found all(1, index.documents());
    index.search(ctx, query, view(cu), {}, all.out());
    for (index_t i = 0; i < all.counts[0]; ++i)
      ASSERT_NEAR(all.scores[static_cast<std::size_t>(i)], exact(all.ids[static_cast<std::size_t>(i)]), 3e-6f);
    for (index_t s = 0; s < settings.extent[0]; ++s) {
      const PlaidPruning pruning{static_cast<index_t>(settings(s, 0)), settings(s, 1), static_cast<index_t>(settings(s, 2))};
      const auto want = [&](const char* stage) { return copied(golden.at(stage + std::to_string(s)).as<index_t, 1>()); };
      const PlaidStages stages = index.stages(ctx, query, pruning);
      EXPECT_EQ(stages.probed, want("probed.")) << s;
      EXPECT_EQ(stages.pruned, want("pruned.")) << s;
      EXPECT_EQ(stages.centroid, want("centroid.")) << s;
      // What is found is what is best among these.
      std::vector<index_t> found;
      for (index_t i = 0; i < all.counts[0]; ++i)
        if (const index_t id = all.ids[static_cast<std::size_t>(i)];
            std::binary_search(stages.centroid.begin(), stages.centroid.end(), id))
          found.push_back(id);
      for (const int threads : {1, 3}) {
        Context many(threads);
        Found got(1, 70);
        index.search(many, query, view(cu), {.pruning = pruning}, got.out());
        got.ids.resize(static_cast<std::size_t>(got.counts[0]));
        EXPECT_EQ(got.ids, found) << s;
      }
    }
  }
}
TEST_F(LateInteraction, FilteredDocumentsAreNoCandidates) {
  const LateInteractionIndex index = written({.centroids = 12});
  std::vector<std::uint64_t> allowed{0xf0f0f0f0f0f0f0f0U, 0x155};
  const PlaidStages all = index.stages(ctx, queries.in().slice(0, 5), {2, 0.3f, 40});
  const PlaidStages some = index.stages(ctx, queries.in().slice(0, 5), {2, 0.3f, 40}, view(allowed));
  std::vector<index_t> want;
  for (const index_t d : all.probed)
    if (allowed[static_cast<std::size_t>(d / 64)] >> (d % 64) & 1) want.push_back(d);
  EXPECT_EQ(some.probed, want);
  EXPECT_LT(want.size(), all.probed.size());
  EXPECT_EQ(PlaidPruning::of(10).n_docs, 256);
  EXPECT_EQ(PlaidPruning::of(100).n_probe, 2);
  EXPECT_EQ(PlaidPruning::of(2000).n_docs, 8000);
}
TEST_F(LateInteraction, RefusesWhatDoesNotFit) {
  const LateInteractionIndex index = written({.centroids = 12});
  Found out(4, 3);
  const auto search = [&](const Matrix& q, const std::vector<index_t>& cu, const LateInteractionOptions& o) {
    index.search(ctx, q.in(), view(cu), o, out.out());
  };
  const std::vector<std::uint64_t> words(3);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "queries of 15", search(filled(14, 15), cu_q, {}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "offsets", search(queries, {0, 5, 5, 6, 13}, {}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "offsets", search(queries, {0, 5, 4, 6, 14}, {}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "ids and scores", search(queries, {0, 14}, {}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "words of allowed", search(queries, cu_q, {.allowed = view(words)}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "n_probe", search(queries, cu_q, {.pruning = PlaidPruning{0, 0, 5}}));
  EXPECT_EQ(out.ids[0], -77);
  const auto write = [&](const std::vector<index_t>& cu, const LateInteractionFormat& f) {
    write_late_interaction_index(ctx, folder / "other", tokens.in(), view(cu), f);
  };
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "offsets", write({0, 5}, {}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "2 or 4 bits", write(cu_d, {.bits = 3}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "centroids", write(cu_d, {.centroids = tokens.rows + 1}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "sample", write(cu_d, {.sample = 0}));
  tokens(5, 5) = std::numeric_limits<float>::quiet_NaN();
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "NaN", write(cu_d, {}));
  tokens = Matrix(0, 16, 0);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no tokens", write({0, 0}, {}));
  EXPECT_FALSE(fs::exists(folder / "other"));
}
TEST_F(LateInteraction, DamagedFilesAreRefusedByName) {
  const auto golden = io::SafeTensors::open(TESSERA_GOLDENS "/late_interaction.safetensors");
  const Tensors good = golden_index(golden, 4);
  const auto refused = [&](const char* word, const std::function<void(Tensors&)>& damage) {
    Tensors t = good;
    damage(t);
    t.write(path);
    TESSERA_EXPECT_ERROR(Code::kFormat, word, (void)LateInteractionIndex::open(ctx, path));
  };
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  refused("'token_centroids' has an id", [](Tensors& t) { t.ids[7] = 24; });
  refused("'token_centroids' has an id", [](Tensors& t) { t.ids[7] = -1; });
  refused("'list_documents' has an id", [](Tensors& t) { t.list_documents[3] = 60; });
  refused("'list_documents' has an id", [](Tensors& t) { t.list_documents[3] = -5; });
  refused("'document_offsets' decreases", [](Tensors& t) { std::swap(t.cu_d[10], t.cu_d[20]); });
  refused("'document_offsets' does not", [](Tensors& t) { t.cu_d.back() += 1; });
  refused("'document_offsets' does not", [](Tensors& t) { t.cu_d.clear(); });
  refused("'document_offsets' does not", [](Tensors& t) { t.cu_d[0] = -1; });
  refused("'list_offsets' does not", [](Tensors& t) { t.list_documents.pop_back(); });
  refused("'list_offsets' has not", [](Tensors& t) { t.list_offsets.insert(t.list_offsets.begin(), 0); });
  refused("'codes' has another shape", [](Tensors& t) { t.codes.resize(t.ids.size() * 6); });
  refused("'cutoffs' has another length", [](Tensors& t) { t.cutoffs.resize(3); });
  refused("'weights' is not of", [](Tensors& t) { t.weights.resize(8); });
  refused("'weights' holds", [nan](Tensors& t) { t.weights[2] = nan; });
  refused("'cutoffs' holds", [](Tensors& t) { t.cutoffs[2] = kInf; });
  refused("'centroids' holds", [nan](Tensors& t) { t.centroids[100] = nan; });
  refused("'centroids' is empty", [](Tensors& t) { t.centroids.clear(); });
  refused("'centroids' has rows", [](Tensors& t) { t.dim = 3; });
  for (const char* name :
       {"centroids", "cutoffs", "weights", "token_centroids", "codes", "document_offsets", "list_offsets", "list_documents"})
    refused("is missing", [name](Tensors& t) { t.without = name; });
  refused("not an index", [](Tensors& t) { t.metadata.clear(); });
  Tensors later = good;
  later.metadata["tessera.late_interaction"] = "2";
  later.write(path);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "another version", (void)LateInteractionIndex::open(ctx, path));
  io::write_safetensors(path, {{"centroids", io::any_view(view(good.centroids))}}, good.metadata);
  TESSERA_EXPECT_ERROR(Code::kFormat, "another type or rank", (void)LateInteractionIndex::open(ctx, path));
  good.write(path);
  const std::string whole = bytes();
  std::ofstream(path, std::ios::binary) << whole.substr(0, whole.size() / 2);
  TESSERA_EXPECT_ERROR(Code::kFormat, "", (void)LateInteractionIndex::open(ctx, path));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "", (void)LateInteractionIndex::open(ctx, folder / "none"));
}
TEST_F(LateInteraction, NoDocumentsAndHugeNumbersAreNoCrash) {
  const auto golden = io::SafeTensors::open(TESSERA_GOLDENS "/late_interaction.safetensors");
  Tensors t = golden_index(golden, 2);
  for (float& c : t.centroids) c *= 1e37f;
  t.write(path);
  const auto query = golden.at("query").as<float, 2>();
  const std::vector<index_t> cu{0, query.extent[0]};
  for (const bool pruned : {false, true}) {
    LateInteractionOptions o;
    if (pruned) o.pruning = PlaidPruning{2, 0.f, 8};
    Found got(1, 3);
    LateInteractionIndex::open(ctx, path).search(ctx, query, view(cu), o, got.out());
    EXPECT_LE(got.counts[0], 3);
  }
  Tensors listed = golden_index(golden, 2);  // lists that name documents without tokens
  for (std::size_t d = 0, at = 0; d + 1 < listed.cu_d.size() && at < listed.list_documents.size(); ++d)
    if (listed.cu_d[d] == listed.cu_d[d + 1]) listed.list_documents[at++] = static_cast<std::int32_t>(d);
  listed.write(path);
  Found some(1, 60);
  LateInteractionIndex::open(ctx, path).search(ctx, query, view(cu), {.pruning = PlaidPruning{24, -kInf, 240}}, some.out());
  EXPECT_GT(some.counts[0], 40);
  EXPECT_TRUE(std::isfinite(some.scores[static_cast<std::size_t>(some.counts[0] - 1)]));
  t.ids.clear(), t.codes.clear(), t.cu_d.assign(1, 0), t.list();
  t.write(path);
  Found none(1, 3);
  const LateInteractionIndex empty = LateInteractionIndex::open(ctx, path);
  for (const bool pruned : {false, true}) {
    LateInteractionOptions o;
    if (pruned) o.pruning = PlaidPruning{};
    empty.search(ctx, query, view(cu), o, none.out());
    EXPECT_EQ(none.counts[0], 0);
    EXPECT_EQ(none.ids[2], -1);
  }
}

}  // namespace
}  // namespace tessera::retrieval
