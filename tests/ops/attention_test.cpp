#include <tessera/ops/attention.hpp>

#include <functional>
#include <limits>

#include "reference/bf16.hpp"
#include "support/attention_problem.hpp"
#include "support/backends.hpp"
#include "support/jobs.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Attention : OpsTest {};
TESSERA_ON_EVERY_ISA_OF(Attention, kernels::Bf16AttentionTable);

TEST_P(Attention, MatchesReference) {
  std::uint64_t seed = 1;
  for (const Shape& s : shapes())
    for (const auto& p : params()) {
      const Problem problem(s, seed++);
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
    }
}
TEST_P(Attention, WeighsKeysAndGivesProbabilities) {
  std::uint64_t seed = 100;
  for (const Shape& s : shapes())
    for (auto p : params()) {
      const Problem problem(s, seed++);
      const std::vector<float> w = counts(s.cu_k.back());
      const index_t tq = s.cu_q.back(), tk = problem.most_keys();
      Matrix probabilities = poisoned(s.heads * tq, tk, 3);
      p.key_weights = weights_view(w);
      p.probabilities = View<float, 3>(probabilities.data(), s.heads, tq, tk);
      p.probabilities.stride[0] = tq * probabilities.ld, p.probabilities.stride[1] = probabilities.ld;
      ref::Result expected(s.heads * tq, tk);
      const ref::Result out = problem.expected(p, &expected);
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), out)) << "problem " << seed - 1;
      ASSERT_TRUE(close("probabilities", probabilities, expected)) << "problem " << seed - 1;
    }
}
TEST_P(Attention, WeightsOfOneAndProbabilitiesChangeNoBit) {
  for (const Shape& s : shapes())
    for (auto p : params()) {
      const Problem problem(s, 9);
      const Matrix plain = problem.run(ctx, p);
      const std::vector<float> ones(static_cast<std::size_t>(s.cu_k.back()), 1.f);
      const index_t tq = s.cu_q.back(), tk = problem.most_keys();
      std::vector<float> probabilities(static_cast<std::size_t>(s.heads * tq * tk));
      p.key_weights = weights_view(ones), p.probabilities = View<float, 3>(probabilities.data(), s.heads, tq, tk);
      EXPECT_EQ(problem.run(ctx, p).bits(), plain.bits());
      with_threads([&](Context& many) { EXPECT_EQ(problem.run(many, p).bits(), plain.bits()); });
    }
}
// Proportional attention: a key that stands for n tokens counts as n copies of it (arXiv:2210.09461, section 3.2).
TEST_P(Attention, AWeightIsAsManyCopies) {
  const Problem once({{0, 5}, {0, 4}, 1, 1, 8, 8}, 3);
  Problem copies({{0, 5}, {0, 9}, 1, 1, 8, 8}, 3);
  const std::vector<index_t> of{0, 0, 1, 2, 2, 2, 3, 3, 3};
  for (index_t j = 0; j < 9; ++j)
    for (index_t c = 0; c < 8; ++c)
      copies.k(j, c) = once.k(of[static_cast<std::size_t>(j)], c),
                  copies.v(j, c) = once.v(of[static_cast<std::size_t>(j)], c);
  for (index_t i = 0; i < 5; ++i)
    for (index_t c = 0; c < 8; ++c) copies.q(i, c) = once.q(i, c);
  const std::vector<float> w{2, 1, 3, 3};
  EXPECT_TRUE(close("attention", once.run(ctx, {.key_weights = weights_view(w)}), copies.expected()));
}
TEST_P(Attention, StridedHeadsOfAFusedBuffer) {
  const index_t heads = 3, d = 10, t = 37;
  const Matrix qkv = filled(t, 3 * heads * d, {.seed = 4, .pad = 1});
  const auto part = [&](index_t i) {
    View<const float, 3> v(qkv.data() + i * heads * d, t, heads, d);
    v.stride[0] = qkv.ld;
    return v;
  };
  const std::vector<index_t> cu{0, 12, 37};
  Matrix out = poisoned(t, heads * d, 2);
  ops::attention(ctx, part(0), part(1), part(2), offsets(cu), offsets(cu), {}, out.heads_out(heads));
  EXPECT_TRUE(close("attention", out, ref::attention({part(0), part(1), part(2), cu, cu})));
}
TEST_P(Attention, ThreadsChangeNoBit) {
  for (const Shape& s : shapes())
    for (const auto& p : params()) {
      const Problem problem(s, 3);
      const auto one = problem.run(ctx, p).bits();
      with_threads([&](Context& many) { EXPECT_EQ(one, problem.run(many, p).bits()); });
    }
}
TEST_P(Attention, SequencesAndHeadsAloneHaveTheBitsOfTheBatch) {
  const Shape s{{0, 9, 50, 83}, {0, 9, 50, 83}, 2, 2, 20, 20};
  const Problem all(s, 8);
  for (const DType type : kTypes) {
    const Matrix together = all.run(ctx, {.compute = type});
    for (std::size_t b = 0; b < 3; ++b)
      for (index_t h = 0; h < 2; ++h) {
        const index_t t0 = s.cu_q[b], t1 = s.cu_q[b + 1];
        const std::vector<index_t> cu{0, t1 - t0};
        const auto head = [&](const Matrix& m) {
          auto v = m.heads(2).slice(t0, t1);
          v.data += 20 * h, v.extent[1] = 1;
          return v;
        };
        Matrix out = poisoned(t1 - t0, 20);
        ops::attention(ctx, head(all.q), head(all.k), head(all.v), offsets(cu), offsets(cu), {.compute = type},
                       out.heads_out(1));
        for (index_t r = 0; r < t1 - t0; ++r)
          for (index_t c = 0; c < 20; ++c) EXPECT_EQ(out(r, c), together(t0 + r, 20 * h + c));
      }
  }
}
TEST_P(Attention, QueriesThatSeeNoKeyGiveZero) {
  const Problem p({{0, 4, 9}, {0, 0, 2}, 2, 1, 5, 19}, 2);
  for (const DType type : kTypes) {
    const Matrix out = p.run(ctx, {.causal = true, .compute = type});
    for (index_t r = 0; r < 7; ++r)  // 4 of a sequence without keys; 5 queries of 2 keys: the first 3 come before both
      for (index_t c = 0; c < 38; ++c) EXPECT_EQ(out(r, c), 0.f);
  }
}
TEST_P(Attention, EqualScoresGiveTheMeanAndOneKeyItsValue) {
  Problem p({{0, 3}, {0, 8}, 1, 1, 4, 6}, 5);
  for (index_t r = 0; r < 3; ++r)
    for (index_t c = 0; c < 4; ++c) p.q(r, c) = 0.f;
  const Matrix mean = p.run(ctx), one = p.run(ctx, {.window_left = 0, .window_right = 0});
  for (index_t c = 0; c < 6; ++c) {
    float sum = 0;
    for (index_t j = 0; j < 8; ++j) sum += p.v(j, c);
    EXPECT_NEAR(mean(0, c), sum / 8, 1e-6);
    for (index_t r = 0; r < 3; ++r) EXPECT_EQ(one(r, c), p.v(r + 5, c));
  }
}
// Where all scores are equal every exponential is 1: what is left is the documented chain over the keys that a query sees,
// and of a pair that is cut the other half is not there.
TEST_P(Attention, ChainsOfBf16BitForBit) {
  for (const Shape& s : shapes())
    for (const auto& p : params()) {
      if (p.compute != DType::bf16) continue;
      Problem problem(s, 5);
      for (float& x : problem.q.memory) x = 0.f;
      const Matrix out = problem.run(ctx, p);
      ref::AttentionArgs sight{};
      sight.causal = p.causal, sight.window_left = p.window_left, sight.window_right = p.window_right;
      for (std::size_t b = 0; b + 1 < s.cu_q.size(); ++b) {
        const index_t tq = s.cu_q[b + 1] - s.cu_q[b], tk = s.cu_k[b + 1] - s.cu_k[b];
        for (index_t i = 0; i < tq; ++i)
          for (index_t c = 0; c < s.heads * s.dv; ++c) {
            const index_t of = c / s.dv / (s.heads / s.kv_heads) * s.dv + c % s.dv;
            float sum = 0, seen = 0;
            const auto step = [&](index_t j) {
              if (j >= tk || !ref::sees(sight, i + tk - tq, j)) return;
              sum = ref::bf16_step(sum, 1.f, problem.v(s.cu_k[b] + j, of));
              seen += 1;
            };
            for (index_t j = 0; j < tk; j += 2) step(j + 1), step(j);
            ASSERT_EQ(out(s.cu_q[b] + i, c), seen > 0 ? sum * (1.f / seen) : 0.f) << "query " << i << " channel " << c;
          }
      }
    }
}
TEST_P(Attention, HugeScoresDoNotOverflow) {
  Problem p({{0, 2}, {0, 20}, 1, 1, 4, 6}, 5);
  for (index_t c = 0; c < 4; ++c) p.q(0, c) *= 1e18f, p.k(11, c) = p.q(0, c);
  const Matrix out = p.run(ctx);
  for (index_t c = 0; c < 6; ++c) EXPECT_EQ(out(0, c), p.v(11, c));
}
TEST_P(Attention, NonFiniteStaysInItsRow) {
  const Shape s{{0, 23, 40}, {0, 23, 40}, 2, 2, 12, 12};
  for (const DType type : kTypes) {
    Problem p(s, 6);
    const ops::AttentionParams plain{.compute = type}, causal{.causal = true, .compute = type};
    const Matrix clean = p.run(ctx, plain), before = p.run(ctx, causal);
    p.q(7, 3) = std::numeric_limits<float>::quiet_NaN();  // head 0 of one query
    Matrix out = p.run(ctx, plain);
    for (index_t r = 0; r < 40; ++r)
      for (index_t c = 0; c < 24; ++c)
        if (r == 7 && c < 12) {
          EXPECT_TRUE(std::isnan(out(r, c)));
        } else {
          EXPECT_EQ(out(r, c), clean(r, c));
        }
    // What a query may not see must not reach it, not even as 0 * infinity.
    p = Problem(s, 6);
    p.k(9, 3) = p.v(9, 4) = std::numeric_limits<float>::infinity();
    p.v(13, 1) = std::numeric_limits<float>::quiet_NaN();
    out = p.run(ctx, causal);
    for (index_t r = 0; r < 40; ++r)
      if (r < 9 || r >= 23) {
        EXPECT_EQ(out.row_bits(r), before.row_bits(r)) << r;
      }
    for (index_t r = 13; r < 23; ++r) EXPECT_TRUE(std::isnan(out(r, 1)));
    const ops::AttentionParams window{.window_left = 1, .window_right = 1, .compute = type};
    const Matrix narrow = Problem(s, 6).run(ctx, window), bad = p.run(ctx, window);
    for (index_t r = 0; r < 40; ++r)
      if ((r < 8 || r > 10) && (r < 12 || r > 14)) {
        EXPECT_EQ(bad.row_bits(r), narrow.row_bits(r)) << r;
      }
  }
}
TEST_P(Attention, NoSequencesIsFine) {
  const Problem p({{0}, {0}, 2, 1, 4, 4}, 1);
  EXPECT_NO_THROW(p.run(ctx));
}
TEST_P(Attention, ScratchIsWhatItCarves) {
  const Problem p({{0, 40}, {0, 71}, 1, 1, 20, 9}, 1);
  for (const DType type : kTypes) {
    Context many(GetParam(), 3);
    p.run(many, {.compute = type});
    EXPECT_EQ(many.arena().peak(), ops::attention_scratch(many, 71, 20, 9, type));
    EXPECT_EQ(many.arena().used(), 0U);
  }
}
TEST_P(Attention, RefusesByNameWhatItDoesNotHave) {
  const Problem p({{0, 3}, {0, 3}, 1, 1, 4, 4}, 1);
  Matrix out = filled(3, 4, {.seed = 4});
  const auto before = out.bits();
  float number = 0;
  const std::uint8_t byte = 1;
  const std::int32_t word = 0;
  const auto refused = [&](const char* name, const std::function<void(ops::AttentionParams&)>& set) {
    ops::AttentionParams params;
    set(params);
    TESSERA_EXPECT_ERROR(Code::kUnsupported, name,
                         ops::attention(ctx, p.q.heads(1), p.k.heads(1), p.v.heads(1), offsets(p.s.cu_q), offsets(p.s.cu_k),
                                        params, out.heads_out(1)));
  };
  refused("dense mask", [&](auto& a) { a.mask = View<const std::uint8_t, 2>(&byte, 1, 1); });
  refused("block mask", [&](auto& a) { a.blocks = View<const std::int32_t, 1>(&word, 1); });
  refused("additive bias", [&](auto& a) { a.bias = View<const float, 3>(&number, 1, 1, 1); });
  refused("log-sum-exp", [&](auto& a) { a.log_sum_exp = View<float, 2>(&number, 1, 1); });
  refused("f32 or bf16", [&](auto& a) { a.compute = DType::f16; });
  EXPECT_EQ(out.bits(), before);
}
TEST_P(Attention, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Problem p({{0, 2, 6}, {0, 3, 8}, 4, 2, 4, 4}, 1);
  Matrix out = filled(6, 16, {.seed = 4});
  const auto before = out.bits();
  struct Call {
    View<const float, 3> q, k, v;
    std::vector<index_t> cu_q, cu_k;
    ops::AttentionParams params;
    View<float, 3> out;
  };
  const auto refused = [&](Code code, const char* word, const std::function<void(Call&)>& change) {
    Call c{p.q.heads(4), p.k.heads(2), p.v.heads(2), p.s.cu_q, p.s.cu_k, {}, out.heads_out(4)};
    change(c);
    TESSERA_EXPECT_ERROR(code, word, ops::attention(ctx, c.q, c.k, c.v, offsets(c.cu_q), offsets(c.cu_k), c.params, c.out));
  };
  const Code shape = Code::kShapeMismatch;
  refused(shape, "head dim of k", [](Call& c) { c.k.extent[2] = 3; });
  refused(shape, "heads of v", [](Call& c) { c.v.extent[1] = 1; });
  refused(shape, "rows of v", [](Call& c) { c.v.extent[0] = 7; });
  refused(shape, "rows of out", [](Call& c) { c.out.extent[0] = 5; });
  refused(shape, "heads of out", [](Call& c) { c.out.extent[1] = 2; });
  refused(shape, "head dim of out", [](Call& c) { c.out.extent[2] = 3; });
  refused(shape, "multiple of key heads", [](Call& c) { c.q.extent[1] = c.out.extent[1] = 3; });
  refused(shape, "multiple of key heads", [](Call& c) { c.k.extent[1] = c.v.extent[1] = 0; });
  refused(shape, "sequences of cu_k", [](Call& c) { c.cu_k = {0, 8}; });
  refused(shape, "rows of q", [](Call& c) { c.cu_q = {0, 2, 5}; });
  refused(shape, "rows of k", [](Call& c) { c.cu_k = {0, 3, 9}; });
  refused(shape, "start with 0", [](Call& c) { c.cu_q = {1, 2, 6}; });
  refused(shape, "decrease", [](Call& c) { c.cu_k = {0, 9, 8}; });
  refused(shape, "offsets", [](Call& c) { c.cu_q = c.cu_k = {}; });
  for (const float scale : {-1.f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    refused(Code::kBadArgument, "scale", [&](Call& c) { c.params.scale = scale; });
  std::vector<float> weights(8, 1.f), probabilities(4 * 6 * 5, 2.f);
  refused(shape, "key weights is 7", [&](Call& c) { c.params.key_weights = weights_view(weights).slice(0, 7); });
  for (const float w : {0.f, -1.f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    weights[7] = w;
    refused(Code::kBadArgument, "positive and finite", [&](Call& c) { c.params.key_weights = weights_view(weights); });
  }
  const auto kept = [&](index_t h, index_t q, index_t k) {
    return [&, h, q, k](Call& c) { c.params.probabilities = View<float, 3>(probabilities.data(), h, q, k); };
  };
  refused(shape, "heads of probabilities", kept(3, 6, 5));
  refused(shape, "rows of probabilities", kept(4, 5, 5));
  refused(shape, "columns of probabilities", kept(4, 6, 4));
  EXPECT_EQ(probabilities, std::vector<float>(4 * 6 * 5, 2.f));
  const auto biased = [&](index_t h, index_t columns) {
    return [&, h, columns](Call& c) { c.params.distance_bias = View<const float, 2>(probabilities.data(), h, columns); };
  };
  refused(shape, "heads of distance_bias", biased(2, 9));
  refused(shape, "2 R + 1", biased(4, 8));
  refused(shape, "2 R + 1", biased(4, 7));  // 5 keys: distances to 4
  const std::vector<std::int32_t> rising{0, 1, 2, 0, 1, 2, 3, 9}, level{0, 1, 1, 0, 1, 2, 3, 4};
  const auto placed = [&](const std::vector<std::int32_t>& at, std::vector<index_t> cu_k) {
    return [&, cu_k](Call& c) {
      c.params.places = View<const std::int32_t, 1>(at.data(), static_cast<index_t>(at.size()));
      c.cu_k = cu_k;
    };
  };
  refused(shape, "as many queries as keys", placed(rising, {0, 3, 8}));
  refused(shape, "places", [&](Call& c) { c.params.places = View<const std::int32_t, 1>(rising.data(), 7); });
  const auto of_itself = [&](Call& c) {
    c.q = c.q.slice(0, 6), c.k = c.k.slice(0, 6), c.v = c.v.slice(0, 6), c.cu_k = c.cu_q;
  };
  refused(Code::kBadArgument, "rise", [&](Call& c) {
    of_itself(c);
    c.params.places = View<const std::int32_t, 1>(level.data() + 1, 6);
  });
  const std::vector<std::int32_t> far{0, 1, 1, 2, 3, 9};
  refused(shape, "2 R + 1", [&](Call& c) {
    of_itself(c);
    c.params.places = View<const std::int32_t, 1>(far.data(), 6);
    biased(4, 5)(c);
  });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.q.stride[2] = 2; });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.k.stride[2] = 2; });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.v.stride[2] = 2; });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.out.stride[2] = 2; });
  refused(Code::kBadArgument, "cuda", [](Call& c) { c.v.space = Space::cuda; });
  EXPECT_EQ(out.bits(), before);
}

}  // namespace
