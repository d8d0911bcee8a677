// Attention of sm_80, its kernel run on the host.
#include <tessera/cuda/attention.cuh>

#include <cmath>
#include <numeric>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::AttentionArgs;
using kernels::cuda::AttentionTile;
using simt::Tensor;

struct AttentionShape {
  std::vector<int> lengths;
  int heads = 2, kv_heads = 2;
  bool causal = false;
  index_t pad = 8;
  float size = 2;  ///< of q and k
  bool weighted = false;
};

template <int kHead>
struct AttentionProblem {
  explicit AttentionProblem(const AttentionShape& s, std::uint64_t seed = 1)
      : shape(s),
        tokens(std::accumulate(s.lengths.begin(), s.lengths.end(), 0)),
        q(simt::Use<bf16>::input, tokens, s.heads * kHead, s.pad),
        k(simt::Use<bf16>::input, tokens, s.kv_heads * kHead, s.pad),
        v(simt::Use<bf16>::input, tokens, s.kv_heads * kHead, 0),
        out(simt::Use<bf16>::output, tokens, s.heads * kHead, s.pad),
        cu_seqlens(simt::Use<std::int32_t>::input, 1, static_cast<index_t>(s.lengths.size()) + 1),
        weights(simt::Use<float>::input, 1, tokens) {
    Random random(seed);
    weights.fill([&](index_t, index_t) { return static_cast<float>(random.in(1, 6)); });
    const auto any = [&](index_t, index_t) { return s.size * random.unit(); };
    q.fill(any), k.fill(any), v.fill([&](index_t, index_t) { return random.unit(); });
    std::int32_t end = 0;
    cu_seqlens(0, 0) = 0;
    for (std::size_t i = 0; i < s.lengths.size(); ++i) cu_seqlens(0, static_cast<index_t>(i) + 1) = end += s.lengths[i];
  }
  std::string run(std::uint64_t seed) {
    const AttentionArgs g{q.data(),          q.ld(),
                          k.data(),          k.ld(),
                          v.data(),          v.ld(),
                          out.data(),        out.ld(),
                          cu_seqlens.data(), shape.heads,
                          shape.kv_heads,    scale,
                          shape.causal,      shape.weighted ? weights.data() : nullptr};
    const int longest = *std::max_element(shape.lengths.begin(), shape.lengths.end());
    const int groups = (longest + kernels::cuda::kAttentionQueries - 1) / kernels::cuda::kAttentionQueries;
    return simt::run({std::max(groups, 1), kernels::cuda::kAttentionThreads, AttentionTile<kHead>::kSharedBytes, seed,
                      static_cast<int>(shape.lengths.size()) * shape.heads},
                     [&] { kernels::cuda::attention_kernel<kHead>(g); });
  }
  testing::AssertionResult right() {
    if (const auto written = out.written_exactly(); !written) return written;
    for (std::size_t i = 0; i < shape.lengths.size(); ++i) {
      const index_t begin = cu_seqlens(0, static_cast<index_t>(i)), end = begin + shape.lengths[i];
      for (index_t t = begin; t < end; ++t)
        for (int h = 0; h < shape.heads; ++h) {
          const index_t of_q = h * kHead, of_kv = h * shape.kv_heads / shape.heads * kHead,
                        last = shape.causal ? t + 1 : end;
          std::vector<double> p;
          double largest = -INFINITY, sum = 0;
          for (index_t s = begin; s < last; ++s) {
            double score = 0;
            for (index_t c = 0; c < kHead; ++c) score += static_cast<double>(q.at(t, of_q + c)) * k.at(s, of_kv + c);
            p.push_back(score * static_cast<double>(scale));
            largest = std::max(largest, p.back());
          }
          for (index_t s = begin; s < last; ++s) {
            double& x = p[static_cast<std::size_t>(s - begin)];
            sum += x = std::exp(x - largest) * (shape.weighted ? static_cast<double>(weights(0, s)) : 1);
          }
          for (index_t c = 0; c < kHead; ++c) {
            double exact = 0;
            for (index_t s = begin; s < last; ++s)
              exact += p[static_cast<std::size_t>(s - begin)] / sum * v.at(s, of_kv + c);
            // Probabilities and the result are rounded to bf16; values are below 1.
            if (!(std::fabs(out.at(t, of_q + c) - exact) <= 0x1p-8 * std::fabs(exact) + 0x1p-9))
              return testing::AssertionFailure() << "token " << t << " head " << h << " channel " << c << ": "
                                                 << out.at(t, of_q + c) << ", not " << exact;
          }
        }
    }
    return testing::AssertionSuccess();
  }

  AttentionShape shape;
  index_t tokens;
  float scale = 1 / std::sqrt(static_cast<float>(kHead));
  Tensor<bf16> q, k, v, out;
  Tensor<std::int32_t> cu_seqlens;
  Tensor<float> weights;
};

template <int kHead>
void expect_right(const AttentionShape& s, std::uint64_t seed) {
  AttentionProblem<kHead> p(s, seed);
  EXPECT_EQ(p.run(seed), "");
  EXPECT_TRUE(p.right()) << kHead << (s.causal ? " causal" : "");
}

