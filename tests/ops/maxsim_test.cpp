#include <tessera/ops/maxsim.hpp>

#include <cmath>
#include <cstring>
#include <limits>

#include <tessera/ops/gemm.hpp>
#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/jobs.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct MaxSim : OpsTest {};
TESSERA_ON_EVERY_ISA(MaxSim);

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

struct Result {
  Matrix scores, places;  ///< places as floats
  bool operator==(const Result& o) const { return scores.bits() == o.scores.bits() && places.bits() == o.places.bits(); }
};

Result run(Context& ctx, const Matrix& q, const std::vector<index_t>& cu_q, const PackedWeight& documents,
           const std::vector<index_t>& cu_d, bool places = true) {
  const auto batch = static_cast<index_t>(cu_q.size()) - 1, count = static_cast<index_t>(cu_d.size()) - 1;
  Result r{poisoned(batch, count, 3), Matrix(q.rows, count, 0)};
  std::vector<std::int32_t> argmax(static_cast<std::size_t>(q.rows * (count + 2)), -77);
  View<std::int32_t, 2> at(argmax.data(), q.rows, count);
  at.stride[0] = count + 2;
  ops::maxsim(ctx, q.in(), offsets(cu_q), documents, offsets(cu_d), r.scores.out(), places ? at : View<std::int32_t, 2>());
  for (index_t t = 0; t < q.rows; ++t) {
    for (index_t d = 0; d < count; ++d) r.places(t, d) = static_cast<float>(at(t, d));
    EXPECT_EQ(argmax[static_cast<std::size_t>(t * (count + 2) + count)], -77);
  }
  return r;
}
/// By its definition, of products[t][j].
template <class Product>
Result expected(index_t tokens, const std::vector<index_t>& cu_q, const std::vector<index_t>& cu_d, const Product& product) {
  const auto batch = static_cast<index_t>(cu_q.size()) - 1, count = static_cast<index_t>(cu_d.size()) - 1;
  Result r{poisoned(batch, count, 3), Matrix(tokens, count, 0)};
  for (index_t d = 0; d < count; ++d)
    for (index_t b = 0; b < batch; ++b) {
      float sum = 0;
      for (index_t t = cu_q[static_cast<std::size_t>(b)]; t < cu_q[static_cast<std::size_t>(b) + 1]; ++t) {
        float most = -kInf;
        r.places(t, d) = -1;
        const index_t begin = cu_d[static_cast<std::size_t>(d)];
        for (index_t j = begin; j < cu_d[static_cast<std::size_t>(d) + 1]; ++j)
          if (const float p = product(t, j); p > most) most = p, r.places(t, d) = static_cast<float>(j - begin);
        sum += most;
      }
      r.scores(b, d) = sum;
    }
  return r;
}
float chain(const Matrix& a, index_t i, const Matrix& b, index_t j) {
  float sum = 0;
  for (index_t c = 0; c < a.columns; ++c) sum = std::fma(a(i, c), b(j, c), sum);
  return sum;
}

