#include <tessera/core/context.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <tessera/ops/detail/tables.hpp>
#include "support/errors.hpp"

namespace {

using namespace tessera;

// TESSERA_ISA while this lives. No other thread runs in these tests then.
class ForcedIsa {
 public:
  explicit ForcedIsa(const char* name) {
    if (const char* was = std::getenv("TESSERA_ISA")) before_ = was;
    ::setenv("TESSERA_ISA", name, 1);
  }
  ~ForcedIsa() { before_.empty() ? ::unsetenv("TESSERA_ISA") : ::setenv("TESSERA_ISA", before_.c_str(), 1); }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  std::string before_;
};

TEST(Isa, ForcedByTheEnvironmentIsTheOneThatRuns) {
  std::set<std::pair<const void*, const void*>> kernels;
  for (const Isa isa : available_isas()) {
    const ForcedIsa forced(isa_name(isa));
    Context ctx(1);
    EXPECT_EQ(ctx.isa(), isa);
    const auto& table = ops::detail::table<kernels::Int8GemmTable>(ctx);
    kernels.emplace(reinterpret_cast<const void*>(table.gemm),
                    reinterpret_cast<const void*>(ops::detail::table<kernels::FastBf16GemmTable>(ctx).gemm));
    Context two(2);
    EXPECT_EQ(&ops::detail::table<kernels::Int8GemmTable>(two.lane(1)), &table);  // lanes too
    EXPECT_EQ(Context(ContextOptions{.threads = 1, .fast = true}).isa(), isa);    // whatever is faster
  }
  EXPECT_EQ(kernels.size(), static_cast<std::size_t>(available_isas().count));  // each has code of its own
}
TEST(Isa, FastestIsTheDefaultAndAnEmptyVariableForcesNothing) {
  const IsaList list = available_isas();
  const ForcedIsa forced("");
  EXPECT_EQ(default_isa(), list.isa[list.count - 1]);
  EXPECT_EQ(Context(1).isa(), list.isa[list.count - 1]);
}
TEST(Isa, UnknownOrAbsentIsAnError) {
  for (const char* name : {"avx1024", "AVX2", " generic", "generic "}) {
    const ForcedIsa forced(name);
    TESSERA_EXPECT_ERROR(Code::kUnsupported, name, Context());
    TESSERA_EXPECT_ERROR(Code::kUnsupported, "generic", (void)default_isa());  // says what there is
  }
  const IsaList here = available_isas();
  const Isa absent = std::find(here.begin(), here.end(), Isa::neon) == here.end() ? Isa::neon : Isa::avx2;
  const ForcedIsa forced(isa_name(absent));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, isa_name(absent), Context());
  TESSERA_EXPECT_ERROR(Code::kUnsupported, isa_name(absent), Context(absent, 1));
  EXPECT_NO_THROW(Context(Isa(available_isas().isa[0]), 1));  // the argument wins over the variable
  EXPECT_STREQ(isa_name(static_cast<Isa>(77)), "unknown");
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "unknown", Context(static_cast<Isa>(77), 1));
}

TEST(Context, ThreadsAreWhatWasAskedFor) {
  EXPECT_GE(Context().threads(), 1);
  EXPECT_GE(Context(0).threads(), 1);
  for (const int n : {1, 2, 5}) EXPECT_EQ(Context(n).threads(), n);
  for (const int n : {-1, 1025, 1 << 30})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, std::to_string(n), Context(ContextOptions{.threads = n}));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "cuda", Context(ContextOptions{.device = Device::cuda}));
  EXPECT_EQ(Context(1).device(), Device::cpu);
}
TEST(Context, MovesWithItsThreads) {
  Context a(3);
  Context b(std::move(a));
  std::atomic<int> sum{0};
  b.parallel_for(10, [&](index_t i, int) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 45);
  EXPECT_EQ(b.threads(), 3);
}
TEST(Context, EveryIndexOnceAndALaneOneAtATime) {
  for (const int threads : {1, 2, 5}) {
    Context ctx(threads);
    for (const index_t n : {0, 1, 2, 4, 7, 1000}) {
      std::vector<std::atomic<int>> times(static_cast<std::size_t>(n)), inside(static_cast<std::size_t>(threads));
      std::atomic<bool> shared{false};
      ctx.parallel_for(n, [&](index_t i, int lane) {
        ASSERT_GE(lane, 0);
        ASSERT_LT(lane, threads);
        auto& here = inside[static_cast<std::size_t>(lane)];
        if (here.fetch_add(1) != 0) shared = true;
        ++times[static_cast<std::size_t>(i)];
        here.fetch_sub(1);
      });
      EXPECT_FALSE(shared);
      for (const auto& t : times) EXPECT_EQ(t, 1);
    }
    ctx.parallel_for(-3, [](index_t, int) { ADD_FAILURE() << "no index"; });
  }
}
TEST(Context, LanesAreContextsOfTheirOwn) {
  Context ctx(Isa(available_isas().isa[0]), 3);
  for (int i = 0; i < 3; ++i) {
    Context& lane = ctx.lane(i);
    EXPECT_EQ(lane.threads(), 1);
    EXPECT_EQ(lane.isa(), ctx.isa());
    EXPECT_EQ(&lane, &ctx.lane(i));  // kept
    EXPECT_NE(&lane.arena(), &ctx.arena());
  }
  ctx.parallel_for(30, [&](index_t i, int lane) {
    Context& own = ctx.lane(lane);
    own.arena().reserve(256);
    const ArenaScope scope(own.arena());
    own.arena().carve<index_t>(4)[0] = i;
    int runs = 0;
    own.parallel_for(3, [&](index_t, int) { ++runs; });
    EXPECT_EQ(runs, 3);
  });
  EXPECT_THROW(ctx.lane(3), std::exception);
  EXPECT_THROW(ctx.lane(-1), std::exception);
}
TEST(Context, UseInsideItsOwnTasksIsRefused) {
  for (const int threads : {1, 3}) {
    Context ctx(threads);
    std::atomic<int> refused{0};
    ctx.parallel_for(6, [&](index_t, int) {
      try {
        ctx.parallel_for(2, [](index_t, int) {});
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), Code::kBadArgument);
        EXPECT_NE(std::string(e.what()).find("lane"), std::string::npos);
        ++refused;
      }
    });
    EXPECT_EQ(refused, 6);
    int runs = 0;
    ctx.parallel_for(1, [&](index_t, int) { ++runs; });  // usable afterwards
    EXPECT_EQ(runs, 1);
  }
}
TEST(Context, ATasksExceptionArrivesAndEndsTheLoop) {
  // So many that the others cannot get through them while the thread that throws is off its core, as on a busy machine.
  constexpr int kTasks = 1'000'000'000;
  for (const int threads : {1, 2, 4}) {
    Context ctx(threads);
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> started{0};
      try {
        ctx.parallel_for(kTasks, [&](index_t i, int) {
          ++started;
          if (i == 3) throw Error(Code::kCancelled, "task 3");
        });
        ADD_FAILURE() << "nothing was thrown";
      } catch (const Error& e) {
        EXPECT_STREQ(e.what(), "task 3");
      }
      ASSERT_LT(started, kTasks);
      std::atomic<int> sum{0};
      ctx.parallel_for(50, [&](index_t i, int) { sum += static_cast<int>(i); });
      EXPECT_EQ(sum, 1225);
    }
    // All at once: one of them arrives.
    EXPECT_THROW(ctx.parallel_for(64, [](index_t i, int) { throw std::runtime_error(std::to_string(i)); }),
                 std::runtime_error);
  }
}

