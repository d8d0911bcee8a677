// Exact search is exact, on corpora small enough for every run: bench/search_exactness.cpp has the same up to 10^6 rows.
#include "support/exactness.hpp"

#include <gtest/gtest.h>

namespace {

using namespace tessera;
using namespace tessera::test;

TEST(SearchExactness, NoIdBeyondTiesNoByteElsewhere) {
  struct Shape {
    index_t n, e, k, batch;
  };
  Exactness all;
  for (const Rows kind : kAllRows)
    for (const Shape& s :
         {Shape{0, 5, 3, 2}, {1, 1, 1, 3}, {3, 17, 8, 2}, {65, 7, 65, 4}, {700, 48, 10, 7}, {130, 1024, 4, 2}})
      all.check(kind, s.n, s.e, s.k, s.batch, {2, 3}, {2, 3, 7, 16});
  EXPECT_EQ(all.differences.wrong, 0);
  EXPECT_GT(all.differences.ids, 1000);
  EXPECT_LE(all.differences.closest, 1.0);
  EXPECT_GT(all.comparisons, 1000);
  for (const std::string& what : all.unequal) ADD_FAILURE() << what;
}
// What the check itself sees.
TEST(SearchExactness, TellsWrongFromTied) {
  const Matrix q = filled(1, 8, {.seed = 3});
  Context ctx(1);
  const Matrix rows = rows_of(Rows::random, 50, 8, q, 4);
  const Found right = Way(ctx, rows.in(), DType::f32, false).search(ctx, q.in(), 5);
  EXPECT_EQ(beside_double(q, rows.in(), right).wrong, 0);
  const auto wrong = [&](auto change) {
    Found other = right;
    change(other.out());
    return beside_double(q, rows.in(), other).wrong;
  };
  EXPECT_GT(wrong([](const ops::TopK& o) { std::swap(o.ids(0, 0), o.ids(0, 1)); }), 0);
  EXPECT_GT(wrong([](const ops::TopK& o) { o.ids(0, 4) = o.ids(0, 3); }), 0);
  EXPECT_GT(wrong([](const ops::TopK& o) { o.scores(0, 2) *= 1.001f; }), 0);
  EXPECT_GT(wrong([](const ops::TopK& o) { o.counts(0) = 4; }), 0);
  const Matrix same = rows_of(Rows::zero, 50, 8, q, 4);
  Found tied = Way(ctx, same.in(), DType::f32, false).search(ctx, q.in(), 50);
  std::swap(tied.out().ids(0, 20), tied.out().ids(0, 21));  // the same score, the higher id first
  EXPECT_GT(beside_double(q, same.in(), tied).wrong, 0);
}

}  // namespace
