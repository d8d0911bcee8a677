// The ring of stages, in every order in which a producer, copies and consumers can go on: no stage is overwritten while it
// is read, none is read before it is full, and nobody waits for ever.
#include <tessera/cuda/ring.cuh>

#include <array>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

namespace tessera::test {
namespace {

using namespace kernels::cuda;

constexpr int kMostStages = 5, kMostConsumers = 3, kMostTeams = 2;

/// Barriers as the PTX ISA has them: a wait names a parity only, so one that is two phases late sees no difference.
struct ModelBarriers {
  struct One {
    std::int8_t count = 0, pending = 0, bytes = 0, phase = 0;
  };
  std::array<One, 2 * kMostStages + kMostTeams> all{};

  void init(int i, int arrivals) { at(i).count = at(i).pending = static_cast<std::int8_t>(arrivals); }
  bool passed(int i, std::uint32_t parity) const {
    return static_cast<std::uint32_t>(all[static_cast<std::size_t>(i)].phase) != parity;
  }
  void wait(int i, std::uint32_t parity) const { EXPECT_TRUE(passed(i, parity)); }
  void arrive(int i) { change(i, 1, 0); }
  void arrive_expect(int i, int bytes) { change(i, 1, bytes); }
  void landed(int i, int bytes) { change(i, 0, -bytes); }

 private:
  One& at(int i) { return all[static_cast<std::size_t>(i)]; }
  void change(int i, int arrivals, int bytes) {
    One& b = at(i);
    EXPECT_GE(b.pending, arrivals);
    b.pending = static_cast<std::int8_t>(b.pending - arrivals);
    b.bytes = static_cast<std::int8_t>(b.bytes + bytes);
    if (b.pending == 0 && b.bytes == 0) b.pending = b.count, b.phase ^= 1;
  }
};

struct Setup {
  int consumers = 1, teams = 1, tiles = 1, parts = 1;
  int releases = 0;             ///< of a stage, 0: what is right
  bool producer_waits = false;  ///< for a first release that never comes
  bool skips = true, takes_turns = true;
};

/// Two copies fill a stage, each a half, in any order.
template <int kStages>
class Model {
 public:
  explicit Model(const Setup& setup) : setup_(setup) {}

  /// Empty, or what goes wrong in some order.
  std::string walk() {
    State first{};
    first.ring.init(setup_.releases != 0 ? setup_.releases : setup_.consumers);
    turns(first).init(setup_.consumers);
    first.producer = RingPosition<kStages>::producer();
    first.producer.parity ^= setup_.producer_waits ? 1 : 0;
    for (int c = 0; c < kMostConsumers * 2; ++c) {
      Consumer& consumer = first.consumers[static_cast<std::size_t>(c)];
      consumer.at = RingPosition<kStages>::consumer();
      if (c >= setup_.consumers * setup_.teams) continue;
      consumer.tile = static_cast<std::int8_t>(c / setup_.consumers);
      consumer.turn = Turns<kMostTeams, ModelBarriers&>::parity(consumer.tile);
      if (setup_.skips) consumer.at.skip(static_cast<std::uint32_t>(consumer.tile * setup_.parts));
    }
    for (auto& halves : first.holds) halves = {-1, -1};
    visit(first);
    return wrong_;
  }
  std::size_t states() const { return seen_.size(); }

 private:
  struct Consumer {
    RingPosition<kStages> at;
    std::uint32_t turn = 0;
    std::int8_t tile = 0, part = 0, reads = 0, has_turn = 0;
  };
  struct State {
    Ring<kStages, ModelBarriers> ring{};
    RingPosition<kStages> producer;
    int made = 0;                                              // items that the producer has begun
    std::array<std::array<std::int8_t, 2>, kStages> holds{};   // item of each half of a stage
    std::array<std::array<std::int8_t, 2>, kStages> flying{};  // item + 1 of a copy under way
    std::array<Consumer, std::size_t{2} * kMostConsumers> consumers{};
  };

  /// Those of two teams; with one, nobody asks.
  Turns<kMostTeams, ModelBarriers&> turns(State& s) const { return {s.ring.barriers, 2 * kStages}; }
  int consumers() const { return setup_.consumers * setup_.teams; }
  bool ended(const Consumer& c) const { return c.tile >= setup_.tiles; }
  static std::string key(const State& s) {
    std::string text;
    const auto put = [&](auto... v) { (text.push_back(static_cast<char>(v)), ...); };
    for (const auto& b : s.ring.barriers.all) put(b.pending, b.bytes, b.phase);
    put(s.producer.stage, s.producer.parity, s.made);
    for (int i = 0; i < kStages; ++i)
      for (std::size_t h = 0; h < 2; ++h)
        put(s.holds[static_cast<std::size_t>(i)][h], s.flying[static_cast<std::size_t>(i)][h]);
    for (const Consumer& c : s.consumers) put(c.at.stage, c.at.parity, c.turn, c.tile, c.part, c.reads, c.has_turn);
    return text;
  }

