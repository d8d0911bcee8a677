#include <tessera/core/fp_mode.hpp>

#include <gtest/gtest.h>

#include <vector>

#include <tessera/core/context.hpp>
#include "support/fp_state.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

// Through volatile memory: computed when it runs, in the mode of that moment.
thread_local volatile float g_a = 0, g_b = 0;
float sum(float a, float b) {
  g_a = a;
  g_b = b;
  return g_a + g_b;
}
float product(float a, float b) {
  g_a = a;
  g_b = b;
  return g_a * g_b;
}
bool rounds_to_nearest() { return sum(1.f, 1e-8f) == 1.f && sum(-1.f, 1e-8f) == -1.f; }
bool keeps_denormals() { return product(1e-20f, 1e-20f) > 0.f && product(1e-39f, 1.f) > 0.f; }

TEST(FpModeScope, FixesTheModeAndGivesTheCallersBack) {
  for (const CallerMode& m : kCallerModes) {
    const OtherFpMode other(m.bits);
    const FpState before = fp_state();
    EXPECT_FALSE(rounds_to_nearest() && keeps_denormals()) << m.name;  // the mode is really another
    set_fp_state(before);
    {
      const FpModeScope scope;
      EXPECT_TRUE(rounds_to_nearest()) << m.name;
      EXPECT_TRUE(keeps_denormals()) << m.name;
    }
    EXPECT_TRUE(fp_state() == before) << m.name;
  }
}
TEST(FpModeScope, LeavesNoFlagAndLosesNone) {
  for (const std::uint64_t flags : {std::uint64_t{0}, kInexactFlag}) {
    const OtherFpMode other(0);
    set_fp_state({kUsualMode, flags});
    {
      const FpModeScope scope;
      volatile float zero = 0.f;
      volatile float infinite = 1.f / zero, nothing = zero / zero;  // divide by zero, invalid
      EXPECT_NE(sum(infinite, nothing), 1.f);
      (void)sum(1.f, 1e-8f);  // inexact
    }
    EXPECT_EQ(fp_state().flags, flags);
  }
}
TEST(FpModeScope, Nests) {
  const OtherFpMode other(kRoundUp);
  const FpState before = fp_state();
  {
    const FpModeScope outer;
    {
      const FpModeScope inner;
      EXPECT_TRUE(rounds_to_nearest());
    }
    EXPECT_TRUE(rounds_to_nearest());
  }
  EXPECT_TRUE(fp_state() == before);
}
TEST(FpModeScope, EveryTaskOfAContextRunsInIt) {
  for (const int threads : {1, 4}) {
    Context ctx(threads);
    for (const CallerMode& m : kCallerModes) {
      const OtherFpMode other(m.bits);
      const FpState before = fp_state();
      std::vector<char> good(64);
      ctx.parallel_for(
          64, [&](index_t i, int) { good[static_cast<std::size_t>(i)] = rounds_to_nearest() && keeps_denormals(); });
      EXPECT_TRUE(fp_state() == before) << m.name << ", " << threads << " threads";
      for (const char g : good) EXPECT_TRUE(g) << m.name << ", " << threads << " threads";
      EXPECT_THROW(ctx.parallel_for(1, [](index_t, int) { throw 1; }), int);
      EXPECT_TRUE(fp_state() == before) << m.name << ", after an exception";
    }
  }
}

}  // namespace
