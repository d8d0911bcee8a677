#pragma once
#include <atomic>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <tessera/core/error.hpp>
#include <tessera/core/thread_pool.hpp>

namespace tessera {

struct ThreadPool::State {
  // A job is published by `open`; workers that enter are counted in `inside`, and the caller leaves only when it is
  // closed and nobody is inside. So a worker that sleeps through a short job costs nothing.
  std::atomic<std::uint32_t> generation{0};
  std::atomic<bool> open{false}, stop{false};
  alignas(64) std::atomic<int> inside{0};
  alignas(64) std::atomic<int> next{0};
  void (*fn)(void*, int) = nullptr;
  void* arg = nullptr;
  int lanes = 0;
  std::vector<std::thread> workers;

  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  void claim() noexcept {
    for (int lane; (lane = next.fetch_add(1)) < lanes;) fn(arg, lane);
  }
  void work() noexcept {
    for (std::uint32_t seen = 0;;) {
      constexpr int kSpins = 3000;  // some 50 us: longer than the gap between two operations of a model
      int spins = 0;
      while (generation.load() == seen) {
        if (++spins < kSpins)
          pause();
        else
          generation.wait(seen);
      }
      seen = generation.load();
      if (stop.load()) return;
      inside.fetch_add(1);
      if (open.load()) claim();
      if (inside.fetch_sub(1) == 1) inside.notify_all();
    }
  }
};

inline ThreadPool::ThreadPool(int threads) : threads_(threads < 1 ? 1 : threads) {
  if (threads_ == 1) return;
  state_ = new State;
  try {
    for (int i = 1; i < threads_; ++i) state_->workers.emplace_back([s = state_] { s->work(); });
  } catch (const std::system_error& e) {
    stop();
    throw Error(Code::kLimit, {"thread pool: cannot start a thread: ", e.what()});
  }
}

inline ThreadPool::~ThreadPool() { stop(); }

inline void ThreadPool::stop() noexcept {
  if (!state_) return;
  state_->stop = true;
  state_->generation.fetch_add(1);
  state_->generation.notify_all();
  for (std::thread& t : state_->workers) t.join();
  delete state_;
  state_ = nullptr;
}

inline void ThreadPool::run(int lanes, void (*fn)(void*, int), void* arg) noexcept {
  if (!state_ || lanes <= 1) {
    for (int lane = 0; lane < lanes; ++lane) fn(arg, lane);
    return;
  }
  State& s = *state_;
  s.fn = fn, s.arg = arg, s.lanes = lanes;
  s.next.store(0);
  s.open.store(true);
  s.generation.fetch_add(1);
  s.generation.notify_all();
  s.claim();
  s.open.store(false);
  for (int spins = 0, n; (n = s.inside.load()) != 0;) {
    if (++spins < 20000)
      State::pause();
    else
      s.inside.wait(n);
  }
}

}  // namespace tessera
