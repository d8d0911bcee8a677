// Products of attention with tables of places, as DeBERTa has them.
#include <tessera/ops/attention.hpp>

#include <functional>
#include <limits>
#include <vector>

#include <tessera/ops/position_rows.hpp>
#include "support/attention_problem.hpp"
#include "support/backends.hpp"
#include "support/errors.hpp"
#include "support/jobs.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct AttentionPlaces : OpsTest {};
TESSERA_ON_EVERY_ISA_OF(AttentionPlaces, kernels::Bf16AttentionTable);

// Tables of places with some rows that no distance names, and of which rows lie apart.
struct Places {
  index_t rows;
  Matrix keys, queries;
  std::vector<std::int32_t> row_of;
  Places(const Problem& p, index_t reach, index_t of_rows, std::uint64_t seed)
      : rows(of_rows),
        keys(filled(rows, p.s.heads * p.s.d, {.seed = seed, .scale = 2.f, .pad = 3})),
        queries(filled(rows, p.s.heads * p.s.d, {.seed = seed + 1, .scale = 2.f, .pad = 5})),
        row_of(static_cast<std::size_t>(2 * reach + 1)) {
    Random random(seed);
    for (auto& r : row_of) r = static_cast<std::int32_t>(random.in(rows / 4, rows - 1));
  }
  void set(ops::AttentionParams& p, index_t heads, int which) const {
    if (which & 1) p.position_keys = keys.heads(heads);
    if (which & 2) p.position_queries = queries.heads(heads);
    p.position_row_of = View<const std::int32_t, 1>(row_of.data(), static_cast<index_t>(row_of.size()));
  }
};

