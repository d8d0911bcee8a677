// A small pool: the caller works too, idle workers spin briefly and then sleep.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera {

/// Runs a function once per lane, in parallel. No global state, no OpenMP.
class ThreadPool {
 public:
  /// `threads` lanes in all: threads - 1 workers are started, the caller is the last. \throws Error kLimit.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }
  /// fn(arg, lane) for each lane 0 .. lanes - 1, some of them perhaps one after the other on one thread; returns when all
  /// are done. `fn` must not throw. One caller at a time.
  void run(int lanes, void (*fn)(void* arg, int lane), void* arg) noexcept;

 private:
  struct State;
  void stop() noexcept;
  State* state_ = nullptr;
  int threads_ = 1;
};

}  // namespace tessera

#ifndef TESSERA_COMPILED
#include <tessera/core/thread_pool-inl.hpp>
#endif