TEST_P(MaxSim, IsItsDefinitionBitForBit) {
  const std::vector<std::vector<index_t>> documents{{0, 1},
                                                    {0, 0, 5, 5, 69, 70, 70},
                                                    {0, 64, 128, 200, 203},
                                                    {0, 300, 310, 311, 312, 640},
                                                    {0, 16, 48, 63, 65, 129, 5000}};
  const std::vector<std::vector<index_t>> queries{{0, 1}, {0, 3, 3, 10}, {0, 32, 64}, {0, 0}};
  for (const auto& cu_d : documents)
    for (const auto& cu_q : queries) {
      poison_arena(ctx);
      const Matrix q = filled(cu_q.back(), 21, {.seed = 1, .pad = 2}), d = filled(cu_d.back(), 21, {.seed = 2, .pad = 3});
      const PackedWeight packed = ops::pack_weight(ctx, d.in());
      const Result want = expected(q.rows, cu_q, cu_d, [&](index_t t, index_t j) { return chain(q, t, d, j); });
      const Result got = run(ctx, q, cu_q, packed, cu_d);
      EXPECT_EQ(got.scores.bits(), want.scores.bits());
      EXPECT_EQ(got.places.bits(), want.places.bits());
      EXPECT_EQ(run(ctx, q, cu_q, packed, cu_d, false).scores.bits(), want.scores.bits());
      with_threads([&](Context& many) {
        poison_arena(many);
        EXPECT_TRUE(run(many, q, cu_q, packed, cu_d) == want);
      });
    }
}
TEST_P(MaxSim, ManyDocumentsAndThoseAlone) {
  std::vector<index_t> cu{0};
  Random random(5);
  for (int i = 0; i < 700; ++i) cu.push_back(cu.back() + random.in(0, i % 50 == 0 ? 300 : 12));
  const Matrix q = filled(9, 16, {.seed = 3}), d = filled(cu.back(), 16, {.seed = 4});
  const std::vector<index_t> cu_q{0, 4, 9};
  const Result all = run(ctx, q, cu_q, ops::pack_weight(ctx, d.in()), cu);
  EXPECT_TRUE(all == expected(9, cu_q, cu, [&](index_t t, index_t j) { return chain(q, t, d, j); }));
  with_threads([&](Context& many) { EXPECT_TRUE(run(many, q, cu_q, ops::pack_weight(many, d.in()), cu) == all); });
  for (const std::size_t i : {50U, 51U, 333U, 600U}) {
    const index_t begin = cu[i], end = cu[i + 1];
    if (begin == end) continue;
    const Result alone = run(ctx, q, cu_q, ops::pack_weight(ctx, d.in().slice(begin, end)), {0, end - begin});
    for (index_t b = 0; b < 2; ++b) EXPECT_EQ(alone.scores(b, 0), all.scores(b, static_cast<index_t>(i)));
  }
}
TEST_P(MaxSim, OtherTypesAreThoseOfLinear) {
  const std::vector<index_t> cu_d{0, 40, 41, 170, 230}, cu_q{0, 8, 20};
  const Matrix q = filled(20, 70, {.seed = 1}), d = filled(230, 70, {.seed = 2});
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    const PackedWeight packed = packed_as(ctx, d, type);
    Matrix products = poisoned(20, 230);
    ops::linear(ctx, q.in(), packed, {}, products.out());
    const Result want = expected(20, cu_q, cu_d, [&](index_t t, index_t j) { return products(t, j); });
    EXPECT_TRUE(run(ctx, q, cu_q, packed, cu_d) == want) << dtype_name(type);
    with_threads([&](Context& many) { EXPECT_TRUE(run(many, q, cu_q, packed, cu_d) == want) << dtype_name(type); });
  }
}
TEST_P(MaxSim, NegativeScoresAreNotCutAtZeroAndTiesGoToTheFirst) {
  Matrix q(2, 1, 0), d(80, 1, 0);
  q(0, 0) = -1.f, q(1, 0) = 2.f;
  for (index_t j = 0; j < 80; ++j) d(j, 0) = j % 7 == 3 ? 5.f : 6.f;
  const Result r = run(ctx, q, {0, 1, 2}, ops::pack_weight(ctx, d.in()), {0, 3, 80});
  EXPECT_EQ(r.scores(0, 0), -6.f);
  EXPECT_EQ(r.scores(0, 1), -5.f);
  EXPECT_EQ(r.scores(1, 1), 12.f);
  EXPECT_EQ(r.places(0, 1), 0.f);
  EXPECT_EQ(r.places(1, 1), 1.f);
}
TEST_P(MaxSim, WhatIsNotFinite) {
  const std::vector<index_t> cu_d{0, 30, 60, 61}, cu_q{0, 2, 3};
  Matrix q = filled(3, 5, {.seed = 1}), d = filled(61, 5, {.seed = 2});
  d(7, 2) = kNan, d(40, 1) = kInf, d(60, 3) = kNan, q(2, 0) = kNan;
  const auto product = [&](index_t t, index_t j) { return chain(q, t, d, j); };
  const Result got = run(ctx, q, cu_q, ops::pack_weight(ctx, d.in()), cu_d);
  EXPECT_TRUE(got == expected(3, cu_q, cu_d, product));
  EXPECT_EQ(got.scores(1, 0), -kInf);
  EXPECT_EQ(got.places(2, 0), -1.f);
}
TEST_P(MaxSim, ScratchIsWhatItCarves) {
  const Matrix q = filled(11, 20, {.seed = 1}), d = filled(500, 20, {.seed = 2});
  for (const DType type : {DType::f32, DType::bf16, DType::i8})
    for (const int threads : {1, 3}) {
      Context many(GetParam(), threads);
      const PackedWeight packed = packed_as(many, d, type);
      many.arena().reserve(ops::maxsim_scratch(many, 11, packed) + kAlignment);
      const ArenaScope scope(many.arena());
      (void)many.arena().carve<float>(1);  // it may not grow
      EXPECT_GT(run(many, q, {0, 11}, packed, {0, 100, 500}).scores(0, 1), 0.f);
    }
}
TEST_P(MaxSim, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Matrix q = filled(3, 8), narrow = filled(3, 7), d = filled(70, 8);
  const PackedWeight packed = ops::pack_weight(ctx, d.in());
  Matrix out = poisoned(1, 2);
  const auto call = [&](const Matrix& queries, const std::vector<index_t>& cu_q, const std::vector<index_t>& cu_d) {
    ops::maxsim(ctx, queries.in(), offsets(cu_q), packed, offsets(cu_d), out.out());
  };
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels of the queries", call(narrow, {0, 3}, {0, 30, 70}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows of the queries", call(q, {0, 2}, {0, 30, 70}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows of the documents", call(q, {0, 3}, {0, 30, 71}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "offsets decrease", call(q, {0, 3}, {0, 80, 70}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "start with 0", call(q, {1, 3}, {0, 30, 70}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "columns of scores", call(q, {0, 3}, {0, 70}));
  EXPECT_TRUE(is_poison(out(0, 0)) && is_poison(out(0, 1)));
}

/// Documents of all lengths, some of them empty, and queries; lists of candidates in order, out of it, twice the same,
/// empty.
struct Lists {
  std::vector<index_t> cu_d{0}, cu_q{0, 5, 5, 14, 20}, cu_c{0}, ids;
  Matrix q = filled(20, 24, {.seed = 3, .pad = 2}), d;
  explicit Lists(std::uint64_t seed) {
    Random random(seed);
    for (int i = 0; i < 400; ++i) cu_d.push_back(cu_d.back() + (i % 9 == 0 ? 0 : random.in(1, i % 130 == 1 ? 2300 : 20)));
    d = filled(cu_d.back(), 24, {.seed = seed + 1});
    for (index_t i = 0; i < 400; i += random.in(1, 9)) ids.push_back(i);
    cu_c.push_back(static_cast<index_t>(ids.size()));
    for (int i = 0; i < 30; ++i) ids.push_back(random.in(0, 399));
    cu_c.push_back(static_cast<index_t>(ids.size()));
    cu_c.push_back(static_cast<index_t>(ids.size()));
    for (const index_t i : {7, 8, 9, 10, 10, 11, 399, 0, 1}) ids.push_back(i);
    cu_c.push_back(static_cast<index_t>(ids.size()));
  }
  index_t longest() const {
    index_t most = 0;
    for (std::size_t b = 0; b + 1 < cu_c.size(); ++b) most = std::max(most, cu_c[b + 1] - cu_c[b]);
    return most;
  }
  ops::Candidates candidates() const {
    return {offsets(cu_c), View<const index_t, 1>(ids.data(), static_cast<index_t>(ids.size()))};
  }
};

TEST_P(MaxSim, CandidatesHaveTheBitsOfAll) {
  const Lists in(8);
  const index_t columns = in.longest() + 2;
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    const PackedWeight packed = packed_as(ctx, in.d, type);
    const Result all = run(ctx, in.q, in.cu_q, packed, in.cu_d);
    const auto check = [&](Context& on, bool places) {
      Matrix scores = poisoned(4, columns, 3);
      std::vector<std::int32_t> argmax(static_cast<std::size_t>(20 * columns), -77);
      const View<std::int32_t, 2> at(argmax.data(), 20, columns);
      ops::maxsim(on, in.q.in(), offsets(in.cu_q), packed, offsets(in.cu_d), scores.out(),
                  places ? at : View<std::int32_t, 2>(), in.candidates());
      for (std::size_t b = 0; b < 4; ++b)
        for (index_t c = 0; c < columns; ++c) {
          const auto row = static_cast<index_t>(b);
          const bool there = c < in.cu_c[b + 1] - in.cu_c[b];
          const index_t id = there ? in.ids[static_cast<std::size_t>(in.cu_c[b] + c)] : -1;
          ASSERT_EQ(scores(row, c), there ? all.scores(row, id) : -kInf) << b << " " << c;
          for (index_t t = in.cu_q[b]; places && t < in.cu_q[b + 1]; ++t)
            ASSERT_EQ(static_cast<float>(at(t, c)), there ? all.places(t, id) : -1.f) << t << " " << c;
        }
      EXPECT_TRUE(is_poison(scores.data()[columns]));
    };
    for (const bool places : {false, true}) {
      poison_arena(ctx);
      check(ctx, places);
    }
    with_threads([&](Context& many) { check(many, false), check(many, true); });
  }
}
TEST_P(MaxSim, RefusesCandidatesThatAreNone) {
  const Matrix q = filled(3, 8), d = filled(70, 8);
  const PackedWeight packed = ops::pack_weight(ctx, d.in());
  Matrix out = poisoned(1, 2);
  const auto call = [&](const std::vector<index_t>& cu, const std::vector<index_t>& ids) {
    ops::maxsim(ctx, q.in(), offsets({0, 3}), packed, offsets({0, 30, 70}), out.out(), {},
                {offsets(cu), View<const index_t, 1>(ids.data(), static_cast<index_t>(ids.size()))});
  };
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no document", call({0, 1}, {2}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no document", call({0, 2}, {0, -1}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "candidates", call({0, 1}, {0, 1}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "start with 0", call({1, 2}, {0, 1}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "lists of candidates", call({0, 1, 2}, {0, 1}));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "columns of scores", call({0, 3}, {0, 1, 0}));
  EXPECT_TRUE(is_poison(out(0, 0)) && is_poison(out(0, 1)));
}
TEST_P(MaxSim, TopKIsTheSelectionOfItsScores) {
  const Lists in(21);
  Random random(4);
  std::vector<std::uint64_t> allowed(7);
  for (auto& word : allowed) word = random.next();
  allowed[2] = 0, allowed[3] = ~std::uint64_t{0};
  for (const DType type : {DType::f32, DType::i8}) {
    const PackedWeight packed = packed_as(ctx, in.d, type);
    const Result all = run(ctx, in.q, in.cu_q, packed, in.cu_d, false);
    for (const bool listed : {false, true})
      for (const bool filtered : {false, true})
        for (const index_t k : {1, 30, 500})
          for (const float least : {-kInf, 2.f}) {
            // What stays, at the columns that are ids; the rest as what is never found.
            Matrix scores(4, 400, 0);
            std::vector<index_t> once = in.ids, cu = in.cu_c;
            for (std::size_t b = 0; b < 4; ++b)
              for (index_t d = 0; d < 400; ++d) {
                const auto list = once.begin() + cu[b], end = once.begin() + cu[b + 1];
                const auto row = static_cast<index_t>(b);
                const bool may = (!filtered || allowed[static_cast<std::size_t>(d / 64)] >> (d % 64) & 1) &&
                                 (!listed || std::find(list, end, d) != end);
                scores(row, d) = may && all.scores(row, d) >= least ? all.scores(row, d) : kNan;
              }
            Found want(4, k);
            ops::select_k(ctx, scores.in(), want.out());
            ops::MaxSimTopKOptions o{.least = least};
            std::vector<index_t> lists;  // each id once
            std::vector<index_t> ends{0};
            for (std::size_t b = 0; b < 4; ++b) {
              for (index_t p = cu[b]; p < cu[b + 1]; ++p)
                if (std::find(lists.begin() + ends[b], lists.end(), once[static_cast<std::size_t>(p)]) == lists.end())
                  lists.push_back(once[static_cast<std::size_t>(p)]);
              ends.push_back(static_cast<index_t>(lists.size()));
            }
            if (listed)
              o.candidates = {offsets(ends), View<const index_t, 1>(lists.data(), static_cast<index_t>(lists.size()))};
            if (filtered) o.allowed = View<const std::uint64_t, 1>(allowed.data(), 7);
            const auto check = [&](Context& on) {
              Found got(4, k);
              ops::maxsim_top_k(on, in.q.in(), offsets(in.cu_q), packed, offsets(in.cu_d), o, got.out());
              EXPECT_TRUE(got == want) << "k " << k << " listed " << listed << " filtered " << filtered;
            };
            check(ctx);
            Context three(GetParam(), 3);
            check(three);
          }
  }
}
TEST_P(MaxSim, TopKPutsTheLowerIdFirstAndNeverFindsNaN) {
  Matrix q(1, 1, 0), d(200, 1, 0);
  q(0, 0) = 1.f;
  std::vector<index_t> cu;
  for (index_t j = 0; j <= 200; ++j) cu.push_back(j);
  for (index_t j = 0; j < 200; ++j) d(j, 0) = j % 3 == 0 ? -0.f : j % 3 == 1 ? 0.f : kNan;
  Found got(1, 5), none(1, 3);
  ops::maxsim_top_k(ctx, q.in(), offsets({0, 1}), ops::pack_weight(ctx, d.in()), offsets(cu), {}, got.out());
  EXPECT_EQ(std::vector<index_t>(got.ids.begin(), got.ids.begin() + 5), (std::vector<index_t>{0, 1, 3, 4, 6}));
  ops::maxsim_top_k(ctx, q.in(), offsets({0, 1}), ops::pack_weight(ctx, d.in()), offsets(cu), {.least = kNan}, none.out());
  EXPECT_EQ(none.counts[0], 0);
  EXPECT_EQ(none.ids[0], -1);
  Found bad(1, 3);
  const std::vector<std::uint64_t> words(3);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "words of allowed",
                       ops::maxsim_top_k(ctx, q.in(), offsets({0, 1}), ops::pack_weight(ctx, d.in()), offsets(cu),
                                         {.allowed = View<const std::uint64_t, 1>(words.data(), 3)}, bad.out()));
  EXPECT_EQ(bad.ids[0], -77);
}
TEST_P(MaxSim, ScratchOfTopKIsWhatItCarves) {
  const Matrix q = filled(11, 20, {.seed = 1}), d = filled(500, 20, {.seed = 2});
  for (const int threads : {1, 3}) {
    Context many(GetParam(), threads);
    const PackedWeight packed = packed_as(many, d, DType::i8);
    many.arena().reserve(ops::maxsim_topk_scratch(many, 1, 11, packed, 2, 9) + kAlignment);
    const ArenaScope scope(many.arena());
    (void)many.arena().carve<float>(1);  // it may not grow
    Found got(1, 9);
    ops::maxsim_top_k(many, q.in(), offsets({0, 11}), packed, offsets({0, 100, 500}), {}, got.out());
    EXPECT_EQ(got.counts[0], 2);
  }
}

}  // namespace
