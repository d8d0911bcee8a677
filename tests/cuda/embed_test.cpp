// Embedding lookups, their kernels run on the host.
#include <tessera/cuda/embed.cuh>

#include <cmath>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

using kernels::cuda::EmbedArgs;
using simt::Tensor;

struct EmbedShape {
  std::vector<int> lengths;
  int c = 16;
  bool segment = true, position = true, given_segments = true, affine = true;
  float scale = 1;
  index_t pad = 8;
};

template <class T>
struct EmbedProblem {
  static constexpr index_t kWords = 23, kTypes = 3, kPositions = 40;

  explicit EmbedProblem(const EmbedShape& s, std::uint64_t seed = 1)
      : shape(s),
        tokens(count(s)),
        ids(simt::Use<std::int32_t>::input, 1, tokens),
        segments(simt::Use<std::int32_t>::input, 1, tokens),
        positions(simt::Use<std::int32_t>::input, 1, tokens),
        word(simt::Use<T>::input, kWords, s.c),
        segment(simt::Use<T>::input, kTypes, s.c),
        position(simt::Use<T>::input, kPositions, s.c),
        gamma(simt::Use<float>::input, 1, s.c),
        beta(simt::Use<float>::input, 1, s.c),
        y(simt::Use<T>::output, tokens, s.c, s.pad) {
    Random random(seed);
    const auto any = [&](index_t, index_t) { return random.unit(); };
    word.fill(any), segment.fill(any), position.fill(any), gamma.fill(any), beta.fill(any);
    index_t t = 0;
    for (const int length : s.lengths)
      for (int i = 0; i < length; ++i, ++t) {
        ids(0, t) = static_cast<std::int32_t>(random.in(0, kWords - 1));
        segments(0, t) = static_cast<std::int32_t>(random.in(0, kTypes - 1));
        positions(0, t) = i;
      }
  }
  static index_t count(const EmbedShape& s) {
    index_t n = 0;
    for (const int length : s.lengths) n += length;
    return n;
  }
  EmbedArgs<T, T> args() {
    EmbedArgs<T, T> g{ids.data(), word.data(), y.data(), y.ld(), static_cast<int>(tokens), shape.c};
    if (shape.segment) g.segment = segment.data();
    if (shape.given_segments) g.segments = segments.data();
    if (shape.position) g.position = position.data(), g.positions = positions.data();
    if (shape.affine) g.gamma = gamma.data(), g.beta = beta.data();
    g.scale = shape.scale, g.eps = 1e-5f;
    return g;
  }
  std::string run(bool normalise, std::uint64_t seed) {
    const auto g = args();
    const simt::Launch launch{(g.tokens + kernels::cuda::kNormRows - 1) / kernels::cuda::kNormRows,
                              kernels::cuda::kNormRows * 32, 0, seed};
    if (!normalise) return simt::run(launch, [&] { kernels::cuda::embed_kernel(g); });
    switch (kernels::cuda::norm_pieces(g.c)) {
      case 2: return simt::run(launch, [&] { kernels::cuda::embed_norm_kernel<2>(g); });
      case 4: return simt::run(launch, [&] { kernels::cuda::embed_norm_kernel<4>(g); });
      default: return "too many columns";
    }
  }
  /// Against double precision, over the numbers as they are stored.
  testing::AssertionResult right(bool normalise) const {
    if (const auto written = y.written_exactly(); !written) return written;
    const double rounding = sizeof(T) == 2 ? 0x1p-8 : 2e-6;
    for (index_t t = 0; t < tokens; ++t) {
      const auto at = [&](const Tensor<std::int32_t>& list) { return static_cast<index_t>(list.data()[t]); };
      std::vector<double> row;
      double mean = 0, square = 0;
      for (index_t j = 0; j < shape.c; ++j) {
        double v = word.at(at(ids), j);
        if (shape.segment) v += segment.at(shape.given_segments ? at(segments) : 0, j);
        if (shape.position) v += position.at(at(positions), j);
        row.push_back(v * static_cast<double>(shape.scale));
      }
      for (const double v : row) mean += v / shape.c;
      for (const double v : row) square += (v - mean) * (v - mean) / shape.c;
      for (index_t j = 0; j < shape.c; ++j) {
        double v = row[static_cast<std::size_t>(j)];
        if (normalise) {
          v = (v - mean) / std::sqrt(square + 1e-5);
          if (shape.affine) v = v * gamma.at(0, j) + beta.at(0, j);
        }
        if (!(std::fabs(y.at(t, j) - v) <= rounding * (std::fabs(v) + 1)))
          return testing::AssertionFailure() << "token " << t << " column " << j << ": " << y.at(t, j) << ", not " << v;
      }
    }
    return testing::AssertionSuccess();
  }

