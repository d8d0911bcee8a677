#include <tessera/ops/topk.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct TopK : OpsTest {};
TESSERA_ON_EVERY_ISA(TopK);

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

/// By sorting everything. Of scores[b][r] those that may be found.
template <class Score, class Allowed>
Found expected(index_t batch, index_t n, index_t k, const Score& score, const Allowed& allowed) {
  Found f(batch, k);
  for (index_t b = 0; b < batch; ++b) {
    std::vector<std::pair<float, index_t>> all;
    for (index_t r = 0; r < n; ++r)
      if (const float s = score(b, r); allowed(r) && !std::isnan(s)) all.emplace_back(s == 0.f ? 0.f : s, r);
    std::sort(all.begin(), all.end(),
              [](const auto& x, const auto& y) { return x.first != y.first ? x.first > y.first : x.second < y.second; });
    auto o = f.out();
    o.counts(b) = std::min(k, static_cast<index_t>(all.size()));
    for (index_t i = 0; i < k; ++i) {
      const bool there = i < o.counts(b);
      o.scores(b, i) = there ? all[static_cast<std::size_t>(i)].first : -kInf;
      o.ids(b, i) = there ? all[static_cast<std::size_t>(i)].second : -1;
    }
  }
  return f;
}
const auto kAll = [](index_t) { return true; };

/// The chain of linear() in f32.
float chain(const Matrix& a, index_t i, const Matrix& b, index_t j) {
  float sum = 0;
  for (index_t c = 0; c < a.columns; ++c) sum = std::fma(a(i, c), b(j, c), sum);
  return sum;
}