  void visit(const State& s) {
    if (!wrong_.empty() || !seen_.insert(key(s)).second) return;
    bool goes_on = false, all_ended = s.made == setup_.tiles * setup_.parts;
    if (!all_ended && s.ring.barriers.passed(s.ring.empty(s.producer), s.producer.parity)) {
      State next = s;
      const auto stage = static_cast<std::size_t>(s.producer.stage);
      for (const Consumer& c : s.consumers)
        if (c.reads != 0 && c.at.stage == s.producer.stage) wrong_ = "a stage is filled while it is read";
      if (next.flying[stage][0] != 0 || next.flying[stage][1] != 0) wrong_ = "a stage is filled while it is filled";
      next.ring.acquire(s.producer, 2);
      next.flying[stage] = {static_cast<std::int8_t>(s.made + 1), static_cast<std::int8_t>(s.made + 1)};
      ++next.made;
      next.producer.next();
      goes_on = true;
      visit(next);
    }
    for (std::size_t stage = 0; stage < kStages; ++stage)
      for (std::size_t half = 0; half < 2; ++half) {
        if (s.flying[stage][half] == 0) continue;
        State next = s;
        next.holds[stage][half] = static_cast<std::int8_t>(s.flying[stage][half] - 1);
        next.flying[stage][half] = 0;
        next.ring.barriers.landed(static_cast<int>(stage), 1);
        goes_on = true;
        visit(next);
      }
    for (std::size_t i = 0; i < static_cast<std::size_t>(consumers()); ++i) {
      const Consumer& c = s.consumers[i];
      if (ended(c)) continue;
      all_ended = false;
      State next = s;
      Consumer& after = next.consumers[i];
      const int team = static_cast<int>(i) / setup_.consumers;
      const bool asks = setup_.teams > 1 && setup_.takes_turns;
      if (asks && c.has_turn == 0) {
        if (!s.ring.barriers.passed(2 * kStages + team, c.turn)) continue;
        turns(next).wait(team, after.turn);
        after.has_turn = 1;
      } else if (c.reads == 0) {
        if (!s.ring.barriers.passed(s.ring.full(c.at), c.at.parity)) continue;
        next.ring.wait(c.at);
        after.reads = 1;
        if (asks && c.part + 1 == setup_.parts) turns(next).pass(team);
      } else {
        for (const std::int8_t item : s.holds[c.at.stage])
          if (item != c.tile * setup_.parts + c.part) wrong_ = "a consumer reads another item than its next one";
        next.ring.release(c.at);
        after.reads = 0;
        after.at.next();
        if (++after.part == setup_.parts) {
          after.part = 0, after.has_turn = 0;
          after.tile = static_cast<std::int8_t>(after.tile + setup_.teams);
          after.at.skip(static_cast<std::uint32_t>((setup_.teams - 1) * setup_.parts));
        }
      }
      goes_on = true;
      visit(next);
    }
    if (!goes_on && !all_ended) wrong_ = "nobody can go on";
  }

  Setup setup_;
  std::unordered_set<std::string> seen_;
  std::string wrong_;
};

template <int kStages>
void expect_right(const Setup& s) {
  Model<kStages> model(s);
  EXPECT_EQ(model.walk(), "") << kStages << " stages, " << s.teams << " teams of " << s.consumers << ", " << s.tiles << " x "
                              << s.parts;
  EXPECT_GT(model.states(), static_cast<std::size_t>(s.tiles * s.parts * 2));
}
template <int... kStages>
void each(const Setup& s, std::integer_sequence<int, kStages...>) {
  (expect_right<kStages + 1>(s), ...);
}

TEST(Ring, AllOrders) {
  for (int consumers = 1; consumers <= 2; ++consumers)
    each({.consumers = consumers, .tiles = 1, .parts = 7}, std::make_integer_sequence<int, 3>());
  each({.consumers = 1, .tiles = 2, .parts = 6}, std::make_integer_sequence<int, 5>());
  expect_right<2>({.consumers = 3, .tiles = 1, .parts = 5});
}
TEST(Ring, TeamsThatTakeTurns) {
  for (const int parts : {1, 2, 3})
    for (const int tiles : {1, 2, 5})
      each({.consumers = 1, .teams = 2, .tiles = tiles, .parts = parts}, std::make_integer_sequence<int, 3>());
  expect_right<2>({.consumers = 2, .teams = 2, .tiles = 3, .parts = 2});
}
// What the walk is good for: each of these goes wrong in some order.
TEST(Ring, MistakesShow) {
  EXPECT_NE(Model<2>({.consumers = 2, .parts = 5, .releases = 1}).walk(), "");
  EXPECT_NE(Model<2>({.consumers = 2, .parts = 5, .releases = 3}).walk(), "");
  EXPECT_NE(Model<2>({.parts = 3, .producer_waits = true}).walk(), "");
  EXPECT_NE(Model<2>({.teams = 2, .tiles = 2, .parts = 3, .skips = false}).walk(), "");
  EXPECT_NE(Model<2>({.teams = 2, .tiles = 2, .parts = 2, .takes_turns = false}).walk(), "");
}
TEST(Ring, SkippingIsGoingOn) {
  for (std::uint32_t start = 0; start < 14; ++start)
    for (std::uint32_t count = 0; count < 40; ++count) {
      RingPosition<7> one{start % 7, start / 7}, other = one;
      one.skip(count);
      for (std::uint32_t i = 0; i < count; ++i) other.next();
      EXPECT_TRUE(one.stage == other.stage && one.parity == other.parity) << start << " + " << count;
    }
}

}  // namespace
}  // namespace tessera::test
