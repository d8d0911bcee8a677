// What bits, ranges and ids let through is what a search of those rows alone finds.
#include <tessera/ops/row_filter.hpp>

#include <limits>
#include <set>

#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/gemm.hpp>
#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct RowFilter : OpsTest {};
TESSERA_ON_EVERY_ISA(RowFilter);

struct Bits {
  std::vector<std::uint64_t> words;
  explicit Bits(index_t n) : words(static_cast<std::size_t>(ops::filter_words(n))) {}
  View<std::uint64_t, 1> out() { return View<std::uint64_t, 1>(words.data(), static_cast<index_t>(words.size())); }
  bool has(index_t r) const { return words[static_cast<std::size_t>(r / 64)] >> (r % 64) & 1; }
};

TEST(RowFilterBits, RangesAreThoseOfALoop) {
  const index_t n = 200;
  for (const auto& [first, last] : {std::pair<index_t, index_t>{0, 0},
                                    {0, 1},
                                    {3, 64},
                                    {0, 64},
                                    {63, 65},
                                    {64, 128},
                                    {10, 190},
                                    {199, 200},
                                    {-5, 7},
                                    {150, 1000},
                                    {9, 3}}) {
    Bits bits(n);
    bits.words[1] = 5;
    ops::allow_range(first, last, bits.out());
    for (index_t r = 0; r < 256; ++r)
      EXPECT_EQ(bits.has(r), (r >= first && r < last) || r == 64 || r == 66) << r << " of " << first << " to " << last;
  }
}
TEST(RowFilterBits, IdsInAnyOrderAndThoseThatAreNone) {
  const index_t ids[] = {77, 3, 3, -1, 128, 255, 256, std::numeric_limits<index_t>::max()};
  Bits bits(200);
  EXPECT_EQ(ops::allow_ids(View<const index_t, 1>(ids, 8), bits.out()), 3);
  const std::set<index_t> in{77, 3, 128, 255};
  for (index_t r = 0; r < 256; ++r) EXPECT_EQ(bits.has(r), in.count(r) > 0) << r;
}

/// The rows that may be found, searched alone, their ids put back.
Found alone(Context& ctx, const Matrix& q, const Matrix& rows, DType type, index_t k, const Bits& bits,
            const ops::TopKOptions& whole) {
  std::vector<index_t> ids;
  for (index_t r = 0; r < rows.rows; ++r)
    if (bits.has(r)) ids.push_back(r);
  Found want(q.rows, k);
  if (ids.empty()) {
    const auto o = want.out();
    for (index_t b = 0; b < q.rows; ++b) {
      o.counts(b) = 0;
      for (index_t i = 0; i < k; ++i) o.ids(b, i) = -1, o.scores(b, i) = -std::numeric_limits<float>::infinity();
    }
    return want;
  }
  const auto m = static_cast<index_t>(ids.size());
  Matrix some(m, rows.columns, 0), bias(1, m, 0), scale(1, m, 0);
  for (index_t i = 0; i < m; ++i) {
    const index_t r = ids[static_cast<std::size_t>(i)];
    for (index_t c = 0; c < rows.columns; ++c) some(i, c) = rows(r, c);
    if (whole.bias.data) bias(0, i) = whole.bias(r);
    if (whole.scale.data) scale(0, i) = whole.scale(r);
  }
  ops::TopKOptions o{.least = whole.least};
  if (whole.bias.data) o.bias = bias.row();
  if (whole.scale.data) o.scale = scale.row();
  ops::top_k(ctx, q.in(), packed_as(ctx, some, type), o, want.out());
  for (index_t& id : want.ids)
    if (id >= 0) id = ids[static_cast<std::size_t>(id)];
  return want;
}

TEST_P(RowFilter, IsASearchOfTheseRowsAlone) {
  const index_t n = 2100, e = 37, k = 15;
  Matrix rows = filled(n, e, {.seed = 2});
  for (index_t r = 0; r < n; r += 9) rows(r, r % e) = 40.f;  // what int8 keeps apart
  const Matrix bias = filled(1, n, {.seed = 3}), scale = filled(1, n, {.seed = 4, .shift = 1.f});
  Random random(5);
  std::vector<Bits> filters;
  for (const int share : {0, 1, 5, 30, 300, 1000}) {  // of a thousand
    Bits& bits = filters.emplace_back(n);
    for (index_t r = 0; r < n; ++r)
      if (random.in(0, 999) < share) bits.words[static_cast<std::size_t>(r / 64)] |= std::uint64_t{1} << (r % 64);
    bits.words.back() |= ~std::uint64_t{0} << (n % 64);  // bits behind the last row mean nothing
  }
  for (const auto& [first, last] : {std::pair<index_t, index_t>{1000, 1001}, {60, 400}, {2090, 2100}})
    ops::allow_range(first, last, filters.emplace_back(n).out());
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    const PackedWeight packed = packed_as(ctx, rows, type);
    for (const index_t batch : {1, 7, 70}) {
      const Matrix q = filled(batch, e, {.seed = 1});
      for (const Bits& bits : filters) {
        ops::TopKOptions o{.scale = scale.row(), .bias = bias.row()};
        const Found want = alone(ctx, q, rows, type, k, bits, o);
        o.allowed = View<const std::uint64_t, 1>(bits.words.data(), static_cast<index_t>(bits.words.size()));
        for (const int threads : {1, 3}) {
          Context many(GetParam(), threads);
          poison_arena(many);
          Found got(batch, k);
          ops::top_k(many, q.in(), packed, o, got.out());
          EXPECT_TRUE(got == want) << dtype_name(type) << ", " << batch << ", filter " << &bits - filters.data();
        }
      }
    }
  }
}
TEST_P(RowFilter, CertifiedToo) {
  const index_t n = 3000, e = 40, k = 12;
  const Matrix rows = filled(n, e, {.seed = 2}), bias = filled(1, n, {.seed = 3}),
               scale = filled(1, n, {.seed = 4, .shift = 1.f});
  std::vector<Bits> filters(3, Bits(n));
  ops::allow_range(700, 720, filters[0].out()), ops::allow_range(100, 2900, filters[2].out());
  for (index_t r = 3; r < n; r += 41) ops::allow_range(r, r + 1, filters[1].out());
  for (const DType as : {DType::bf16, DType::i8}) {
    const auto coarse = ops::CoarseRows::pack(ctx, rows.in(), as);
    for (const index_t batch : {1, 20}) {
      const Matrix q = filled(batch, e, {.seed = 1});
      for (const Bits& bits : filters) {
        ops::TopKOptions o{.scale = scale.row(), .bias = bias.row()};
        const Found want = alone(ctx, q, rows, DType::f32, k, bits, o);
        o.allowed = View<const std::uint64_t, 1>(bits.words.data(), static_cast<index_t>(bits.words.size()));
        for (const int threads : {1, 3}) {
          Context many(GetParam(), threads);
          poison_arena(many);
          Found got(batch, k);
          ops::CertifiedStats stats;
          ops::certified_top_k(many, q.in(), rows.in(), coarse, o, got.out(), &stats);
          EXPECT_TRUE(got == want) << dtype_name(as) << ", " << batch << ", filter " << &bits - filters.data();
          EXPECT_EQ(stats.exhausted, 0);
        }
      }
    }
  }
}

}  // namespace
