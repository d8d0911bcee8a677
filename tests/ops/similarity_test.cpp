#include <tessera/ops/similarity.hpp>

#include <limits>

#include <tessera/ops/norm.hpp>

#include "reference/linear.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Similarity : OpsTest {};
TESSERA_ON_EVERY_ISA(Similarity);

Matrix run(Context& ctx, const Matrix& a, const Matrix& b) {
  Matrix out = poisoned(a.rows, b.rows, 3);
  ops::similarity(ctx, a.in(), b.in(), out.out());
  return out;
}

TEST_P(Similarity, MatchesReference) {
  std::uint64_t seed = 1;
  for (const index_t e : {1, 15, 16, 17, 33, 64, 100, 384})
    for (const auto& [m, n] : {std::pair<index_t, index_t>{1, 1}, {3, 7}, {2, 600}, {0, 5}, {5, 0}}) {
      const Matrix a = filled(m, e, {.seed = seed++, .pad = 3}), b = filled(n, e, {.seed = seed++, .pad = 5});
      EXPECT_TRUE(close("similarity", run(ctx, a, b), ref::similarity(a.in(), b.in()))) << m << "x" << n << "x" << e;
    }
}
TEST_P(Similarity, IsSymmetricAndOneForUnitRows) {
  Matrix a = filled(30, 77, {.seed = 3});
  ops::l2_normalize(ctx, a.in(), a.out());
  const Matrix out = run(ctx, a, a);
  for (index_t i = 0; i < 30; ++i) {
    EXPECT_NEAR(out(i, i), 1.f, 3e-7);
    for (index_t j = 0; j < 30; ++j) EXPECT_EQ(out(i, j), out(j, i));
  }
}
TEST_P(Similarity, RowsAloneAndByThreadsTheSameBits) {
  const Matrix a = filled(4, 50, {.seed = 3, .pad = 1}), b = filled(1500, 50, {.seed = 4, .pad = 2});
  const Matrix all = run(ctx, a, b);
  with_threads([&](Context& many) { EXPECT_EQ(all.bits(), run(many, a, b).bits()); });
  for (index_t i = 0; i < 4; ++i)
    for (const index_t j : {0, 1, 255, 256, 1499}) {
      float one = 0;
      ops::similarity(ctx, a.in().slice(i, i + 1), b.in().slice(j, j + 1), View<float, 2>(&one, 1, 1));
      EXPECT_EQ(one, all(i, j));
    }
}
TEST_P(Similarity, NonFiniteRowsStayAlone) {
  Matrix a = filled(5, 20, {.seed = 3}), b = filled(6, 20, {.seed = 4});
  const Matrix clean = run(ctx, a, b);
  a(2, 19) = std::numeric_limits<float>::quiet_NaN();
  b(4, 0) = std::numeric_limits<float>::infinity();
  const Matrix out = run(ctx, a, b);
  for (index_t i = 0; i < 5; ++i)
    for (index_t j = 0; j < 6; ++j) {
      if (i == 2) {
        EXPECT_TRUE(std::isnan(out(i, j)));
      } else if (j == 4) {
        EXPECT_FALSE(std::isfinite(out(i, j)));
      } else {
        EXPECT_EQ(out(i, j), clean(i, j));
      }
    }
}
TEST_P(Similarity, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Matrix a = filled(3, 8), b = filled(4, 8);
  Matrix out = filled(3, 4, {.seed = 5});
  const auto before = out.bits();
  const auto refused = [&](Code code, const char* word, auto change) {
    View<const float, 2> x = a.in(), y = b.in();
    View<float, 2> z = out.out();
    change(x, y, z);
    TESSERA_EXPECT_ERROR(code, word, ops::similarity(ctx, x, y, z));
  };
  refused(Code::kShapeMismatch, "channels of b", [](auto&, auto& y, auto&) { y.extent[1] = 7; });
  refused(Code::kShapeMismatch, "rows of out", [](auto& x, auto&, auto&) { x.extent[0] = 2; });
  refused(Code::kShapeMismatch, "columns of out", [](auto&, auto& y, auto&) { y.extent[0] = 3; });
  refused(Code::kBadStride, "contiguous", [](auto& x, auto&, auto&) { x.stride[1] = 2; });
  refused(Code::kBadStride, "contiguous", [](auto&, auto& y, auto&) { y.stride[1] = 2; });
  refused(Code::kBadStride, "contiguous", [](auto&, auto&, auto& z) { z.stride[1] = 2; });
  refused(Code::kBadArgument, "cuda", [](auto&, auto& y, auto&) { y.space = Space::cuda; });
  EXPECT_EQ(out.bits(), before);
}

}  // namespace
