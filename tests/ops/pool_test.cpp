#include <tessera/ops/pool.hpp>

#include <functional>
#include <limits>

#include "reference/pool.hpp"
#include "support/backends.hpp"
#include "support/jobs.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;
using ops::Pooling;

struct Pool : OpsTest {};
TESSERA_ON_EVERY_ISA(Pool);

constexpr Pooling kModes[] = {Pooling::cls, Pooling::mean,          Pooling::mean_sqrt,
                              Pooling::max, Pooling::weighted_mean, Pooling::last};

Matrix run(Context& ctx, Pooling mode, View<const float, 2> x, const std::vector<index_t>& cu,
           const std::vector<float>& weights = {}) {
  Matrix out = poisoned(static_cast<index_t>(cu.size()) - 1, x.extent[1], 3);
  const View<const float, 1> given(weights.data(), static_cast<index_t>(weights.size()));
  ops::pool(ctx, mode, x, offsets(cu), weights.empty() ? View<const float, 1>() : given, out.out());
  return out;
}

// Sequences of 0, 1, and many tokens; an empty one first, in the middle and last.
const std::vector<index_t> kCu{0, 0, 1, 3, 20, 20, 57, 90, 90};

std::vector<float> weights() {
  std::vector<float> w;
  Random random(5);
  for (index_t t = 0; t < kCu.back(); ++t) w.push_back(0.25f + random.unit() * random.unit());
  return w;
}

