// Whatever the rows are, what certified_top_k() finds is what top_k() finds in f32.
#include <tessera/ops/certified_topk.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/norm.hpp>
#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct CertifiedTopK : OpsTest {};
TESSERA_ON_EVERY_ISA(CertifiedTopK);

constexpr DType kCoarse[] = {DType::bf16, DType::i8};
constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

Matrix unit(Context& ctx, Matrix m) {
  ops::l2_normalize(ctx, m.in(), m.out());
  return m;
}
/// Compares on one thread and on several; returns what it took there.
ops::CertifiedStats compare(Context& ctx, Isa isa, const Matrix& q, const Matrix& rows, DType as, index_t k,
                            const ops::TopKOptions& o = {}) {
  Found want(q.rows, k);
  ops::top_k(ctx, q.in(), ops::pack_weight(ctx, rows.in()), o, want.out());
  const auto coarse = ops::CoarseRows::pack(ctx, rows.in(), as);
  ops::CertifiedStats stats;
  for (int threads = 1; threads <= 4; ++threads) {
    Context many(isa, threads);
    poison_arena(many);
    Found got(q.rows, k);
    ops::certified_top_k(many, q.in(), rows.in(), coarse, o, got.out(), threads == 1 ? &stats : nullptr);
    EXPECT_TRUE(got == want) << dtype_name(as) << " " << rows.rows << "x" << rows.columns << ", k " << k << ", " << threads
                             << " threads";
  }
  return stats;
}