TEST_P(AttentionPlaces, MatchReference) {
  std::uint64_t seed = 400;
  for (const Shape& s : shapes())
    for (auto p : params()) {
      const Problem problem(s, seed++);
      const Places places(problem, problem.farthest() + static_cast<index_t>(seed % 3), 1 + static_cast<index_t>(seed % 41),
                          seed);
      places.set(p, s.heads, 1 + static_cast<int>(seed % 3));
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
      with_threads([&](Context& many) { EXPECT_EQ(problem.run(many, p).bits(), problem.run(ctx, p).bits()); });
    }
}
TEST_P(AttentionPlaces, WithGapsAndABias) {
  std::uint64_t seed = 500;
  Random random(7);
  for (const Shape& s : shapes()) {
    if (s.cu_q != s.cu_k) continue;
    for (auto p : params()) {
      const Problem problem(s, seed++);
      std::vector<std::int32_t> at;
      std::int32_t most = 0;
      for (std::size_t b = 1; b < s.cu_k.size(); ++b) {
        auto place = static_cast<std::int32_t>(random.in(0, 9));
        for (index_t t = s.cu_k[b - 1]; t < s.cu_k[b]; ++t)
          at.push_back(place), most = std::max(most, place), place += static_cast<std::int32_t>(random.in(1, 4));
      }
      p.places = View<const std::int32_t, 1>(at.data(), static_cast<index_t>(at.size()));
      const Places places(problem, most, 37, seed);
      places.set(p, s.heads, 3);
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
      const Matrix bias = filled(s.heads, 2 * most + 1, {.seed = seed, .scale = 3.f, .pad = 1});
      p.distance_bias = bias.in();
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
    }
  }
}
// What rows a sequence names decides what is multiplied, never a bit.
TEST_P(AttentionPlaces, SequencesAloneHaveTheBitsOfTheBatch) {
  const Shape s{{0, 9, 50, 83}, {0, 9, 50, 83}, 2, 2, 20, 20};
  const Problem all(s, 8);
  Places places(all, 40, 60, 3);
  ops::position_rows(60, 0, View<std::int32_t, 1>(places.row_of.data(), index_t{81}));
  for (const DType type : kTypes) {
    ops::AttentionParams p{.compute = type};
    places.set(p, 2, 3);
    const Matrix together = all.run(ctx, p);
    for (std::size_t b = 0; b < 3; ++b) {
      const index_t t0 = s.cu_q[b], t1 = s.cu_q[b + 1];
      const std::vector<index_t> cu{0, t1 - t0};
      Matrix out = poisoned(t1 - t0, 40);
      ops::attention(ctx, all.q.heads(2).slice(t0, t1), all.k.heads(2).slice(t0, t1), all.v.heads(2).slice(t0, t1),
                     offsets(cu), offsets(cu), p, out.heads_out(2));
      for (index_t r = 0; r < t1 - t0; ++r) EXPECT_EQ(out.row_bits(r), together.row_bits(t0 + r));
    }
  }
}
TEST_P(AttentionPlaces, TablesOfZerosChangeNoBit) {
  for (const Shape& s : shapes()) {
    const Problem problem(s, 9);
    Places places(problem, problem.farthest(), 5, 3);
    for (Matrix* m : {&places.keys, &places.queries})
      for (float& x : m->memory) x = 0.f;
    for (auto p : params()) {
      const auto plain = problem.run(ctx, p).bits();
      places.set(p, s.heads, 3);
      EXPECT_EQ(problem.run(ctx, p).bits(), plain);
    }
  }
}
TEST_P(AttentionPlaces, WhatAQueryDoesNotSeeStaysOutside) {
  const Shape s{{0, 23, 40}, {0, 23, 40}, 2, 2, 12, 12};
  for (const DType type : kTypes) {
    Problem p(s, 6);
    Places places(p, 22, 44, 3);
    ops::position_rows(44, 0, View<std::int32_t, 1>(places.row_of.data(), index_t{45}));
    ops::AttentionParams causal{.causal = true, .compute = type};
    places.set(causal, 2, 3);
    const Matrix before = p.run(ctx, causal);
    p.k(9, 3) = std::numeric_limits<float>::infinity();
    for (index_t r = 0; r < 22; ++r) places.keys(r, 1) = std::numeric_limits<float>::quiet_NaN();  // of later keys
    const Matrix out = p.run(ctx, causal);
    for (index_t r = 0; r < 40; ++r)
      if (r < 9 || r >= 23) {
        EXPECT_EQ(out.row_bits(r), before.row_bits(r)) << r;
      }
  }
}
TEST_P(AttentionPlaces, ScratchIsWhatItCarves) {
  const Problem p({{0, 40}, {0, 71}, 1, 1, 20, 9}, 1);
  const Places places(p, 70, 33, 1);
  for (const DType type : kTypes) {
    Context many(GetParam(), 3);
    ops::AttentionParams params{.compute = type};
    places.set(params, 1, 3);
    p.run(many, params);
    EXPECT_EQ(many.arena().peak(), ops::attention_scratch(many, 71, 20, 9, type, 33));
    EXPECT_EQ(many.arena().used(), 0U);
  }
}
TEST_P(AttentionPlaces, RefuseWhatDoesNotFitAndLeaveTheOutput) {
  const Problem p({{0, 2, 6}, {0, 2, 6}, 4, 2, 4, 4}, 1);
  const Places places(p, 4, 6, 1);
  Matrix out = filled(6, 16, {.seed = 4});
  const auto before = out.bits();
  const auto refused = [&](Code code, const char* word, const std::function<void(ops::AttentionParams&)>& change) {
    ops::AttentionParams params;
    places.set(params, 4, 3);
    change(params);
    TESSERA_EXPECT_ERROR(code, word,
                         ops::attention(ctx, p.q.heads(4), p.k.heads(2), p.v.heads(2), offsets(p.s.cu_q), offsets(p.s.cu_k),
                                        params, out.heads_out(4)));
  };
  const Code shape = Code::kShapeMismatch;
  refused(shape, "rows of position_queries", [](auto& a) { a.position_queries.extent[0] = 5; });
  refused(shape, "heads of a table of places", [](auto& a) { a.position_keys.extent[1] = 2; });
  refused(shape, "head dim of a table of places", [](auto& a) { a.position_queries.extent[2] = 3; });
  refused(Code::kBadStride, "contiguous", [](auto& a) { a.position_keys.stride[2] = 2; });
  refused(shape, "2 R + 1", [](auto& a) { a.position_row_of.extent[0] = 8; });
  refused(shape, "2 R + 1", [](auto& a) { a.position_row_of.extent[0] = 5; });  // four keys: distances to 3
  refused(Code::kBadArgument, "need each other", [](auto& a) { a.position_row_of = {}; });
  refused(Code::kBadArgument, "need each other", [](auto& a) { a.position_keys = a.position_queries = {}; });
  for (const std::int32_t row : {-1, 6}) {
    std::vector<std::int32_t> rows = places.row_of;
    rows.back() = row;
    refused(Code::kBadArgument, "names a row",
            [&](auto& a) { a.position_row_of = View<const std::int32_t, 1>(rows.data(), index_t{9}); });
  }
  EXPECT_EQ(out.bits(), before);
}

}  // namespace