  EmbedShape shape;
  index_t tokens;
  Tensor<std::int32_t> ids, segments, positions;
  Tensor<T> word, segment, position;
  Tensor<float> gamma, beta;
  Tensor<T> y;
};

template <class T>
void expect_right(const EmbedShape& s, bool normalise, std::uint64_t seed) {
  EmbedProblem<T> p(s, seed);
  EXPECT_EQ(p.run(normalise, seed), "");
  EXPECT_TRUE(p.right(normalise)) << s.c << " columns, seed " << seed;
}

TEST(CudaEmbed, TablesAndShapes) {
  const EmbedShape shapes[] = {
      {.lengths = {1}, .c = 8},
      {.lengths = {5, 0, 3, 1}, .c = 24},
      {.lengths = {7, 7}, .c = 384, .scale = 3.5f},  // padded sequences
      {.lengths = {6}, .c = 264, .segment = false, .pad = 0},
      {.lengths = {5}, .c = 520, .position = false, .given_segments = false},
      {.lengths = {3, 2}, .c = 768, .segment = false, .position = false, .affine = false},
  };
  std::uint64_t seed = 0;
  for (const EmbedShape& s : shapes)
    for (const bool normalise : {false, true}) {
      expect_right<float>(s, normalise, seed++);
      expect_right<bf16>(s, normalise, seed++);
    }
  expect_right<bf16>({.lengths = {3}, .c = 2600}, false, 1);  // wider than a norm may be
}
// The order of the sum is the CPU's.
TEST(CudaEmbed, SumsHaveTheBitsOfTheirOrder) {
  EmbedProblem<float> p({.lengths = {9}, .c = 40, .scale = 1.7f});
  EXPECT_EQ(p.run(false, 2), "");
  for (index_t t = 0; t < 9; ++t)
    for (index_t j = 0; j < 40; ++j) {
      float sum = p.word.at(p.ids(0, t), j) + p.segment.at(p.segments(0, t), j);
      sum += p.position.at(p.positions(0, t), j);
      EXPECT_EQ(p.y.at(t, j), sum * 1.7f);
    }
}
TEST(CudaEmbed, BitsDependOnTheTokenAlone) {
  EmbedProblem<bf16> batch({.lengths = {9}, .c = 136}), alone({.lengths = {1}, .c = 136});
  alone.ids(0, 0) = batch.ids(0, 6), alone.segments(0, 0) = batch.segments(0, 6), alone.positions(0, 0) = 6;
  const auto copy = [](auto& to, const auto& from) { to.fill([&](index_t r, index_t c) { return from.at(r, c); }); };
  copy(alone.word, batch.word), copy(alone.segment, batch.segment), copy(alone.position, batch.position);
  copy(alone.gamma, batch.gamma), copy(alone.beta, batch.beta);
  EXPECT_EQ(batch.run(true, 1), "");
  EXPECT_EQ(alone.run(true, 2), "");
  EXPECT_EQ(alone.y.row(0), batch.y.row(6));
}

}  // namespace
}  // namespace tessera::test