TEST_P(CertifiedTopK, RandomRowsOfLengthOneTakeFew) {
  for (const DType as : kCoarse)
    for (const index_t e : {3, 64, 130}) {
      const Matrix q = unit(ctx, filled(5, e, {.seed = 1, .pad = 3})),
                   rows = unit(ctx, filled(4000, e, {.seed = 2, .pad = 5}));
      for (const index_t k : {1, 10, 200}) {
        const auto stats = compare(ctx, GetParam(), q, rows, as, k);
        EXPECT_EQ(stats.exhausted, 0) << e;
        EXPECT_GE(stats.rescored, 5 * k);
        if (e < 64) continue;
        EXPECT_LE(stats.rescored, 5 * (as == DType::bf16 ? 3 * k + 64 : 10 * k + 300)) << k << dtype_name(as);
      }
    }
}
TEST_P(CertifiedTopK, NumbersFarFromTheRestCostLittle) {  // int8 keeps one of a row apart
  Matrix rows = filled(4000, 64, {.seed = 2}), q = filled(3, 64, {.seed = 1});
  for (index_t r = 0; r < 4000; ++r) rows(r, r % 64) *= 30.f;
  const auto stats = compare(ctx, GetParam(), q, rows, DType::i8, 10);
  EXPECT_EQ(stats.exhausted, 0);
  EXPECT_LE(stats.rescored, 3 * 300);
}
TEST_P(CertifiedTopK, LengthsOfAllSizesAndDirectionsThatAreNear) {
  for (const DType as : kCoarse) {
    Matrix q = filled(4, 40, {.seed = 1}), rows = filled(3000, 40, {.seed = 2});
    for (index_t r = 0; r < 3000; ++r) {
      const float size = std::ldexp(1.f, static_cast<int>(r % 21 - 10));
      for (index_t c = 0; c < 40; ++c)
        rows(r, c) = r % 3 == 0 ? size * rows(r, c)
                                : rows(r % 7, c) + (r % 3 == 1 ? 1e-3f : 1e-6f) * rows(r, c);  // clusters around seven rows
    }
    for (index_t c = 0; c < 40; ++c) q(1, c) *= 1e6f, q(2, c) = rows(4, c);
    rows(100, 7) = 300.f, q(3, 5) = 90.f;  // numbers far from the rest
    for (const index_t k : {1, 25}) compare(ctx, GetParam(), q, rows, as, k);
  }
}
TEST_P(CertifiedTopK, WhatCannotBeToldApartIsComputed) {
  for (const DType as : kCoarse) {
    Matrix q = filled(3, 16, {.seed = 1}), rows = filled(2600, 16, {.seed = 2});
    for (index_t r = 0; r < 2600; ++r)
      for (index_t c = 0; c < 16; ++c) rows(r, c) = rows(0, c) + (r % 2 ? 0.f : 1e-6f * rows(r, c));
    for (index_t c = 0; c < 16; ++c) q(2, c) = 0.f;
    const auto stats = compare(ctx, GetParam(), q, rows, as, 9);
    EXPECT_EQ(stats.exhausted, 3);
    EXPECT_EQ(stats.rescored, 3 * 2600);
    std::vector<std::uint64_t> words(41, 0xfedcba9876543210U);
    words[5] = 0;
    const ops::TopKOptions o{.allowed = View<const std::uint64_t, 1>(words.data(), 41)};
    for (const index_t k : {1, 20}) EXPECT_EQ(compare(ctx, GetParam(), q, rows, as, k, o).exhausted, 3) << k;
  }
}
TEST_P(CertifiedTopK, ScalesBiasesFiltersAndFloors) {
  const index_t n = 1500;
  const Matrix q = filled(6, 24, {.seed = 1}), rows = filled(n, 24, {.seed = 2}), bias = filled(1, n, {.seed = 3}),
               scale = filled(1, n, {.seed = 4, .shift = 1.f});
  std::vector<std::uint64_t> words(24, 0x0123456789abcdefU);
  words[3] = words[7] = 0;
  for (const DType as : kCoarse)
    for (int parts = 0; parts < 16; ++parts) {
      ops::TopKOptions o;
      if (parts & 1) o.bias = bias.row();
      if (parts & 2) o.scale = scale.row();
      if (parts & 4) o.allowed = View<const std::uint64_t, 1>(words.data(), 24);
      if (parts & 8) o.least = 3.f;
      compare(ctx, GetParam(), q, rows, as, 12, o);
    }
  Matrix large(1, n, 0);  // scores are rounded to steps that hold many rows
  for (index_t r = 0; r < n; ++r) large(0, r) = 1e6f;
  for (const DType as : kCoarse) compare(ctx, GetParam(), q, rows, as, 12, {.bias = large.row()});
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "not be negative",
                       compare(ctx, GetParam(), q, rows, DType::i8, 12, {.scale = bias.row()}));
}
TEST_P(CertifiedTopK, WhatIsNotFiniteTinyOrHuge) {
  for (const DType as : kCoarse) {
    Matrix q = filled(7, 12, {.seed = 1});
    const Matrix rows = filled(900, 12, {.seed = 2});
    for (index_t c = 0; c < 12; ++c) q(2, c) *= 1e-38f, q(3, c) *= 1e38f, q(4, c) *= 1e-21f, q(5, c) *= 1e30f;
    q(0, 3) = kNan, q(1, 3) = kInf;
    compare(ctx, GetParam(), q, rows, as, 11);
    for (const float size : {1e-30f, 1e-38f, 1e25f, 3.3e38f}) {
      Matrix scaled = rows;
      for (float& x : scaled.memory) x *= size;
      for (index_t r = 0; r < 900; r += 2)
        for (index_t c = 0; c < 12; ++c) scaled(r, c) *= 1e-6f;
      compare(ctx, GetParam(), q, scaled, as, 11);
    }
    Matrix broken = rows;
    broken(17, 2) = kNan;
    TESSERA_EXPECT_ERROR(Code::kNonFinite, "row 17", (void)ops::CoarseRows::pack(ctx, broken.in(), as));
  }
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "bf16 or int8", (void)ops::CoarseRows::pack(ctx, filled(3, 4).in(), DType::f32));
}
TEST_P(CertifiedTopK, WhatWasPackedBeforeIsChecked) {
  const Matrix rows = filled(70, 9, {.seed = 1}), q = filled(3, 9, {.seed = 2});
  const auto coarse = ops::CoarseRows::pack(ctx, rows.in(), DType::i8);
  std::vector<float> error(coarse.error.data, coarse.error.data + 70), length(coarse.length.data, coarse.length.data + 70);
  const auto borrowed = [&] {
    return ops::CoarseRows(coarse.rows, View<const float, 1>(error.data(), 70), View<const float, 1>(length.data(), 70), {});
  };
  EXPECT_EQ(borrowed().longest, coarse.longest);
  for (const float none : {kNan, -1.0f})
    for (std::vector<float>* bounds : {&error, &length}) {
      const float was = std::exchange((*bounds)[69], none);
      TESSERA_EXPECT_ERROR(Code::kNonFinite, "row 69", (void)borrowed());
      (*bounds)[69] = was;
    }
  length.resize(69);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "69",
                       (void)ops::CoarseRows(coarse.rows, coarse.error, View<const float, 1>(length.data(), 69), {}));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "bf16 or int8",
                       (void)ops::CoarseRows(ops::pack_weight(ctx, rows.in()), coarse.error, coarse.length, {}));
}
TEST_P(CertifiedTopK, PanelsOfAFileNameNoPlaceElsewhere) {
  Matrix rows = filled(64, 12, {.seed = 3});
  for (index_t r = 0; r < 64; ++r) rows(r, 5) = 40;  // far from the rest: kept apart
  const auto packed = ops::CoarseRows::pack(ctx, rows.in(), DType::i8).rows;
  std::vector<std::byte> bytes(packed.data(), packed.data() + packed.bytes());
  ASSERT_EQ(bytes.size(), ops::packed_bytes(64, 12, DType::i8));
  const Matrix q = filled(3, 12, {.seed = 4});
  for (const std::int32_t place : {-1, 12, 1 << 28, INT32_MIN, INT32_MAX}) {
    std::memcpy(bytes.data() + (kernels::kInt8Outlier * 16 + 7) * 4, &place, sizeof place);  // of row 7
    Found got(3, 64);
    ops::top_k(ctx, q.in(), PackedWeight(64, 12, DType::i8, bytes, nullptr), {}, got.out());
    EXPECT_EQ(got.counts, (std::vector<index_t>{64, 64, 64})) << place;
  }
}
TEST(PackedBytes, AreThoseOfPackWeight) {
  Context ctx(1);
  for (const DType as : {DType::f32, DType::bf16, DType::i8})
    for (const index_t n : {1, 16, 17, 100})
      for (const index_t k : {1, 2, 5, 64}) {
        const Matrix rows = filled(n, k);
        WeightView w = rows.in();
        w.packed = as, w.most_rounding = kInf;
        EXPECT_EQ(ops::packed_bytes(n, k, as), ops::pack_weight(ctx, w).bytes()) << n << "x" << k << dtype_name(as);
      }
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "f32, bf16 or int8", (void)ops::packed_bytes(1, 1, DType::f16));
  TESSERA_EXPECT_ERROR(Code::kLimit, "address space",
                       (void)ops::packed_bytes(index_t{1} << 40, index_t{1} << 40, DType::f32));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "negative", (void)ops::packed_bytes(-1, 1, DType::f32));
}
TEST_P(CertifiedTopK, FewRowsAndLongOnes) {
  for (const DType as : kCoarse) {
    for (const index_t n : {1, 17, 70})
      compare(ctx, GetParam(), filled(3, 9, {.seed = 1}), filled(n, 9, {.seed = 2}), as, 20);
    compare(ctx, GetParam(), filled(2, 4099, {.seed = 1}), filled(90, 4099, {.seed = 2}), as, 5);
  }
}
TEST_P(CertifiedTopK, ScratchIsWhatItCarves) {
  const Matrix q = filled(11, 20, {.seed = 1}), rows = filled(500, 20, {.seed = 2});
  for (const DType as : kCoarse)
    for (const int threads : {1, 3}) {
      Context many(GetParam(), threads);
      const auto coarse = ops::CoarseRows::pack(many, rows.in(), as);
      Found got(11, 5);
      many.arena().reserve(ops::certified_topk_scratch(many, 11, 5, coarse) + kAlignment);
      const ArenaScope scope(many.arena());
      (void)many.arena().carve<float>(1);  // it may not grow
      ops::certified_top_k(many, q.in(), rows.in(), coarse, {}, got.out());
      EXPECT_EQ(got.counts[10], 5);
    }
}

}  // namespace
