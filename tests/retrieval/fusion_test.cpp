// Fusion against ranx (tests/goldens/make_retrieval.py) and by hand.
#include <tessera/retrieval/fusion.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include <tessera/io/json.hpp>

#include "support/errors.hpp"

namespace {

using namespace tessera;
using namespace tessera::retrieval;

Ranking fused(const io::Json& c, const std::vector<Ranking>& rankings) {
  if (c["method"] == "rrf") return reciprocal_rank_fusion(rankings, c["k"].get<double>());
  const auto norm = c["norm"].is_null()      ? Normalization::none
                    : c["norm"] == "min-max" ? Normalization::min_max
                                             : Normalization::z_score;
  return weighted_fusion(rankings, c["weights"].get<std::vector<double>>(), norm);
}

TEST(Fusion, IsThatOfRanx) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/retrieval.json");
  ASSERT_EQ(golden["fusions"].size(), 20U);
  for (const io::Json& c : golden["fusions"]) {
    std::vector<Ranking> rankings;
    for (const io::Json& r : c["rankings"]) {
      rankings.emplace_back();
      for (const io::Json& hit : r) rankings.back().push_back({hit[0].get<index_t>(), hit[1].get<double>()});
    }
    const Ranking out = fused(c, rankings);
    EXPECT_EQ(out.size(), c["scores"].size());
    EXPECT_TRUE(std::is_sorted(out.begin(), out.end(), before));
    for (const Hit& h : out) EXPECT_NEAR(h.score, c["scores"].at(std::to_string(h.id)).get<double>(), 1e-12) << c["method"];
  }
}

TEST(Fusion, TiesGoToTheLowerId) {
  const Ranking out = reciprocal_rank_fusion({{{7, 2.0}, {3, 1.0}}, {{3, 0.5}, {7, 0.25}}, {{9, 1.0}}}, 0);
  EXPECT_EQ(out, (Ranking{{3, 1.5}, {7, 1.5}, {9, 1.0}}));
  EXPECT_EQ(reciprocal_rank_fusion({{{4, -1.0}}}), (Ranking{{4, 1.0 / 61}}));
}

TEST(Fusion, NothingToFuse) {
  EXPECT_TRUE(reciprocal_rank_fusion({}).empty());
  EXPECT_TRUE(weighted_fusion({{}, {}}, {1, 1}).empty());
  EXPECT_EQ(weighted_fusion({{}, {{1, 5.0}, {2, 3.0}}}, {2, 3}), (Ranking{{1, 3.0}, {2, 0.0}}));
}

TEST(Fusion, EqualScoresSayNothing) {
  const Ranking equal = {{1, 0.1}, {2, 0.1}, {5, 0.1}};  // whose mean is not 0.1
  for (const auto norm : {Normalization::min_max, Normalization::z_score})
    EXPECT_EQ(weighted_fusion({equal}, {3}, norm), (Ranking{{1, 0.0}, {2, 0.0}, {5, 0.0}}));
  EXPECT_EQ(weighted_fusion({equal}, {10}, Normalization::none), (Ranking{{1, 1.0}, {2, 1.0}, {5, 1.0}}));
}

TEST(Fusion, TakesRankingsOnly) {
  const double nan = std::nan("");
  for (const Ranking& bad : {Ranking{{1, 1.0}, {2, 2.0}}, Ranking{{2, 1.0}, {1, 1.0}}, Ranking{{1, nan}},
                             Ranking{{1, 1.0}, {2, nan}}, Ranking{{-1, 1.0}}, Ranking{{1, 1.0}, {1, 1.0}}}) {
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "ranking 1 has id", reciprocal_rank_fusion({{{1, 1.0}}, bad}));
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "ranking 1 has id",
                         weighted_fusion({{{1, 1.0}}, bad}, {1, 1}, Normalization::none));
  }
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "id 3 at place 2 a second time",
                       reciprocal_rank_fusion({{{3, 2.0}}, {{3, 3.0}, {1, 2.0}, {3, 1.0}}}));
}

TEST(Fusion, NumbersThatDoNotFit) {
  const Ranking r = {{1, 1e308}, {2, 0.0}, {3, -1e308}};
  for (const double k : {-1.0, HUGE_VAL, std::nan("")})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "k is", reciprocal_rank_fusion({r}, k));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "1 weights for 2 rankings", weighted_fusion({r, r}, {1}));
  TESSERA_EXPECT_ERROR(Code::kNonFinite, "spread of ranking 0", weighted_fusion({r}, {1}, Normalization::min_max));
  TESSERA_EXPECT_ERROR(Code::kNonFinite, "spread of ranking 0", weighted_fusion({r}, {1}, Normalization::z_score));
  TESSERA_EXPECT_ERROR(Code::kNonFinite, "score of id 1", weighted_fusion({r}, {10}, Normalization::none));
  TESSERA_EXPECT_ERROR(Code::kNonFinite, "score of id 1", weighted_fusion({{{1, 1.0}}}, {std::nan("")}));
}

}  // namespace