TEST_P(Pool, MatchesReferenceInEveryMode) {
  for (const index_t c : {1, 15, 16, 17, 40, 129})
    for (const Pooling mode : kModes) {
      const Matrix x = filled(kCu.back(), c, {.seed = static_cast<std::uint64_t>(c), .pad = 5});
      EXPECT_TRUE(close("pool", run(ctx, mode, x.in(), kCu), ref::pool(mode, x.in(), kCu, {})))
          << static_cast<int>(mode) << " " << c;
    }
  const Matrix x = filled(kCu.back(), 40, {.seed = 3});
  EXPECT_TRUE(close("pool", run(ctx, Pooling::weighted_mean, x.in(), kCu, weights()),
                    ref::pool(Pooling::weighted_mean, x.in(), kCu, weights())));
}
TEST_P(Pool, EmptySequencesGiveZero) {
  const Matrix x = filled(kCu.back(), 18, {.shift = 3.f});
  for (const Pooling mode : kModes) {
    const Matrix out = run(ctx, mode, x.in(), kCu);
    for (const index_t b : {0, 4, 7})
      for (index_t c = 0; c < 18; ++c) EXPECT_EQ(out(b, c), 0.f) << static_cast<int>(mode);
  }
}
TEST_P(Pool, OneTokenIsItself) {
  const Matrix x = filled(1, 35, {.seed = 8, .scale = 1e-3f});
  for (const Pooling mode : kModes)
    EXPECT_EQ(run(ctx, mode, x.in(), {0, 1}).row_bits(0), x.row_bits(0)) << static_cast<int>(mode);
}
TEST_P(Pool, MaximumIsExactWhateverTheSigns) {
  for (const float shift : {-5.f, 0.f, 5.f}) {
    const Matrix x = filled(31, 20, {.seed = 4, .shift = shift});
    const Matrix out = run(ctx, Pooling::max, x.in(), {0, 31});
    for (index_t c = 0; c < 20; ++c) {
      float top = x(0, c);
      for (index_t t = 1; t < 31; ++t) top = x(t, c) > top ? x(t, c) : top;
      EXPECT_EQ(out(0, c), top);
    }
  }
}
TEST_P(Pool, NonFiniteStaysInItsSequenceAndChannel) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Pooling mode : kModes)
    for (const index_t at :
         {3, 11, 19}) {  // first, middle and last token of sequence 3: a maximum keeps a NaN wherever it is
      Matrix x = filled(kCu.back(), 21, {.seed = 2});
      const Matrix clean = run(ctx, mode, x.in(), kCu);
      x(at, 17) = nan;
      const Matrix out = run(ctx, mode, x.in(), kCu);
      for (index_t b = 0; b < out.rows; ++b)
        for (index_t c = 0; c < 21; ++c) {
          const bool reached = b == 3 && c == 17 && (mode != Pooling::cls || at == 3) && (mode != Pooling::last || at == 19);
          if (reached) {
            EXPECT_TRUE(std::isnan(out(b, c))) << static_cast<int>(mode) << " token " << at;
          } else {
            EXPECT_EQ(out(b, c), clean(b, c)) << static_cast<int>(mode) << " token " << at;
          }
        }
    }
  Matrix x = filled(4, 17, {.seed = 2});
  x(2, 16) = std::numeric_limits<float>::infinity();
  x(1, 3) = -std::numeric_limits<float>::infinity();
  const Matrix out = run(ctx, Pooling::max, x.in(), {0, 4}), mean = run(ctx, Pooling::mean, x.in(), {0, 4});
  EXPECT_EQ(out(0, 16), x(2, 16));
  EXPECT_TRUE(std::isfinite(out(0, 3)));
  EXPECT_EQ(mean(0, 3), x(1, 3));
}
TEST_P(Pool, AloneAndByThreadsTheSameBits) {
  const Matrix x = filled(kCu.back(), 50, {.seed = 12, .pad = 2});
  for (const Pooling mode : kModes) {
    const Matrix all = run(ctx, mode, x.in(), kCu);
    with_threads([&](Context& many) { EXPECT_EQ(all.bits(), run(many, mode, x.in(), kCu).bits()); });
    for (std::size_t b = 0; b + 1 < kCu.size(); ++b) {
      const auto alone = run(ctx, mode, x.in().slice(kCu[b], kCu[b + 1]), {0, kCu[b + 1] - kCu[b]});
      EXPECT_EQ(alone.row_bits(0), all.row_bits(static_cast<index_t>(b)));
    }
  }
}
TEST_P(Pool, ModesMayLieSideBySide) {  // as sentence-transformers concatenates them
  const Matrix x = filled(10, 9, {.seed = 1});
  Matrix both = poisoned(2, 18, 1);
  const std::vector<index_t> cu{0, 4, 10};
  for (const index_t part : {0, 1}) {
    View<float, 2> out = both.out();
    out.data += 9 * part, out.extent[1] = 9;
    ops::pool(ctx, part ? Pooling::max : Pooling::cls, x.in(), offsets(cu), {}, out);
  }
  EXPECT_TRUE(written_exactly(both));
  const Matrix cls = run(ctx, Pooling::cls, x.in(), cu), max = run(ctx, Pooling::max, x.in(), cu);
  for (index_t b = 0; b < 2; ++b)
    for (index_t c = 0; c < 9; ++c) {
      EXPECT_EQ(both(b, c), cls(b, c));
      EXPECT_EQ(both(b, 9 + c), max(b, c));
    }
}
TEST_P(Pool, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Matrix x = filled(5, 8);
  Matrix out = filled(2, 8, {.seed = 9});
  const auto before = out.bits();
  struct Call {
    View<const float, 2> x;
    std::vector<index_t> cu;
    View<const float, 1> weights;
    View<float, 2> out;
  };
  const auto refused = [&](Code code, const char* word, const std::function<void(Call&)>& change) {
    Call c{x.in(), {0, 2, 5}, {}, out.out()};
    change(c);
    TESSERA_EXPECT_ERROR(code, word, ops::pool(ctx, Pooling::mean, c.x, offsets(c.cu), c.weights, c.out));
  };
  const std::vector<float> w(10);
  refused(Code::kShapeMismatch, "tokens", [](Call& c) { c.cu = {0, 2, 6}; });
  refused(Code::kShapeMismatch, "rows of out", [](Call& c) { c.cu = {0, 5}; });
  refused(Code::kShapeMismatch, "start with 0", [](Call& c) { c.cu = {1, 2, 5}; });
  refused(Code::kShapeMismatch, "decreases", [](Call& c) { c.cu = {0, 6, 5}; });
  refused(Code::kShapeMismatch, "channels of out", [](Call& c) { c.out.extent[1] = 7; });
  refused(Code::kShapeMismatch, "weights", [&](Call& c) { c.weights = View<const float, 1>(w.data(), 4); });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.x.stride[1] = 2; });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.out.stride[1] = 2; });
  refused(Code::kBadStride, "contiguous", [&](Call& c) {
    c.weights = View<const float, 1>(w.data(), 5);
    c.weights.stride[0] = 2;
  });
  refused(Code::kBadArgument, "cuda", [](Call& c) { c.x.space = Space::cuda; });
  EXPECT_EQ(out.bits(), before);
}

}  // namespace
