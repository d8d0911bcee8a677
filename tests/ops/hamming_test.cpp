#include <tessera/ops/hamming.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>

#include <tessera/io.hpp>
#include "support/backends.hpp"
#include "support/found.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Hamming : OpsTest {};
TESSERA_ON_EVERY_ISA_OF(Hamming, kernels::HammingTable);

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Rows of e bits with bytes of anything between them, as are the bits behind the last one.
struct Bits {
  index_t n, e, ld;
  std::vector<std::uint8_t> memory;

  Bits(index_t rows, index_t bits, std::uint64_t seed)
      : n(rows), e(bits), ld(ops::bit_bytes(bits) + 3), memory(static_cast<std::size_t>(rows * ld)) {
    Random random(seed);
    for (std::uint8_t& byte : memory) byte = static_cast<std::uint8_t>(random.in(0, 255));
  }
  std::uint8_t& byte(index_t r, index_t j) { return memory[static_cast<std::size_t>(r * ld + j)]; }
  bool bit(index_t r, index_t i) const { return memory[static_cast<std::size_t>(r * ld + i / 8)] >> (7 - i % 8) & 1; }
  View<const std::uint8_t, 2> in() const {
    View<const std::uint8_t, 2> v(memory.data(), n, ops::bit_bytes(e));
    v.stride[0] = ld;
    return v;
  }
};
index_t distance(const Bits& a, index_t i, const Bits& b, index_t j) {
  index_t differ = 0;
  for (index_t at = 0; at < a.e; ++at) differ += a.bit(i, at) != b.bit(j, at);
  return differ;
}
const auto kAll = [](index_t) { return true; };

/// By sorting everything that is allowed and no further away than `most`.
template <class Allowed>
Found expected(const Bits& q, const Bits& rows, index_t k, const Allowed& allowed, index_t most = 1 << 30) {
  Found f(q.n, k);
  for (index_t b = 0; b < q.n; ++b) {
    std::vector<std::pair<index_t, index_t>> all;
    for (index_t r = 0; r < rows.n; ++r)
      if (const index_t d = allowed(r) ? distance(q, b, rows, r) : most + 1; d <= most) all.emplace_back(d, r);
    std::sort(all.begin(), all.end());
    auto o = f.out();
    o.counts(b) = std::min(k, static_cast<index_t>(all.size()));
    for (index_t i = 0; i < k; ++i) {
      const bool there = i < o.counts(b);
      o.scores(b, i) = there ? static_cast<float>(-all[static_cast<std::size_t>(i)].first) : -kInf;
      o.ids(b, i) = there ? all[static_cast<std::size_t>(i)].second : -1;
    }
  }
  return f;
}
Found search(Context& ctx, View<const std::uint8_t, 2> q, const ops::BitRows& rows, index_t k,
             const ops::HammingOptions& o = {}) {
  poison_arena(ctx);
  Found f(q.extent[0], k);
  ops::hamming_top_k(ctx, q, rows, o, f.out());
  return f;
}

