// Every row above a score, none twice, none lost in silence.
#include <tessera/ops/range_search.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <tessera/ops/gemm.hpp>
#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct RangeSearch : OpsTest {};
TESSERA_ON_EVERY_ISA(RangeSearch);

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

/// Room that starts as poison.
struct Room {
  std::vector<float> scores;
  std::vector<index_t> ids, offsets;
  Room(index_t batch, index_t capacity)
      : scores(static_cast<std::size_t>(capacity), __builtin_bit_cast(float, kPoison)),
        ids(scores.size(), -77),
        offsets(static_cast<std::size_t>(batch + 1), -77) {}
  ops::InRange out() {
    return {View<float, 1>(scores.data(), static_cast<index_t>(scores.size())),
            View<index_t, 1>(ids.data(), static_cast<index_t>(ids.size())),
            View<index_t, 1>(offsets.data(), static_cast<index_t>(offsets.size()))};
  }
  bool operator==(const Room& o) const {
    return ids == o.ids && offsets == o.offsets &&
           std::equal(scores.begin(), scores.end(), o.scores.begin(), o.scores.end(),
                      [](float x, float y) { return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y); });
  }
};

/// By sorting everything that score(b, r) has at `least` or more, where r may be found.
template <class Score, class Allowed>
Room expected(index_t batch, index_t n, float least, const Score& score, const Allowed& allowed) {
  Room room(batch, 0);
  room.offsets[0] = 0;
  for (index_t b = 0; b < batch; ++b) {
    std::vector<std::pair<float, index_t>> all;
    for (index_t r = 0; r < n; ++r)
      if (const float s = score(b, r); allowed(r) && s >= least) all.emplace_back(s == 0.f ? 0.f : s, r);
    std::sort(all.begin(), all.end(),
              [](const auto& x, const auto& y) { return x.first != y.first ? x.first > y.first : x.second < y.second; });
    for (const auto& [s, r] : all) room.scores.push_back(s), room.ids.push_back(r);
    room.offsets[static_cast<std::size_t>(b + 1)] = static_cast<index_t>(room.ids.size());
  }
  return room;
}
const auto kAll = [](index_t) { return true; };

/// search(context, out) finds `want`, on one thread and several, and says what it lacks where room is short.
template <class Search>
void expect_found(Context& ctx, Isa isa, const Room& want, const Search& search) {
  const auto batch = static_cast<index_t>(want.offsets.size()) - 1, all = static_cast<index_t>(want.ids.size());
  for (int threads = 1; threads <= 4; ++threads) {
    Context many(isa, threads);
    Context& on = threads == 1 ? ctx : many;
    poison_arena(on);
    Room got(batch, all);
    EXPECT_EQ(search(on, got.out()), all);
    EXPECT_TRUE(got == want) << threads << " threads, " << all;
    if (all == 0) continue;
    Room small(batch, all - 1);
    EXPECT_EQ(search(on, small.out()), all);
    EXPECT_EQ(small.offsets, want.offsets);
    EXPECT_TRUE(std::all_of(small.ids.begin(), small.ids.end(), [](index_t id) { return id == -1; }));
    EXPECT_TRUE(std::all_of(small.scores.begin(), small.scores.end(), [](float s) { return s == -kInf; }));
  }
}

