// All rows of a corpus above a score, and the corpus of the first numbers of its rows.
#include <cmath>
#include <filesystem>
#include <limits>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/hamming.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/corpus_writer.hpp>
#include "support/errors.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace tessera::retrieval {
namespace {

namespace fs = std::filesystem;
using test::filled, test::Found, test::Matrix;

constexpr index_t kRows = 230, kDim = 40;
constexpr float kInf = std::numeric_limits<float>::infinity();

struct CorpusCut : ::testing::Test {
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tessera_cut_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name;
    path = folder / "c.safetensors";
    for (index_t r = 100; r < 150; ++r)  // equal scores on both sides of boundaries
      for (index_t c = 0; c < kDim; ++c) rows(r, c) = rows(r - 100, c);
    for (index_t c = 0; c < kDim; ++c) rows(7, c) = 0, rows(8, c) = c < 20 ? 0.f : 1.f;
  }
  void TearDown() override { fs::remove_all(folder); }
  Corpus corpus_of(const CorpusFormat& format) {
    for (const auto& [begin, end] : {std::pair<index_t, index_t>{0, 101}, {101, 230}}) {
      auto writer = begin == 0 ? CorpusWriter::create(path, format) : CorpusWriter::append(path);
      std::vector<std::string> documents;
      for (index_t r = begin; r < end; ++r) documents.push_back("{\"n\": " + std::to_string(r) + "}");
      writer.add(ctx, rows.in().slice(begin, end), documents);
      writer.commit(ctx);
    }
    const index_t gone[] = {3, 110, 111};
    remove_rows(path, gone);
    return Corpus::open(path);
  }

  Context ctx{1};
  fs::path folder;
  std::string path;
  Matrix rows = filled(kRows, kDim, {.seed = 1, .pad = 3});
  const Matrix q = filled(4, kDim, {.seed = 2, .pad = 1});
};

TEST_F(CorpusCut, WithinIsAllOfASearchThatReachesTheScore) {
  std::vector<std::uint64_t> most(4, ~std::uint64_t{0});
  most[1] = 0x0f;
  for (const DType as : {DType::f32, DType::bf16, DType::i8, DType::boolean})
    for (const bool normalized : {false, true}) {
      const Corpus corpus = corpus_of({kDim, as, normalized});
      Found all(4, kRows);
      corpus.search(ctx, q.in(), {}, all.out());
      for (const float least : {-kInf, -19.f, -0.f, all.out().scores(1, 5), kInf})
        for (const bool filtered : {false, true})
          for (const int threads : {1, 3}) {
            Context many(threads);
            SearchOptions o{.least = least};
            if (filtered) o.allowed = most;
            ops::CertifiedStats stats{-1, -1};
            const auto got = corpus.within(many, q.in(), o, &stats);
            ASSERT_EQ(got.size(), 4u);
            EXPECT_GE(stats.rescored, 0);
            Found want(4, kRows);
            corpus.search(ctx, q.in(), o, want.out());
            for (index_t b = 0; b < 4; ++b) {
              const Ranking& found = got[static_cast<std::size_t>(b)];
              ASSERT_EQ(static_cast<index_t>(found.size()), want.out().counts(b)) << dtype_name(as) << normalized << least;
              for (std::size_t i = 0; i < found.size(); ++i)
                EXPECT_TRUE(found[i].id == want.out().ids(b, i) &&
                            found[i].score == static_cast<double>(want.out().scores(b, i)));
            }
          }
    }
  const Corpus corpus = corpus_of({kDim});
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "39 numbers", (void)corpus.within(ctx, filled(1, 39).in(), {}));
  EXPECT_TRUE(corpus.within(ctx, filled(0, kDim).in(), {}).empty());
}
TEST_F(CorpusCut, MoreThanTheFirstGuessOfRoom) {
  const Corpus corpus = corpus_of({kDim});
  const Matrix many = filled(20, kDim, {.seed = 5});
  for (const Ranking& r : corpus.within(ctx, many.in(), {})) EXPECT_EQ(r.size(), 227u);
}

