#include <tessera/ops/embed.hpp>

#include <functional>

#include "reference/pool.hpp"
#include "support/backends.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Embed : OpsTest {};
TESSERA_ON_EVERY_ISA(Embed);

using Indices = std::vector<std::int32_t>;
View<const std::int32_t, 1> view(const Indices& v) {
  return View<const std::int32_t, 1>(v.data(), static_cast<index_t>(v.size()));
}

struct Problem {
  Matrix word, position, segment;
  Indices ids, positions, segments;
  Problem(index_t tokens, index_t c, std::uint64_t seed)
      : word(filled(19, c, {.seed = seed})),
        position(filled(70, c, {.seed = seed + 1})),
        segment(filled(3, c, {.seed = seed + 2})) {
    Random random(seed + 3);
    for (index_t t = 0; t < tokens; ++t) {
      ids.push_back(static_cast<std::int32_t>(random.in(0, 18)));
      positions.push_back(static_cast<std::int32_t>(random.in(0, 69)));
      segments.push_back(static_cast<std::int32_t>(random.in(0, 2)));
    }
  }
};

// Bits of `parts`: a position table, a segment table, given segments.
Matrix run(Context& ctx, const Problem& p, int parts) {
  Matrix out = poisoned(static_cast<index_t>(p.ids.size()), p.word.columns, 3);
  ops::EmbeddingTables tables{p.word.in()};
  if (parts & 1) tables.position = p.position.in();
  if (parts & 2) tables.segment = p.segment.in();
  ops::embed(ctx, tables, view(p.ids), parts & 1 ? view(p.positions) : View<const std::int32_t, 1>(),
             parts & 4 ? view(p.segments) : View<const std::int32_t, 1>(), out.out());
  return out;
}

TEST_P(Embed, MatchesReferenceWithAndWithoutEachTable) {
  for (const index_t c : {1, 15, 16, 17, 33, 100})
    for (const index_t t : {0, 1, 5, 64, 130})
      for (int parts = 0; parts < 8; ++parts) {
        const Problem p(t, c, static_cast<std::uint64_t>(10 * c + t));
        const View<const float, 2> none;
        const auto expected = ref::embed(p.word.in(), parts & 1 ? p.position.in() : none, parts & 2 ? p.segment.in() : none,
                                         p.ids, p.positions, parts & 4 ? p.segments : Indices{});
        EXPECT_TRUE(close("embed", run(ctx, p, parts), expected)) << t << "x" << c << " parts " << parts;
      }
}
TEST_P(Embed, SumsWordSegmentPositionInThatOrder) {  // BERT's: another order gives other bits
  const Problem p(64, 40, 4);
  const Matrix out = run(ctx, p, 7);
  for (index_t t = 0; t < 64; ++t)
    for (index_t c = 0; c < 40; ++c) {
      const auto at = static_cast<std::size_t>(t);
      const float two = p.word(p.ids[at], c) + p.segment(p.segments[at], c);
      EXPECT_EQ(out(t, c), two + p.position(p.positions[at], c));
    }
}
TEST_P(Embed, ScalesTheSum) {
  const Problem p(40, 33, 8);
  Matrix out = poisoned(40, 33, 3);
  ops::embed(ctx, {p.word.in(), p.position.in(), p.segment.in(), 5.5f}, view(p.ids), view(p.positions), view(p.segments),
             out.out());
  const Matrix sum = run(ctx, p, 7);
  for (index_t t = 0; t < 40; ++t)
    for (index_t c = 0; c < 33; ++c) EXPECT_EQ(out(t, c), 5.5f * sum(t, c));
}
TEST_P(Embed, ThreadsChangeNoBit) {
  const Problem p(333, 21, 6);
  const auto one = run(ctx, p, 7).bits();
  with_threads([&](Context& many) { EXPECT_EQ(one, run(many, p, 7).bits()); });
}
TEST_P(Embed, RefusesWhatDoesNotFitAndLeavesTheOutput) {
  Problem p(6, 8, 2);
  Matrix out = filled(6, 8, {.seed = 9});
  const auto before = out.bits();
  struct Call {
    ops::EmbeddingTables tables;
    Indices ids, positions, segments;
    View<float, 2> out;
  };
  const auto refused = [&](Code code, const char* word, const std::function<void(Call&)>& change) {
    Call c{{p.word.in(), p.position.in(), p.segment.in()}, p.ids, p.positions, p.segments, out.out()};
    change(c);
    TESSERA_EXPECT_ERROR(code, word, ops::embed(ctx, c.tables, view(c.ids), view(c.positions), view(c.segments), c.out));
  };
  refused(Code::kBadArgument, "ids[3] is 19", [](Call& c) { c.ids[3] = 19; });
  refused(Code::kBadArgument, "ids[0] is -1", [](Call& c) { c.ids[0] = -1; });
  refused(Code::kBadArgument, "positions[5] is 70", [](Call& c) { c.positions[5] = 70; });
  refused(Code::kBadArgument, "positions[5] is -2", [](Call& c) { c.positions[5] = -2; });
  refused(Code::kBadArgument, "segments[1] is 3", [](Call& c) { c.segments[1] = 3; });
  refused(Code::kBadArgument, "word table", [](Call& c) { c.tables.word = View<const float, 2>(nullptr, 19, 8); });
  refused(Code::kShapeMismatch, "positions", [](Call& c) { c.positions.pop_back(); });
  refused(Code::kShapeMismatch, "segments", [](Call& c) { c.segments.push_back(0); });
  refused(Code::kShapeMismatch, "rows of out", [](Call& c) { c.out.extent[0] = 5; });
  refused(Code::kShapeMismatch, "channels of out", [](Call& c) { c.out.extent[1] = 7; });
  refused(Code::kShapeMismatch, "channels of a table", [](Call& c) { c.tables.position.extent[1] = 7; });
  refused(Code::kBadStride, "packed", [](Call& c) { c.tables.segment.stride[0] = 9; });
  refused(Code::kBadStride, "contiguous", [](Call& c) { c.out.stride[1] = 2; });
  refused(Code::kBadArgument, "cuda", [](Call& c) { c.out.space = Space::cuda; });
  const Indices spread(12);
  auto strided = view(spread);
  strided.extent[0] = 6, strided.stride[0] = 2;
  TESSERA_EXPECT_ERROR(Code::kBadStride, "indices", ops::embed(ctx, {p.word.in()}, strided, {}, {}, out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "positions",  // a position table wants positions
                       ops::embed(ctx, {p.word.in(), p.position.in()}, view(p.ids), {}, {}, out.out()));
  EXPECT_EQ(out.bits(), before);
}

}  // namespace
