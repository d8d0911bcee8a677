#include <tessera/ops/similarity.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/topk.hpp>

#include "reference/linear.hpp"
#include "support/backends.hpp"
#include "support/found.hpp"
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

TEST_P(Similarity, ProductsOfModalitiesAreSymilesScores) {
  const index_t batch = 5, n = 70, dim = 300, k = 6;
  const Matrix text = filled(batch, dim, {.seed = 1, .pad = 3}), image = filled(batch, dim, {.seed = 2}),
               audio = filled(batch, dim, {.seed = 3, .pad = 1}), rows = filled(n, dim, {.seed = 4});
  const View<const float, 2> modalities[] = {text.in(), image.in(), audio.in()};
  for (int count = 1; count <= 3; ++count) {
    Matrix q = poisoned(batch, dim, 2);
    ops::multiply_rows(ctx, modalities, count, q.out());
    EXPECT_TRUE(written_exactly(q));
    with_threads([&](Context& many) {
      Matrix again = poisoned(batch, dim, 2);
      ops::multiply_rows(many, modalities, count, again.out());
      EXPECT_EQ(again.bits(), q.bits());
    });
    for (index_t b = 0; b < batch; ++b)
      for (index_t c = 0; c < dim; ++c) {
        float product = text(b, c);
        if (count > 1) product *= image(b, c);
        if (count > 2) product *= audio(b, c);
        EXPECT_EQ(q(b, c), product);
      }
    // The multilinear inner product in double, and what a search by the product finds.
    Found found(batch, k);
    ops::top_k(ctx, q.in(), ops::pack_weight(ctx, rows.in()), {}, found.out());
    for (index_t b = 0; b < batch; ++b) {
      std::vector<double> scores;
      double largest = 0;
      for (index_t r = 0; r < n; ++r) {
        double sum = 0;
        for (index_t c = 0; c < dim; ++c) {
          double term = static_cast<double>(rows(r, c));
          for (int m = 0; m < count; ++m) term *= static_cast<double>(modalities[m](b, c));
          sum += term, largest = std::max(largest, std::abs(term));
        }
        scores.push_back(sum);
      }
      const double rounding = largest * static_cast<double>(dim) * 1e-7;
      std::vector<double> sorted = scores;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      for (index_t i = 0; i < k; ++i) {
        const auto id = static_cast<std::size_t>(found.out().ids(b, i));
        EXPECT_NEAR(scores[id], static_cast<double>(found.out().scores(b, i)), rounding);
        EXPECT_NEAR(scores[id], sorted[static_cast<std::size_t>(i)], rounding);
      }
    }
  }
  for (const int over : {0, 1, 2}) {  // in place of any of them
    Matrix all[] = {text, image, audio};
    const View<const float, 2> views[] = {all[0].in(), all[1].in(), all[2].in()};
    Matrix want = poisoned(batch, dim);
    ops::multiply_rows(ctx, modalities, 3, want.out());
    ops::multiply_rows(ctx, views, 3, all[over].out());
    for (index_t b = 0; b < batch; ++b) EXPECT_EQ(all[over].row_bits(b), want.row_bits(b));
  }
  Matrix out = poisoned(batch, dim);
  const auto before = out.bits();
  const View<const float, 2> uneven[] = {text.in(), rows.in()};
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no modality", ops::multiply_rows(ctx, modalities, 0, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", ops::multiply_rows(ctx, uneven, 2, out.out()));
  EXPECT_EQ(out.bits(), before);
}
TEST_P(Similarity, DistancesOfWhatWasFound) {
  const index_t batch = 4, n = 90, dim = 50, k = 21;
  Matrix q = filled(batch, dim, {.seed = 1, .pad = 3}), rows = filled(n, dim, {.seed = 2, .pad = 1});
  for (index_t c = 0; c < dim; ++c) q(1, c) = 1000.f + rows(5, c), rows(6, c) = q(1, c), rows(7, c) = q(1, c) + 0x1p-10f;
  Matrix bias = poisoned(1, n);
  ops::negative_half_squared_norms(ctx, rows.in(), View<float, 1>(bias.data(), n));
  for (index_t r = 0; r < n; ++r) {
    float square = 0;
    for (index_t c = 0; c < dim; ++c) square = std::fma(rows(r, c), rows(r, c), square);
    EXPECT_EQ(bias(0, r), -0.5f * square);
  }
  Found found(batch, k);
  ops::top_k(ctx, q.in(), ops::pack_weight(ctx, rows.in()), {.bias = bias.row()}, found.out());
  found.out().ids(3, k - 1) = -1;
  Matrix out = poisoned(batch, k, 2);
  ops::squared_distances(ctx, q.in(), rows.in(), found.out().ids, out.out());
  EXPECT_TRUE(written_exactly(out));
  for (index_t b = 0; b < batch; ++b)
    for (index_t i = 0; i < k; ++i) {
      const index_t id = found.out().ids(b, i);
      if (id < 0) {
        EXPECT_EQ(out(b, i), std::numeric_limits<float>::infinity());
        continue;
      }
      float chain = 0;
      double exact = 0;
      for (index_t c = 0; c < dim; ++c) {
        const float d = q(b, c) - rows(id, c);
        chain = std::fma(d, d, chain);
        exact += std::pow(static_cast<double>(q(b, c)) - static_cast<double>(rows(id, c)), 2);
      }
      EXPECT_EQ(out(b, i), chain);
      EXPECT_NEAR(static_cast<double>(out(b, i)), exact, exact * 1e-5);
    }
  for (index_t b = 0; b < batch; b += 3)  // nearest first, but for what is equally near
    for (index_t i = 1; i + 1 < k; ++i) EXPECT_GE(out(b, i), out(b, i - 1) * (1 - 1e-5f));
  const index_t ids[] = {6, 7};
  Matrix near = poisoned(1, 2);
  ops::squared_distances(ctx, q.in().slice(1, 2), rows.in(), View<const index_t, 2>(ids, 1, 2), near.out());
  EXPECT_EQ(near(0, 0), 0.f);  // where |q|^2 - 2 q . x + |x|^2 cancels
  EXPECT_NEAR(near(0, 1), 50 * 0x1p-20f, 1e-9f);
  with_threads([&](Context& many) {
    Matrix again = poisoned(batch, k, 2);
    ops::squared_distances(many, q.in(), rows.in(), found.out().ids, again.out());
    EXPECT_EQ(again.bits(), out.bits());
  });
  const index_t none[] = {n};
  const auto before = near.bits();
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no row",
                       ops::squared_distances(ctx, q.in().slice(0, 1), rows.in(), View<const index_t, 2>(none, 1, 1),
                                              View<float, 2>(near.data(), 1, 1)));
  EXPECT_EQ(near.bits(), before);
}

}  // namespace
