#include <tessera/core/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace {

using namespace tessera;

struct Count {
  std::vector<std::atomic<int>> times;
  long plain = 0;  // written by lane 0 only: the thread sanitizer sees a job that runs into the next
  explicit Count(std::size_t n) : times(n) {}
  static void run(void* self, int lane) {
    auto& c = *static_cast<Count*>(self);
    ++c.times[static_cast<std::size_t>(lane)];
    if (lane == 0) ++c.plain;
  }
};

TEST(ThreadPool, EveryLaneOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int lanes : {0, 1, 2, 3, 8, 40}) {  // fewer and more lanes than threads
      Count c(40);
      pool.run(lanes, Count::run, &c);
      for (int i = 0; i < 40; ++i)
        EXPECT_EQ(c.times[static_cast<std::size_t>(i)], i < lanes ? 1 : 0) << threads << " threads, " << lanes << " lanes";
    }
  }
  EXPECT_EQ(ThreadPool(0).threads(), 1);
  EXPECT_EQ(ThreadPool(-5).threads(), 1);
}
TEST(ThreadPool, ManyShortJobs) {
  for (const int threads : {2, 4}) {
    ThreadPool pool(threads);
    Count c(6);
    for (int job = 0; job < 20000; ++job) pool.run(2 + job % 5, Count::run, &c);
    EXPECT_EQ(c.plain, 20000);
    EXPECT_EQ(c.times[1], 20000);
    EXPECT_EQ(c.times[5], 4000);
  }
}
TEST(ThreadPool, WakesAfterSleeping) {
  ThreadPool pool(3);
  Count c(3);
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than idle workers spin
    pool.run(3, Count::run, &c);
  }
  for (const auto& t : c.times) EXPECT_EQ(t, 5);
}
TEST(ThreadPool, LanesRunAtOnce) {
  // Each lane waits for the others: one thread alone would never come back.
  ThreadPool pool(3);
  std::atomic<int> here{0};
  pool.run(
      3,
      [](void* n, int) {
        auto& arrived = *static_cast<std::atomic<int>*>(n);
        ++arrived;
        while (arrived.load() < 3) std::this_thread::yield();
      },
      &here);
  EXPECT_EQ(here, 3);
}
TEST(ThreadPool, WorkOfWorkersIsSeenByTheCaller) {
  ThreadPool pool(4);
  std::vector<int> plain(64);
  for (int round = 1; round < 300; ++round) {
    pool.run(
        64, [](void* v, int lane) { ++(*static_cast<std::vector<int>*>(v))[static_cast<std::size_t>(lane)]; }, &plain);
    for (const int n : plain) ASSERT_EQ(n, round);
  }
}
TEST(ThreadPool, StartsAndStopsOften) {
  for (int i = 0; i < 50; ++i) {
    const auto pool = std::make_unique<ThreadPool>(4);
    Count c(4);
    if (i % 2) pool->run(4, Count::run, &c);  // a pool that never worked stops too
  }
}

}  // namespace