TEST_P(TopK, IsTheSortedChainBitForBit) {
  struct Shape {
    index_t batch, n, e, k;
  };
  for (const Shape& s : {Shape{1, 1, 1, 1},
                         {1, 63, 5, 10},
                         {2, 64, 16, 64},
                         {3, 65, 17, 3},
                         {7, 200, 33, 200},
                         {6, 700, 8, 1},
                         {13, 129, 64, 500},
                         {250, 300, 7, 9},
                         {5, 3000, 12, 40},
                         {1, 20, 1030, 4}}) {
    poison_arena(ctx);
    const Matrix q = filled(s.batch, s.e, {.seed = 1, .pad = 3});
    Matrix rows = filled(s.n, s.e, {.seed = 2, .pad = 1});
    for (index_t r = 0; r < s.n; r += 4)  // a quarter are copies of others: exact ties
      for (index_t c = 0; c < s.e; ++c) rows(r, c) = rows(s.n - 1 - r / 2, c);
    const Found want = expected(
        s.batch, s.n, s.k, [&](index_t b, index_t r) { return chain(q, b, rows, r); }, kAll);
    const PackedWeight packed = ops::pack_weight(ctx, rows.in());
    Found got(s.batch, s.k);
    ops::top_k(ctx, q.in(), packed, {}, got.out());
    ASSERT_TRUE(got == want) << s.batch << " " << s.n << " " << s.e << " " << s.k;
    with_threads([&](Context& many) {
      poison_arena(many);
      Found again(s.batch, s.k);
      ops::top_k(many, q.in(), packed, {}, again.out());
      EXPECT_TRUE(again == want) << s.batch << " " << s.n << " " << s.e << " " << s.k;
    });
  }
}
TEST_P(TopK, ManyThreadsManyRowsAndQueriesAlone) {
  const index_t n = 20000, e = 6, k = 30;
  const Matrix q = filled(40, e, {.seed = 3}), rows = filled(n, e, {.seed = 4});
  const PackedWeight packed = ops::pack_weight(ctx, rows.in());
  Found all(40, k);
  ops::top_k(ctx, q.in(), packed, {}, all.out());
  EXPECT_TRUE(all == expected(
                         40, n, k, [&](index_t b, index_t r) { return chain(q, b, rows, r); }, kAll));
  with_threads([&](Context& many) {
    for (int round = 0; round < 3; ++round) {
      Found again(40, k);
      ops::top_k(many, q.in(), packed, {}, again.out());
      EXPECT_TRUE(again == all);
    }
  });
  for (const index_t b : {index_t{0}, index_t{17}, index_t{39}}) {
    Found alone(1, k);
    ops::top_k(ctx, q.in().slice(b, b + 1), packed, {}, alone.out());
    for (index_t i = 0; i < k; ++i) {
      EXPECT_EQ(alone.out().ids(0, i), all.out().ids(b, i));
      EXPECT_EQ(alone.out().scores(0, i), all.out().scores(b, i));
    }
  }
}
// Ascending scores are the worst case: each row is better than all before it.
TEST_P(TopK, AscendingAndEqualScores) {
  const index_t n = 5000;
  Matrix q(2, 1, 0), rows(n, 1, 0);
  q(0, 0) = 1.f, q(1, 0) = 0.f;
  for (index_t r = 0; r < n; ++r) rows(r, 0) = static_cast<float>(r);
  for (const index_t k : {1, 63, 64, 65, 1000}) {
    Found got(2, k);
    ops::top_k(ctx, q.in(), ops::pack_weight(ctx, rows.in()), {}, got.out());
    for (index_t i = 0; i < k; ++i) {
      EXPECT_EQ(got.out().ids(0, i), n - 1 - i);
      EXPECT_EQ(got.out().ids(1, i), i);  // all are 0
    }
  }
}
TEST_P(TopK, ScalesBiasesFiltersAndFloors) {
  const index_t n = 333, e = 9, batch = 8, k = 12;
  const Matrix q = filled(batch, e, {.seed = 1}), rows = filled(n, e, {.seed = 2}), bias = filled(1, n, {.seed = 3}),
               scale = filled(1, n, {.seed = 4, .shift = 1.f});
  const PackedWeight packed = ops::pack_weight(ctx, rows.in());
  std::vector<std::uint64_t> words(6, 0);  // of every third row, and of no row of two whole words
  const auto allowed = [](index_t r) { return r % 3 == 0 && r / 64 != 1 && r / 64 != 3; };
  for (index_t r = 0; r < n; ++r)
    if (allowed(r)) words[static_cast<std::size_t>(r / 64)] |= std::uint64_t{1} << (r % 64);
  words.back() |= ~std::uint64_t{0} << (n % 64);  // bits behind the last row mean nothing
  for (int parts = 0; parts < 16; ++parts) {
    ops::TopKOptions o;
    if (parts & 1) o.bias = bias.row();
    if (parts & 2) o.scale = scale.row();
    if (parts & 4) o.allowed = View<const std::uint64_t, 1>(words.data(), 6);
    if (parts & 8) o.least = 0.75f;
    const auto score = [&](index_t b, index_t r) {
      float s = chain(q, b, rows, r);
      if (parts & 1) s += bias(0, r);
      if (parts & 2) s *= scale(0, r);
      return s >= o.least ? s : kNan;
    };
    const Found want = expected(batch, n, k, score, [&](index_t r) { return !(parts & 4) || allowed(r); });
    const auto check = [&](Context& context) {
      Found got(batch, k);
      ops::top_k(context, q.in(), packed, o, got.out());
      EXPECT_TRUE(got == want) << parts;
    };
    check(ctx);
    with_threads(check);
  }
}
TEST_P(TopK, OtherTypesAreThoseOfLinear) {
  const index_t n = 150, e = 70, batch = 9, k = 20;
  const Matrix q = filled(batch, e, {.seed = 1}), rows = filled(n, e, {.seed = 2});
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    const PackedWeight packed = packed_as(ctx, rows, type);
    Matrix scores = poisoned(batch, n);
    ops::linear(ctx, q.in(), packed, {}, scores.out());
    const Found want = expected(
        batch, n, k, [&](index_t b, index_t r) { return scores(b, r); }, kAll);
    const auto check = [&](Context& context) {
      poison_arena(context);
      Found got(batch, k);
      ops::top_k(context, q.in(), packed, {}, got.out());
      EXPECT_TRUE(got == want) << dtype_name(type);
    };
    check(ctx);
    with_threads(check);
  }
}
TEST_P(TopK, WhatIsNotFinite) {
  Matrix q = filled(4, 3, {.seed = 1}), rows = filled(100, 3, {.seed = 2});
  q(1, 0) = kNan, q(2, 1) = kInf;
  for (index_t c = 0; c < 3; ++c) q(3, c) = 0.f;
  rows(5, 1) = kNan, rows(6, 2) = kInf, rows(7, 0) = -kInf, rows(8, 1) = 0.f, rows(9, 1) = -0.f;
  const auto score = [&](index_t b, index_t r) { return chain(q, b, rows, r); };
  for (const index_t k : {3, 100, 150}) {
    Found got(4, k);
    ops::top_k(ctx, q.in(), ops::pack_weight(ctx, rows.in()), {}, got.out());
    EXPECT_TRUE(got == expected(4, 100, k, score, kAll)) << k;
    EXPECT_EQ(got.counts[1], 0);
  }
}
TEST_P(TopK, SelectsFromStoredScores) {
  for (const auto& shape : {std::pair<index_t, index_t>{0, 2}, {1, 1}, {17, 20}, {400, 7}, {4000, 300}, {4000, 1}}) {
    const auto n = shape.first, k = shape.second;
    Matrix scores = wide(5, n, 7);
    for (index_t r = 3; r < n; r += 5) scores(1, r) = kNan;
    for (index_t r = 0; r < n; ++r) scores(2, r) = r % 3 == 0 ? -kInf : static_cast<float>(r / 8);
    const Found want = expected(
        5, n, k, [&](index_t b, index_t r) { return scores(b, r); }, kAll);
    const auto check = [&](Context& context) {
      Found got(5, k);
      ops::select_k(context, scores.in(), got.out());
      EXPECT_TRUE(got == want) << n << " " << k;
    };
    check(ctx);
    with_threads(check);
  }
}
TEST_P(TopK, ScratchIsWhatItCarves) {
  const Matrix q = filled(11, 20, {.seed = 1}), rows = filled(500, 20, {.seed = 2});
  for (const DType type : {DType::f32, DType::bf16, DType::i8})
    for (const int threads : {1, 3}) {
      Context many(GetParam(), threads);
      const PackedWeight packed = packed_as(many, rows, type);
      Found got(11, 5);
      many.arena().reserve(ops::topk_scratch(many, 11, 5, packed) + kAlignment);
      const ArenaScope scope(many.arena());
      (void)many.arena().carve<float>(1);  // it may not grow
      ops::top_k(many, q.in(), packed, {}, got.out());
      EXPECT_EQ(got.counts[10], 5);
    }
}
TEST_P(TopK, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Matrix q = filled(3, 8), narrow = filled(3, 7), rows = filled(70, 8);
  const PackedWeight packed = ops::pack_weight(ctx, rows.in());
  Found got(3, 4);
  const Found untouched = got;
  const float one = 1;
  const std::uint64_t word = 1;
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels of the queries", ops::top_k(ctx, narrow.in(), packed, {}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "scales",
                       ops::top_k(ctx, q.in(), packed, {.scale = View<const float, 1>(&one, 1)}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "biases",
                       ops::top_k(ctx, q.in(), packed, {.bias = View<const float, 1>(&one, 1)}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "words of allowed",
                       ops::top_k(ctx, q.in(), packed, {.allowed = View<const std::uint64_t, 1>(&word, 1)}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows of ids", ops::top_k(ctx, q.in().slice(0, 2), packed, {}, got.out()));
  ops::TopK none = got.out();
  none.ids.extent[1] = none.scores.extent[1] = 0;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "k must be positive", ops::top_k(ctx, q.in(), packed, {}, none));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "k must be positive", ops::select_k(ctx, q.in(), none));
  EXPECT_TRUE(got == untouched);
}

}  // namespace