TEST(CudaAttention, EveryHeadSize) {
  std::uint64_t seed = 0;
  for (const bool causal : {false, true}) {
    const AttentionShape s{.lengths = {17, 70}, .heads = 2, .kv_heads = 1, .causal = causal};
    expect_right<32>(s, seed++);
    expect_right<64>(s, seed++);
    expect_right<72>({.lengths = {65}, .heads = 1, .kv_heads = 1, .causal = causal}, seed++);
    expect_right<80>({.lengths = {3}, .heads = 1, .kv_heads = 1, .causal = causal}, seed++);
    expect_right<88>({.lengths = {18}, .heads = 2, .kv_heads = 1, .causal = causal}, seed++);
    expect_right<96>({.lengths = {9}, .heads = 1, .kv_heads = 1, .causal = causal}, seed++);
    expect_right<104>({.lengths = {67}, .heads = 1, .kv_heads = 1, .causal = causal}, seed++);
    expect_right<128>({.lengths = {66}, .heads = 1, .kv_heads = 1, .causal = causal}, seed++);
  }
}
TEST(CudaAttention, RaggedSequences) {
  expect_right<32>({.lengths = {1, 0, 64, 2, 130}, .heads = 1, .kv_heads = 1}, 1);
  expect_right<32>({.lengths = {128, 0, 1}, .heads = 4, .kv_heads = 2, .causal = true}, 2);
  expect_right<32>({.lengths = {150}, .heads = 1, .kv_heads = 1, .causal = true, .size = 20},
                   3);  // scores that leave one key
}
// Keys that stand for several tokens count as often.
TEST(CudaAttention, WeightedKeys) {
  for (const bool causal : {false, true}) {
    expect_right<32>({.lengths = {70, 1, 64}, .heads = 2, .kv_heads = 1, .causal = causal, .weighted = true}, 1);
    expect_right<104>({.lengths = {3, 20}, .heads = 1, .kv_heads = 1, .causal = causal, .weighted = true}, 2);
  }
  AttentionProblem<32> ones({.lengths = {70}, .weighted = true}, 4), plain({.lengths = {70}}, 4);
  ones.weights.fill([](index_t, index_t) { return 1.f; });
  EXPECT_EQ(ones.run(1), "");
  EXPECT_EQ(plain.run(1), "");
  for (index_t t = 0; t < 70; ++t) EXPECT_EQ(ones.out.row(t), plain.out.row(t));
}
// A sequence has the same bits alone and anywhere in a batch.
TEST(CudaAttention, BitsDependOnTheSequenceAlone) {
  for (const bool causal : {false, true}) {
    AttentionProblem<32> batch({.lengths = {5, 100, 33}, .causal = causal}), alone({.lengths = {100}, .causal = causal});
    const auto copy = [](Tensor<bf16>& to, const Tensor<bf16>& from) {
      to.fill([&](index_t t, index_t c) { return from.at(t + 5, c); });
    };
    copy(alone.q, batch.q), copy(alone.k, batch.k), copy(alone.v, batch.v);
    EXPECT_EQ(batch.run(1), "");
    EXPECT_EQ(alone.run(2), "");
    for (index_t t = 0; t < 100; ++t) EXPECT_EQ(alone.out.row(t), batch.out.row(t + 5)) << t;
  }
}
TEST(CudaAttention, NanStaysInItsSequence) {
  AttentionProblem<32> p({.lengths = {20, 20, 20}, .heads = 1, .kv_heads = 1});
  p.v(25, 3) = bf16{0x7fc0};
  EXPECT_EQ(p.run(1), "");
  for (index_t t = 0; t < 60; ++t)
    for (index_t c = 0; c < 32; ++c) EXPECT_EQ(std::isnan(p.out.at(t, c)), t >= 20 && t < 40 && c == 3);
}
// q, k and v as parts of one row, as one product writes them.
TEST(CudaAttention, PackedRows) {
  AttentionProblem<32> apart({.lengths = {40, 9}});
  Tensor<bf16> packed(simt::Use<bf16>::input, 49, 192);
  packed.fill([&](index_t t, index_t c) { return (c < 64 ? apart.q : c < 128 ? apart.k : apart.v).at(t, c % 64); });
  EXPECT_EQ(apart.run(1), "");
  Tensor<bf16> out(simt::Use<bf16>::output, 49, 64);
  const AttentionArgs g{
      packed.data(), 192,  packed.data() + 64, 192, packed.data() + 128, 192, out.data(), 64, apart.cu_seqlens.data(), 2, 2,
      apart.scale,   false};
  EXPECT_EQ(simt::run({1, kernels::cuda::kAttentionThreads, AttentionTile<32>::kSharedBytes, 3, 4},
                      [&] { kernels::cuda::attention_kernel<32>(g); }),
            "");
  for (index_t t = 0; t < 49; ++t) EXPECT_EQ(out.row(t), apart.out.row(t));
}

}  // namespace
}  // namespace tessera::test