// Executors that a caller may bring.
void in_order(void* count, int n, void (*task)(void*, int), void* arg) {
  *static_cast<int*>(count) += n;
  for (int i = 0; i < n; ++i) task(arg, i);
}
void in_threads(void*, int n, void (*task)(void*, int), void* arg) {
  std::vector<std::thread> threads;
  for (int i = n - 1; i >= 0; --i) threads.emplace_back(task, arg, i);
  for (auto& t : threads) t.join();
}
void first_only(void*, int, void (*task)(void*, int), void* arg) { task(arg, 0); }
void none(void*, int, void (*)(void*, int), void*) {}
void throwing(void*, int, void (*)(void*, int), void*) { throw std::runtime_error("no threads today"); }
void throwing_late(void*, int n, void (*task)(void*, int), void* arg) {
  for (int i = 0; i < n; ++i) task(arg, i);
  throw std::runtime_error("late");
}

Context with(void (*run)(void*, int, void (*)(void*, int), void*), void* state = nullptr, int concurrency = 4) {
  return Context(ContextOptions{.executor = {.state = state, .parallel_for = run, .concurrency = concurrency}});
}

TEST(Executor, RunsEveryIndexOnce) {
  int count = 0;
  for (const auto& run : {in_order, in_threads, first_only}) {
    Context ctx = with(run, &count);
    EXPECT_EQ(ctx.threads(), 4);
    for (const index_t n : {1, 3, 100}) {
      std::vector<std::atomic<int>> times(static_cast<std::size_t>(n));
      ctx.parallel_for(n, [&](index_t i, int lane) {
        EXPECT_LT(lane, 4);
        ++times[static_cast<std::size_t>(i)];
      });
      for (const auto& t : times) EXPECT_EQ(t, 1);
    }
  }
  EXPECT_EQ(count, 3 + 4);  // a single task needs no executor
  EXPECT_EQ(Context(ContextOptions{.threads = 2, .executor = {&count, in_order, 8}}).threads(), 2);
  EXPECT_FALSE(Context(ContextOptions{.threads = 2, .executor = {&count, in_order, 8}}).has_own_threads());
  EXPECT_TRUE(Context(2).has_own_threads());
  EXPECT_FALSE(Context(1).has_own_threads());
  EXPECT_EQ(with(in_order, &count, 0).threads(), 1);
}
TEST(Executor, ThatThrowsIsHeardAndTheContextStaysUsable) {
  for (const auto& run : {throwing, throwing_late}) {
    Context ctx = with(run);
    for (int round = 0; round < 3; ++round) {
      EXPECT_THROW(ctx.parallel_for(9, [](index_t, int) {}), std::runtime_error);
      int runs = 0;
      ctx.parallel_for(1, [&](index_t, int) { ++runs; });
      EXPECT_EQ(runs, 1);
    }
  }
}
TEST(Executor, ThatRunsNothingIsAnErrorNotAResult) {
  Context ctx = with(none);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "executor", ctx.parallel_for(9, [](index_t, int) {}));
}
TEST(Executor, TaskExceptionsPassThroughIt) {
  int count = 0;
  for (const auto& run : {in_order, in_threads, first_only}) {
    Context ctx = with(run, &count);
    TESSERA_EXPECT_ERROR(Code::kCancelled, "task",
                         ctx.parallel_for(9, [](index_t, int) { throw Error(Code::kCancelled, "task"); }));
    EXPECT_NO_THROW(ctx.parallel_for(9, [](index_t, int) {}));
  }
}

}  // namespace
