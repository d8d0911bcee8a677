#include <tessera/ops/distance_bias.hpp>

#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include "support/errors.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

// Every distance from -1100 to 1100, by transformers' T5Attention and MPNetEncoder (make_tiny_text.py).
TEST(DistanceBias, BucketsOfTransformers) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/tiny_text/relative_buckets.json");
  const auto first = golden.at("first").get<index_t>(), last = golden.at("last").get<index_t>();
  int cases = 0;
  for (const io::Json& c : golden.at("cases")) {
    const auto buckets = c.at("buckets").get<index_t>(), most = c.at("max_distance").get<index_t>();
    std::size_t at = 0;
    index_t expected = -1;
    for (index_t d = first; d <= last; ++d) {
      if (at < c.at("from").size() && c.at("from")[at][0].get<index_t>() == d)
        expected = c.at("from")[at++][1].get<index_t>();
      ASSERT_EQ(ops::relative_bucket(d, buckets, most), expected) << d << " of " << buckets << ", " << most;
    }
    EXPECT_EQ(at, c.at("from").size());
    ++cases;
  }
  EXPECT_EQ(cases, 6);
}
TEST(DistanceBias, ATableOfBucketsBecomesOneOfDistances) {
  const Matrix table = filled(8, 3, {.seed = 2, .pad = 2});
  for (const index_t reach : {0, 1, 30}) {
    Matrix out = poisoned(3, 2 * reach + 1, 4);
    ops::relative_distance_bias(table.in(), 20, out.out());
    for (index_t h = 0; h < 3; ++h)
      for (index_t d = -reach; d <= reach; ++d) EXPECT_EQ(out(h, reach + d), table(ops::relative_bucket(d, 8, 20), h));
  }
  EXPECT_EQ(ops::relative_bucket(-1, 8, 20), 1);  // a key before its query
  EXPECT_EQ(ops::relative_bucket(1, 8, 20), 5);
}
TEST(DistanceBias, RefusesSizesThatAreNone) {
  for (const auto& [buckets, most] : std::vector<std::pair<index_t, index_t>>{{0, 9}, {-4, 9}, {6, 9}, {32, 8}, {32, -1}})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "multiple of 4", (void)ops::relative_bucket(3, buckets, most));
  const Matrix table = filled(8, 3, {.seed = 2});
  Matrix even = poisoned(3, 4), heads = poisoned(2, 5);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "2 R + 1", ops::relative_distance_bias(table.in(), 20, even.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "heads", ops::relative_distance_bias(table.in(), 20, heads.out()));
}

// Values of the paper's section 3, and of powers of two by the library's own function in double.
TEST(DistanceBias, SlopesOfAlibi) {
  for (index_t h = 0; h < 8; ++h) EXPECT_EQ(ops::alibi_slope(h, 8), std::ldexp(1.f, -static_cast<int>(h + 1)));
  EXPECT_EQ(ops::alibi_slope(0, 1), 0x1p-8f);
  for (index_t power = 1; power <= 256; power *= 2)
    for (index_t heads = power; heads < 2 * power; heads += heads < 40 ? 1 : 13)
      for (index_t h = 0; h < heads; ++h) {
        const double exponent = h < power ? -8.0 * static_cast<double>(h + 1) / static_cast<double>(power)
                                          : -8.0 * static_cast<double>(2 * (h - power) + 1) / static_cast<double>(2 * power);
        EXPECT_FLOAT_EQ(ops::alibi_slope(h, heads), static_cast<float>(std::exp2(exponent))) << h << " of " << heads;
      }
  for (const auto& [head, heads] : std::vector<std::pair<index_t, index_t>>{{0, 0}, {-1, 4}, {4, 4}})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "ALiBi: head", (void)ops::alibi_slope(head, heads));
}
TEST(DistanceBias, AlibiFallsOffOnBothSides) {
  for (const index_t reach : {0, 1, 30}) {
    Matrix out = poisoned(3, 2 * reach + 1, 4);
    ops::alibi_distance_bias(out.out());
    for (index_t d = -reach; d <= reach; ++d) {
      const auto far = static_cast<float>(std::abs(d));
      EXPECT_EQ(out(0, reach + d), -0x1p-4f * far);  // two heads have 2^-4 and 2^-8, the third is the first of four
      EXPECT_EQ(out(1, reach + d), -0x1p-8f * far);
      EXPECT_EQ(out(2, reach + d), -0x1p-2f * far);
    }
  }
  Matrix even = poisoned(3, 4);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "2 R + 1", ops::alibi_distance_bias(even.out()));
}

}  // namespace
