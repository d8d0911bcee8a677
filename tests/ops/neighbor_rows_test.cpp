#include <tessera/ops/neighbor_rows.hpp>

#include <gtest/gtest.h>

#include "support/errors.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

const std::vector<index_t> kEnds = {0, 1, 1, 8, 13};
const std::vector<std::int32_t> kPlaces = {7, 0, 1, 2, 4, 5, 9, 10, 3, 4, 6, 7, 8};

RaggedBatch batch(bool holes) {
  RaggedBatch b;
  b.cu_seqlens = View<const index_t, 1>(kEnds.data(), 5);
  if (holes) b.columns = View<const std::int32_t, 1>(kPlaces.data(), 13);
  return b;
}

// Each number looked for among all tokens.
TEST(NeighborRows, HoldWhatStandsBeside) {
  const Matrix x = filled(13, 3, {.seed = 5, .pad = 2});
  for (const int threads : {1, 3}) {
    Context ctx(threads);
    for (const bool holes : {false, true})
      for (const index_t kernel : {1, 3, 7}) {
        Matrix out = poisoned(13, 3 * kernel, 4);
        ops::neighbor_rows(ctx, x.in(), batch(holes), kernel, out.out());
        for (std::size_t s = 0; s < 4; ++s)
          for (index_t t = kEnds[s]; t < kEnds[s + 1]; ++t)
            for (index_t c = 0; c < 3; ++c)
              for (index_t i = 0; i < kernel; ++i) {
                const auto place = [&](index_t u) { return holes ? index_t{kPlaces[static_cast<std::size_t>(u)]} : u; };
                float expected = 0;
                for (index_t u = kEnds[s]; u < kEnds[s + 1]; ++u)
                  if (place(u) - place(t) == i - (kernel - 1) / 2) expected = x(u, c);
                EXPECT_EQ(out(t, c * kernel + i), expected) << holes << kernel << " row " << t;
              }
        EXPECT_TRUE(written_exactly(out));
      }
  }
}
TEST(NeighborRows, RefusesWhatDoesNotFit) {
  Context ctx(1);
  const Matrix x = filled(13, 3, {.seed = 5});
  Matrix out = poisoned(13, 9), narrow = poisoned(13, 8), few = poisoned(12, 9);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "odd", ops::neighbor_rows(ctx, x.in(), batch(false), 2, out.out()));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "odd", ops::neighbor_rows(ctx, x.in(), batch(false), -1, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "columns", ops::neighbor_rows(ctx, x.in(), batch(false), 3, narrow.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", ops::neighbor_rows(ctx, x.in(), batch(false), 3, few.out()));
}

}  // namespace