TEST_P(RangeSearch, IsWhatLinearHasAboveTheLeastScore) {
  const index_t n = 700, e = 33, batch = 9;
  const Matrix q = filled(batch, e, {.seed = 1, .pad = 3});
  Matrix rows = filled(n, e, {.seed = 2, .pad = 1});
  for (index_t r = 0; r < n; r += 4)  // exact ties
    for (index_t c = 0; c < e; ++c) rows(r, c) = rows(n - 1 - r / 2, c);
  std::vector<std::uint64_t> words(11, 0x0123456789abcdefU);
  words[2] = 0;
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    const PackedWeight packed = packed_as(ctx, rows, type);
    Matrix scores = poisoned(batch, n);
    ops::linear(ctx, q.in(), packed, {}, scores.out());
    for (const float least : {-kInf, 0.f, 3.f, 9.f, kInf})
      for (const bool filtered : {false, true}) {
        ops::TopKOptions o{.least = least};
        if (filtered) o.allowed = View<const std::uint64_t, 1>(words.data(), 11);
        const Room want = expected(
            batch, n, least, [&](index_t b, index_t r) { return scores(b, r); },
            [&](index_t r) { return !filtered || (words[static_cast<std::size_t>(r / 64)] >> (r % 64) & 1); });
        expect_found(ctx, GetParam(), want,
                     [&](Context& on, const ops::InRange& out) { return ops::range_search(on, q.in(), packed, o, out); });
      }
  }
}
TEST_P(RangeSearch, CertifiedHasTheBitsOfF32) {
  const index_t n = 1500, e = 48, batch = 6;
  Matrix q = filled(batch, e, {.seed = 1}), rows = filled(n, e, {.seed = 2, .pad = 2});
  const Matrix bias = filled(1, n, {.seed = 3}), scale = filled(1, n, {.seed = 4, .shift = 1.f});
  for (index_t r = 0; r < n; r += 3)
    for (index_t c = 0; c < e; ++c) rows(r, c) = rows(r % 5, c) * (r % 2 ? 1.f : 1.0001f);  // what is near the floor
  for (index_t c = 0; c < e; ++c) q(2, c) = 0.f, q(3, c) *= 1e-30f, q(4, c) *= 1e35f;       // what no bound holds for
  q(5, 7) = kNan;
  const PackedWeight exact = ops::pack_weight(ctx, rows.in());
  Matrix scores = poisoned(batch, n);
  ops::linear(ctx, q.in(), exact, {.bias = bias.row(), .channel_scale = scale.row()}, scores.out());
  const float one = scores(0, 3), other = scores(1, 100);
  for (const DType as : {DType::bf16, DType::i8}) {
    const auto coarse = ops::CoarseRows::pack(ctx, rows.in(), as);
    for (const float least : {-kInf, 0.f, one, other, kInf}) {
      const ops::TopKOptions o{.scale = scale.row(), .bias = bias.row(), .least = least};
      const Room want = expected(
          batch, n, least, [&](index_t b, index_t r) { return scores(b, r); }, kAll);
      ops::CertifiedStats stats;
      expect_found(ctx, GetParam(), want, [&](Context& on, const ops::InRange& out) {
        return ops::certified_range_search(on, q.in(), rows.in(), coarse, o, out, &stats);
      });
      EXPECT_GE(stats.exhausted, 3);
      EXPECT_GE(stats.rescored, 3 * n);
    }
  }
  // Few are computed where few are near.
  const Matrix unit = filled(1, e, {.seed = 9});
  const auto coarse = ops::CoarseRows::pack(ctx, rows.in(), DType::i8);
  Room room(1, n);
  ops::CertifiedStats stats;
  const index_t found = ops::certified_range_search(ctx, unit.in(), rows.in(), coarse, {.least = 6.f}, room.out(), &stats);
  EXPECT_EQ(stats.exhausted, 0);
  EXPECT_GE(stats.rescored, found);
  EXPECT_LE(stats.rescored, found + n / 10);
}
TEST_P(RangeSearch, OfBits) {
  const index_t n = 333, e = 75, batch = 5;
  const Matrix q = filled(batch, e, {.seed = 1}), rows = filled(n, e, {.seed = 2});
  std::vector<std::uint8_t> bits(static_cast<std::size_t>(batch * ops::bit_bytes(e)));
  const View<std::uint8_t, 2> signs(bits.data(), batch, ops::bit_bytes(e));
  ops::pack_bits(ctx, q.in(), signs);
  const auto packed = ops::BitRows::pack(ctx, rows.in());
  const auto score = [&](index_t b, index_t r) {
    int differ = 0;
    for (index_t c = 0; c < e; ++c) differ += (q(b, c) > 0) != (rows(r, c) > 0);
    return static_cast<float>(-differ);
  };
  for (const float least : {-kInf, -40.f, -30.f, 0.f, 1.f})
    expect_found(ctx, GetParam(), expected(batch, n, least, score, kAll), [&](Context& on, const ops::InRange& out) {
      return ops::hamming_range_search(on, signs, packed, {.least = least}, out);
    });
}
TEST_P(RangeSearch, NoQueriesNoRoomAndNothingFound) {
  const Matrix none = filled(0, 8), q = filled(2, 8, {.seed = 1}), rows = filled(70, 8, {.seed = 2});
  const PackedWeight packed = ops::pack_weight(ctx, rows.in());
  Room empty(0, 3);
  EXPECT_EQ(ops::range_search(ctx, none.in(), packed, {}, empty.out()), 0);
  EXPECT_EQ(empty.offsets[0], 0);
  Room counted(2, 0);  // how many, without room for any
  EXPECT_EQ(ops::range_search(ctx, q.in(), packed, {}, counted.out()), 140);
  EXPECT_EQ(counted.offsets, (std::vector<index_t>{0, 70, 140}));
  Room nothing(2, 4);
  EXPECT_EQ(ops::range_search(ctx, q.in(), packed, {.least = 1e9f}, nothing.out()), 0);
  EXPECT_EQ(nothing.offsets, (std::vector<index_t>{0, 0, 0}));
}
TEST_P(RangeSearch, ScratchIsWhatItCarves) {
  const Matrix q = filled(11, 20, {.seed = 1}), rows = filled(500, 20, {.seed = 2});
  for (const int threads : {1, 3}) {
    Context many(GetParam(), threads);
    const PackedWeight packed = packed_as(many, rows, DType::i8);
    const auto coarse = ops::CoarseRows::pack(many, rows.in(), DType::i8);
    const auto exactly = [&](std::size_t bytes, const auto& search) {
      Context fresh(GetParam(), threads);
      fresh.arena().reserve(bytes + kAlignment);
      const ArenaScope scope(fresh.arena());
      (void)fresh.arena().carve<float>(1);  // it may not grow
      Room room(11, 5500);
      EXPECT_EQ(search(fresh, room.out()), 5500);
    };
    exactly(ops::range_scratch(many, 11, packed),
            [&](Context& on, const ops::InRange& out) { return ops::range_search(on, q.in(), packed, {}, out); });
    exactly(ops::certified_range_scratch(many, 11, coarse), [&](Context& on, const ops::InRange& out) {
      return ops::certified_range_search(on, q.in(), rows.in(), coarse, {}, out);
    });
  }
}
TEST_P(RangeSearch, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Matrix q = filled(3, 8), rows = filled(70, 8);
  const PackedWeight packed = ops::pack_weight(ctx, rows.in());
  Room got(3, 4), few(2, 4);
  const Room untouched = got;
  ops::InRange uneven = got.out();
  uneven.scores.extent[0] = 3;
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "offsets", ops::range_search(ctx, q.in(), packed, {}, few.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "scores", ops::range_search(ctx, q.in(), packed, {}, uneven));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels of the queries",
                       ops::range_search(ctx, filled(3, 7).in(), packed, {}, got.out()));
  EXPECT_TRUE(got == untouched);
}

}  // namespace