TEST_P(Hamming, IsTheSortedCount) {
  struct Shape {
    index_t batch, n, e, k;
  };
  for (const Shape& s : {Shape{1, 1, 1, 1},
                         {2, 0, 5, 3},
                         {1, 63, 5, 10},
                         {2, 64, 16, 64},
                         {3, 65, 17, 3},
                         {7, 200, 33, 200},
                         {6, 700, 8, 1},
                         {13, 129, 247, 500},
                         {17, 300, 248, 9},
                         {9, 300, 249, 65},
                         {31, 130, 496, 64},
                         {5, 3000, 12, 40},
                         {4, 200, 497, 7},
                         {16, 100, 1030, 4}}) {
    const Bits q(s.batch, s.e, 1);
    Bits rows(s.n, s.e, 2);
    for (index_t r = 0; r < s.n; r += 4)  // a quarter are copies of others
      for (index_t j = 0; j < ops::bit_bytes(s.e); ++j) rows.byte(r, j) = rows.byte(s.n - 1 - r / 2, j);
    const Found want = expected(q, rows, s.k, kAll);
    const ops::BitRows packed = ops::BitRows::pack(ctx, rows.in(), s.e);
    const auto check = [&](Context& context) {
      EXPECT_TRUE(search(context, q.in(), packed, s.k) == want) << s.batch << " " << s.n << " " << s.e << " " << s.k;
    };
    check(ctx);
    with_threads(check);
  }
}
TEST_P(Hamming, EveryLengthOfRows) {
  for (index_t e = 1; e <= 1030; e += e < 80 ? 1 : 7) {
    const Bits q(3, e, static_cast<std::uint64_t>(e)), rows(70, e, 7);
    EXPECT_TRUE(search(ctx, q.in(), ops::BitRows::pack(ctx, rows.in(), e), 70) == expected(q, rows, 70, kAll)) << e;
  }
}
// All bits differ, and none: the sums of 8 and of 16 bits are as full as they get.
TEST_P(Hamming, TheLongestRows) {
  for (const index_t e : {index_t{32768}, index_t{65527}, index_t{65528}}) {
    Bits q(2, e, 1), rows(66, e, 2);
    for (index_t j = 0; j < ops::bit_bytes(e); ++j) {
      q.byte(0, j) = 0, q.byte(1, j) = 0xff;
      for (index_t r = 0; r < rows.n; ++r) rows.byte(r, j) = r == 65 ? 0 : r % 2 ? 0xff : 0;
      rows.byte(65, 0) = 0x80;
    }
    const Found got = search(ctx, q.in(), ops::BitRows::pack(ctx, rows.in(), e), 66);
    EXPECT_TRUE(got == expected(q, rows, 66, kAll)) << e;
    EXPECT_EQ(got.scores[65], -static_cast<float>(e)) << e;
  }
}
TEST_P(Hamming, ManyThreadsManyRowsAndQueriesAlone) {
  const index_t n = 20000, e = 50, k = 30;
  const Bits q(40, e, 3), rows(n, e, 4);
  const ops::BitRows packed = ops::BitRows::pack(ctx, rows.in(), e);
  const Found all = search(ctx, q.in(), packed, k);
  EXPECT_TRUE(all == expected(q, rows, k, kAll));
  with_threads([&](Context& many) {
    for (int round = 0; round < 3; ++round) EXPECT_TRUE(search(many, q.in(), packed, k) == all);
  });
  for (const index_t b : {index_t{0}, index_t{17}, index_t{39}}) {
    Found alone = search(ctx, q.in().slice(b, b + 1), packed, k), together = all;
    for (index_t i = 0; i < k; ++i) {
      EXPECT_EQ(alone.out().ids(0, i), together.out().ids(b, i));
      EXPECT_EQ(alone.out().scores(0, i), together.out().scores(b, i));
    }
  }
}
TEST_P(Hamming, OfEqualRowsTheFirstOnes) {
  const Bits q(3, 100, 1);
  Bits rows(5000, 100, 2);
  for (index_t r = 1; r < rows.n; ++r)
    for (index_t j = 0; j < 13; ++j) rows.byte(r, j) = rows.byte(0, j);
  const ops::BitRows packed = ops::BitRows::pack(ctx, rows.in(), 100);
  for (const index_t k : {1, 63, 64, 65, 1000}) {
    const auto check = [&](Context& context) {
      Found got = search(context, q.in(), packed, k);
      for (index_t b = 0; b < 3; ++b)
        for (index_t i = 0; i < k; ++i) EXPECT_EQ(got.out().ids(b, i), i);
    };
    check(ctx);
    with_threads(check);
  }
}
TEST_P(Hamming, FiltersAndFloors) {
  const index_t n = 333, e = 40, k = 12;
  const Bits q(9, e, 1), rows(n, e, 2);
  const ops::BitRows packed = ops::BitRows::pack(ctx, rows.in(), e);
  std::vector<std::uint64_t> words(6, 0);  // of every third row, and of no row of two whole words
  const auto some = [](index_t r) { return r % 3 == 0 && r / 64 != 1 && r / 64 != 3; };
  for (index_t r = 0; r < n; ++r)
    if (some(r)) words[static_cast<std::size_t>(r / 64)] |= std::uint64_t{1} << (r % 64);
  words.back() |= ~std::uint64_t{0} << (n % 64);  // bits behind the last row mean nothing
  struct Floor {
    float least;
    index_t most;
  };
  for (const Floor& floor : {Floor{-kInf, e},
                             {-65535.f, e},
                             {-1e9f, e},
                             {-16.f, 16},
                             {-15.5f, 15},
                             {-0.f, 0},
                             {0.f, 0},
                             {0.5f, -1},
                             {kInf, -1},
                             {std::numeric_limits<float>::quiet_NaN(), -1}})
    for (const bool filter : {false, true}) {
      ops::HammingOptions o{.least = floor.least};
      if (filter) o.allowed = View<const std::uint64_t, 1>(words.data(), 6);
      const Found want = expected(
          q, rows, k, [&](index_t r) { return !filter || some(r); }, floor.most);
      const auto check = [&](Context& context) {
        EXPECT_TRUE(search(context, q.in(), packed, k, o) == want) << floor.least << " " << filter;
      };
      check(ctx);
      with_threads(check);
    }
}
// numpy's bits, sentence-transformers' and faiss' distances: tests/goldens/make_bits.py.
TEST_P(Hamming, BitsAreNumpysAndDistancesFaiss) {
  const io::SafeTensors golden = io::SafeTensors::open(TESSERA_GOLDENS "/bits.safetensors");
  for (int n = 0; n < 5; ++n) {
    const std::string number = std::to_string(n);
    const auto x = golden.at("x." + number).as<float, 2>();
    const auto want = golden.at("packed." + number).as<std::uint8_t, 2>();
    const ops::BitRows packed = ops::BitRows::pack(ctx, x);
    EXPECT_EQ(packed.panels.n(), x.extent[0]);
    EXPECT_EQ(packed.panels.k(), x.extent[1]);
    for (const bool through_panels : {false, true}) {
      const index_t bytes = want.extent[1], ld = bytes + 1;
      std::vector<std::uint8_t> out(static_cast<std::size_t>(x.extent[0] * ld), 0xa5);
      View<std::uint8_t, 2> to(out.data(), x.extent[0], bytes);
      to.stride[0] = ld;
      through_panels ? packed.unpack(ctx, to) : ops::pack_bits(ctx, x, to);
      for (index_t r = 0; r < x.extent[0]; ++r) {
        for (index_t j = 0; j < bytes; ++j) EXPECT_EQ(to(r, j), want(r, j)) << number << " " << r << " " << j;
        EXPECT_EQ(out[static_cast<std::size_t>(r * ld + bytes)], 0xa5);
      }
    }
    if (x.extent[1] % 8 == 0) {
      const auto theirs = golden.at("ubinary." + number).as<std::uint8_t, 2>();
      EXPECT_TRUE(std::equal(want.data, want.data + want.size(), theirs.data, theirs.data + theirs.size()));
    }
  }
  const auto rows = golden.at("rows").as<std::uint8_t, 2>(), q = golden.at("queries").as<std::uint8_t, 2>();
  const auto distances = golden.at("distances").as<std::int32_t, 2>();
  Found got = search(ctx, q, ops::BitRows::pack(ctx, rows, 96), distances.extent[1]);
  for (index_t b = 0; b < q.extent[0]; ++b)
    for (index_t i = 0; i < distances.extent[1]; ++i)
      EXPECT_EQ(got.out().scores(b, i), -static_cast<float>(distances(b, i)));
}
TEST_P(Hamming, PanelsAreTheSameEverywhereAndMayBeBorrowed) {
  const Bits q(4, 90, 1), rows(150, 90, 2);
  const ops::BitRows here = ops::BitRows::pack(ctx, rows.in(), 90);
  Context generic(Isa::generic, 3);
  const ops::BitRows there = ops::BitRows::pack(generic, rows.in(), 90);
  const auto bytes =
      std::make_shared<std::vector<std::byte>>(there.panels.data(), there.panels.data() + there.panels.bytes());
  EXPECT_TRUE(std::equal(bytes->begin(), bytes->end(), here.panels.data(), here.panels.data() + here.panels.bytes()));
  const ops::BitRows borrowed = ops::BitRows::borrow(150, 90, *bytes, bytes);
  EXPECT_TRUE(search(ctx, q.in(), borrowed, 20) == expected(q, rows, 20, kAll));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bytes of the panels", ops::BitRows::borrow(129, 97, *bytes, bytes));
}
TEST_P(Hamming, ScratchIsWhatItCarves) {
  const Bits q(11, 100, 1), rows(500, 100, 2);
  for (const int threads : {1, 3}) {
    Context many(GetParam(), threads);
    const ops::BitRows packed = ops::BitRows::pack(many, rows.in(), 100);
    Found got(11, 5);
    many.arena().reserve(ops::hamming_scratch(many, 11, 5, packed) + kAlignment);
    const ArenaScope scope(many.arena());
    (void)many.arena().carve<float>(1);  // it may not grow
    ops::hamming_top_k(many, q.in(), packed, {}, got.out());
    EXPECT_EQ(got.counts[10], 5);
  }
}
TEST_P(Hamming, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  const Bits q(3, 80, 1), narrow(3, 72, 1), rows(70, 80, 2);
  const ops::BitRows packed = ops::BitRows::pack(ctx, rows.in(), 80);
  Found got(3, 4);
  const Found untouched = got;
  const std::uint64_t word = 1;
  const auto top_k = [&](View<const std::uint8_t, 2> queries, const ops::BitRows& of, const ops::HammingOptions& o,
                         const ops::TopK& out) { ops::hamming_top_k(ctx, queries, of, o, out); };
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bytes of a query", top_k(narrow.in(), packed, {}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "words of allowed",
                       top_k(q.in(), packed, {.allowed = View<const std::uint64_t, 1>(&word, 1)}, got.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows of ids", top_k(q.in().slice(0, 2), packed, {}, got.out()));
  ops::TopK none = got.out();
  none.ids.extent[1] = none.scores.extent[1] = 0;
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "k must be positive", top_k(q.in(), packed, {}, none));
  View<const std::uint8_t, 2> gaps(q.memory.data(), 3, 10);
  gaps.stride[1] = 2;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "contiguous", top_k(gaps, packed, {}, got.out()));
  ops::BitRows floats;
  floats.panels = packed_as(ctx, filled(70, 80), DType::f32);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "BitRows::pack", top_k(q.in(), floats, {}, got.out()));
  const Matrix ones = filled(3, 80);
  ops::TopK out = got.out();
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "f32, bf16 or int8", ops::top_k(ctx, ones.in(), packed.panels, {}, out));
  EXPECT_TRUE(got == untouched);

  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bytes of a row", ops::BitRows::pack(ctx, rows.in(), 81));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bytes of a row", ops::BitRows::pack(ctx, rows.in(), -80));
  const View<const float, 2> nothing(nullptr, 0, 0), long_ones(nullptr, 0, 65529), many(nullptr, index_t{1} << 32, 1);
  for (const auto& x : {nothing, long_ones, many}) TESSERA_EXPECT_ERROR(Code::kLimit, "BitRows", ops::BitRows::pack(ctx, x));
  std::vector<std::uint8_t> bytes(11 * 3);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bytes of a row",
                       ops::pack_bits(ctx, ones.in(), View<std::uint8_t, 2>(bytes.data(), 3, 11)));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rows", packed.unpack(ctx, View<std::uint8_t, 2>(bytes.data(), 3, 10)));
}

}  // namespace
