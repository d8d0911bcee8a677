// Every product once, in a fixed order, and never the matrix.
#include <tessera/ops/pairwise.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include <tessera/ops/topk.hpp>
#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Pairwise : OpsTest {};
TESSERA_ON_EVERY_ISA(Pairwise);

TEST_P(Pairwise, TilesAreThoseOfLinearInOrder) {
  for (const DType type : {DType::f32, DType::bf16, DType::i8})
    for (const auto& [m, n] : {std::pair<index_t, index_t>{1, 1}, {0, 5}, {3, 1030}, {300, 65}, {257, 1025}}) {
      const index_t e = 21;
      const Matrix a = filled(m, e, {.seed = 1, .pad = 3}), b = filled(n, e, {.seed = 2});
      const PackedWeight packed = packed_as(ctx, b, type);
      Matrix want = poisoned(m, n);
      ops::linear(ctx, a.in(), packed, {}, want.out());
      std::vector<std::pair<index_t, index_t>> first;
      for (const int threads : {1, 2, 5}) {
        Context many(GetParam(), threads);
        poison_arena(many);
        Matrix got = poisoned(m, n);
        std::vector<std::pair<index_t, index_t>> order;
        ops::pairwise(many, a.in(), packed, [&](const ops::ProductTile& t) {
          order.emplace_back(t.row, t.column);
          EXPECT_LE(t.products.extent[0], ops::kTileOfRows);
          EXPECT_LE(t.products.extent[1], ops::kTileOfColumns);
          for (index_t i = 0; i < t.products.extent[0]; ++i)
            for (index_t j = 0; j < t.products.extent[1]; ++j) {
              float& to = got(t.row + i, t.column + j);
              EXPECT_EQ(__builtin_bit_cast(std::uint32_t, to), kPoison);  // each once
              to = t.products(i, j);
            }
        });
        EXPECT_EQ(got.bits(), want.bits()) << dtype_name(type) << " " << m << "x" << n << ", " << threads;
        if (threads == 1) first = order;
        EXPECT_EQ(order, first);
        EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
      }
    }
}
TEST_P(Pairwise, ScratchIsWhatItCarvesAndWhatIsThrownComesOut) {
  const Matrix a = filled(10, 1500, {.seed = 1}), b = filled(70, 1500, {.seed = 2});
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    Context many(GetParam(), 3);
    const PackedWeight packed = packed_as(many, b, type);
    many.arena().reserve(ops::pairwise_scratch(many, 10, packed) + kAlignment);
    const ArenaScope scope(many.arena());
    (void)many.arena().carve<float>(1);  // it may not grow
    const auto used = many.arena().used();
    int tiles = 0;
    ops::pairwise(many, a.in(), packed, [&](const ops::ProductTile&) { ++tiles; });
    EXPECT_EQ(tiles, 1);
    EXPECT_THROW(ops::pairwise(many, a.in(), packed, [](const ops::ProductTile&) { throw std::runtime_error("enough"); }),
                 std::runtime_error);
    EXPECT_EQ(many.arena().used(), used);
  }
}
TEST_P(Pairwise, RefusesWhatDoesNotFit) {
  const Matrix a = filled(3, 7), b = filled(4, 8);
  const PackedWeight packed = ops::pack_weight(ctx, b.in());
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels of a",
                       ops::pairwise(ctx, a.in(), packed, [](const auto&) { FAIL(); }));
}

struct Prefix : OpsTest {};
TESSERA_ON_EVERY_ISA(Prefix);

TEST_P(Prefix, HasTheBitsOfTheCutRowsPacked) {
  const index_t n = 150, e = 1100, batch = 9;
  Matrix rows = filled(n, e, {.seed = 2, .pad = 1});
  rows(7, e - 1) = std::numeric_limits<float>::quiet_NaN(), rows(8, 200) = std::numeric_limits<float>::infinity();
  const Matrix q = filled(batch, e, {.seed = 1, .pad = 5});
  for (const DType type : {DType::f32, DType::bf16}) {
    const PackedWeight whole = packed_as(ctx, rows, type);
    for (const index_t k : {2, 16, 64, 130, 1030, 1100}) {
      const PackedWeight prefix = ops::packed_prefix(whole, k);
      EXPECT_EQ(prefix.k(), k);
      View<const float, 2> cut_rows = rows.in(), cut = q.in();
      cut_rows.extent[1] = cut.extent[1] = k;
      WeightView w = cut_rows;
      w.packed = type;
      const PackedWeight packed = ops::pack_weight(ctx, w);
      with_threads([&](Context& many) {
        Matrix want = poisoned(batch, n), got = poisoned(batch, n);
        ops::linear(many, cut, packed, {}, want.out());
        ops::linear(many, cut, prefix, {}, got.out());
        EXPECT_EQ(promised_bits(got), promised_bits(want)) << dtype_name(type) << " " << k;
        Found best(batch, 12), again(batch, 12);
        ops::top_k(many, cut, packed, {}, best.out());
        ops::top_k(many, cut, prefix, {}, again.out());
        EXPECT_TRUE(best == again) << dtype_name(type) << " " << k;
        std::uint64_t words[3] = {0x1000000000000081U, 0, 0x3U};  // gathered
        const ops::TopKOptions o{.allowed = View<const std::uint64_t, 1>(words, 3)};
        ops::top_k(many, cut, packed, o, best.out());
        ops::top_k(many, cut, prefix, o, again.out());
        EXPECT_TRUE(best == again) << dtype_name(type) << " " << k;
        Matrix tiles = poisoned(batch, n);
        ops::pairwise(many, cut, prefix, [&](const ops::ProductTile& t) {
          for (index_t i = 0; i < t.products.extent[0]; ++i)
            for (index_t j = 0; j < t.products.extent[1]; ++j) tiles(t.row + i, t.column + j) = t.products(i, j);
        });
        EXPECT_EQ(promised_bits(tiles), promised_bits(want));
      });
    }
  }
}
TEST_P(Prefix, OfItselfAndWhatHasNone) {
  const Matrix rows = filled(20, 32, {.seed = 2}), q = filled(2, 8, {.seed = 1});
  const PackedWeight f32 = ops::pack_weight(ctx, rows.in()), bf16 = packed_bf16(ctx, rows);
  Matrix once = poisoned(2, 20), twice = poisoned(2, 20);
  ops::linear(ctx, q.in(), ops::packed_prefix(f32, 8), {}, once.out());
  ops::linear(ctx, q.in(), ops::packed_prefix(ops::packed_prefix(f32, 17), 8), {}, twice.out());
  EXPECT_EQ(once.bits(), twice.bits());
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "at most all", ops::packed_prefix(f32, 33));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "at least one", ops::packed_prefix(f32, 0));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "even", ops::packed_prefix(bf16, 5));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "int8", ops::packed_prefix(packed_as(ctx, rows, DType::i8), 16));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "glu", ops::packed_prefix(ops::pack_weight_glu(ctx, rows.in(), rows.in()), 16));
}

}  // namespace
