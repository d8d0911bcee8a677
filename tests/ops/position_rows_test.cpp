#include <tessera/ops/position_rows.hpp>

#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include "support/errors.hpp"

namespace {

using namespace tessera;

// Every distance from -1100 to 1100, by transformers' DebertaV2 (make_tiny_deberta.py).
TEST(PositionRows, ThoseOfTransformers) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/tiny_deberta/position_rows.json");
  const auto first = golden.at("first").get<index_t>(), last = golden.at("last").get<index_t>();
  int cases = 0;
  for (const io::Json& c : golden.at("cases")) {
    const auto rows = c.at("rows").get<index_t>(), log_distance = c.at("log_distance").get<index_t>();
    std::size_t at = 0;
    index_t expected = -1;
    for (index_t d = first; d <= last; ++d) {
      if (at < c.at("from").size() && c.at("from")[at][0].get<index_t>() == d)
        expected = c.at("from")[at++][1].get<index_t>();
      ASSERT_EQ(ops::position_row(d, rows, log_distance), expected) << d << " of " << rows << ", " << log_distance;
    }
    EXPECT_EQ(at, c.at("from").size());
    ++cases;
  }
  EXPECT_EQ(cases, 8);
}
TEST(PositionRows, ATableOfThem) {
  std::vector<std::int32_t> rows(13, -1);
  ops::position_rows(8, 0, View<std::int32_t, 1>(rows.data(), index_t{13}));
  EXPECT_EQ(rows, (std::vector<std::int32_t>{7, 7, 7, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0}));  // a key before its query: above 4
}
TEST(PositionRows, RefusesSizesThatAreNone) {
  for (const auto& [rows, most] :
       std::vector<std::pair<index_t, index_t>>{{0, 0}, {-2, 0}, {7, 0}, {2, 9}, {8, 3}, {8, 1}, {512, 129}})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "an even number of rows", (void)ops::position_row(3, rows, most));
  EXPECT_NO_THROW((void)ops::position_row(3, 8, 4));
  std::vector<std::int32_t> even(4);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "2 R + 1",
                       ops::position_rows(8, 0, View<std::int32_t, 1>(even.data(), index_t{4})));
}

}  // namespace
