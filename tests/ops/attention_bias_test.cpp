// Biases by distance, and places of keys with gaps between them.
#include <tessera/ops/attention.hpp>

#include <algorithm>
#include <vector>

#include "support/attention_problem.hpp"
#include "support/backends.hpp"
#include "support/jobs.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct AttentionBias : OpsTest {};
TESSERA_ON_EVERY_ISA_OF(AttentionBias, kernels::Bf16AttentionTable);

TEST_P(AttentionBias, BiasesByDistance) {
  std::uint64_t seed = 200;
  for (const Shape& s : shapes())
    for (auto p : params()) {
      const Problem problem(s, seed++);
      const index_t heads = seed % 2 == 0 ? s.heads : 1, reach = problem.farthest() + static_cast<index_t>(seed % 3);
      const Matrix bias = filled(heads, 2 * reach + 1, {.seed = seed, .scale = 3.f, .pad = 3});
      p.distance_bias = bias.in();
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
      if (seed % 7 == 0)
        with_threads([&](Context& many) { EXPECT_EQ(problem.run(many, p).bits(), problem.run(ctx, p).bits()); });
    }
}
TEST_P(AttentionBias, PlacesOfKeysWithGaps) {
  std::uint64_t seed = 300;
  Random random(7);
  for (const Shape& s : shapes()) {
    if (s.cu_q != s.cu_k) continue;
    for (auto p : params()) {
      const Problem problem(s, seed++);
      std::vector<std::int32_t> places;
      std::int32_t most = 0;
      for (std::size_t b = 1; b < s.cu_k.size(); ++b) {
        auto at = static_cast<std::int32_t>(random.in(0, 9));
        for (index_t t = s.cu_k[b - 1]; t < s.cu_k[b]; ++t)
          places.push_back(at), most = std::max(most, at), at += static_cast<std::int32_t>(random.in(1, 4));
      }
      p.places = View<const std::int32_t, 1>(places.data(), static_cast<index_t>(places.size()));
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
      const Matrix bias = filled(s.heads, 2 * most + 1, {.seed = seed, .scale = 3.f, .pad = 1});
      p.distance_bias = bias.in();
      ASSERT_TRUE(close(name(p), problem.run(ctx, p), problem.expected(p))) << "problem " << seed - 1;
    }
  }
}
TEST_P(AttentionBias, PlacesWithoutGapsChangeNoBit) {
  for (const Shape& s : shapes()) {
    if (s.cu_q != s.cu_k) continue;
    for (auto p : params()) {
      const Problem problem(s, 9);
      const Matrix bias = filled(s.heads, 2 * problem.farthest() + 1, {.seed = 4});
      p.distance_bias = bias.in();
      const auto plain = problem.run(ctx, p).bits();
      std::vector<std::int32_t> places;
      for (std::size_t b = 1; b < s.cu_k.size(); ++b)
        for (index_t t = s.cu_k[b - 1]; t < s.cu_k[b]; ++t) places.push_back(static_cast<std::int32_t>(t + 5));
      p.places = View<const std::int32_t, 1>(places.data(), static_cast<index_t>(places.size()));
      EXPECT_EQ(problem.run(ctx, p).bits(), plain);
    }
  }
}

}  // namespace