/// 1 / |row| of the first `dims` numbers, which are a chain.
Matrix lengths(const Matrix& rows, index_t dims) {
  Matrix scale(1, rows.rows, 0);
  for (index_t r = 0; r < rows.rows; ++r) {
    float square = 0;
    for (index_t c = 0; c < dims; ++c) square = std::fma(rows(r, c), rows(r, c), square);
    scale(0, r) = square > 0 ? 1.0f / std::sqrt(square) : 0.0f;
  }
  return scale;
}

TEST_F(CorpusCut, APrefixAnswersAsTheCutRowsWould) {
  std::vector<std::uint64_t> left(4, ~std::uint64_t{0});
  left[0] &= ~(std::uint64_t{1} << 3), left[1] &= ~(std::uint64_t{3} << 46);
  for (const DType as : {DType::f32, DType::bf16, DType::boolean})
    for (const bool normalized : {false, true}) {
      const Corpus whole = corpus_of({kDim, as, normalized});
      for (const index_t dims : {2, 12, 20, 40}) {
        const Corpus corpus = whole.prefix(ctx, dims);
        EXPECT_EQ(corpus.format().dim, dims);
        EXPECT_EQ(corpus.document(200), "{\"n\": 200}");
        View<const float, 2> cut_q = q.in();
        cut_q.extent[1] = dims;
        Matrix kept = rows, unit_q(4, dims, 0);  // as they lie in the corpus
        if (normalized) ops::l2_normalize(ctx, kept.in(), kept.out());
        if (as == DType::bf16) {
          const PackedWeight packed = test::packed_bf16(ctx, kept);
          ops::unpack_rows(packed, 0, kept.out());
        }
        ops::l2_normalize(ctx, cut_q, unit_q.out());
        const View<const float, 2> queries = normalized ? unit_q.in() : cut_q;
        View<const float, 2> cut = kept.in();
        cut.extent[1] = dims;
        const Matrix scale = lengths(kept, dims);
        ops::TopKOptions o{.allowed = View<const std::uint64_t, 1>(left.data(), 4)};
        if (normalized) o.scale = scale.row();
        Found want(4, 60), got(4, 60);
        if (as == DType::boolean) {
          std::vector<std::uint8_t> bits(static_cast<std::size_t>(4 * ops::bit_bytes(dims)));
          const View<std::uint8_t, 2> signs(bits.data(), 4, ops::bit_bytes(dims));
          ops::pack_bits(ctx, cut_q, signs);
          ops::hamming_top_k(ctx, signs, ops::BitRows::pack(ctx, cut), {o.allowed}, want.out());
        } else {
          WeightView w = cut;
          w.packed = as;
          ops::top_k(ctx, queries, ops::pack_weight(ctx, w), o, want.out());
        }
        for (const int threads : {1, 3}) {
          Context many(threads);
          corpus.search(many, cut_q, {}, got.out());
          EXPECT_TRUE(got == want) << dtype_name(as) << normalized << " " << dims;
        }
        if (normalized && as != DType::boolean) {
          for (index_t i = 0; i < 60; ++i) EXPECT_LE(std::abs(got.out().scores(0, i)), 1.001f);
        }
      }
    }
}
TEST_F(CorpusCut, PrefixesThatAreNone) {
  const Corpus f32 = corpus_of({kDim});
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "prefix of 0", (void)f32.prefix(ctx, 0));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "prefix of 41", (void)f32.prefix(ctx, 41));
  EXPECT_EQ(f32.prefix(ctx, 20).prefix(ctx, 5).format().dim, 5);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "int8", (void)corpus_of({kDim, DType::i8}).prefix(ctx, 20));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "even", (void)corpus_of({kDim, DType::bf16}).prefix(ctx, 5));
}

}  // namespace
}  // namespace tessera::retrieval
