#pragma once
#if defined(__linux__)
#include <sched.h>
#endif

#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/core/fp_mode.hpp>
#include <tessera/core/thread_pool.hpp>

namespace tessera {

struct Context::State {
  Isa isa = Isa::generic;
  bool fast = false;
  int threads = 1;
  Executor executor;
  Arena arena;
  std::unique_ptr<ThreadPool> pool;
  std::vector<std::unique_ptr<Context>> lanes;
  bool busy = false;
};

namespace detail {
/// Processors that this process may run on (a container's share, a taskset), at least 1.
inline int usable_processors() noexcept {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : static_cast<int>(n);
}
}  // namespace detail

inline Context::Context(const ContextOptions& o) {
  if (o.device != Device::cpu)
    throw Error(Code::kUnsupported, "context: this build has no cuda; link tessera::cuda, or ask for the cpu");
  if (o.threads < 0 || o.threads > 1024)
    throw Error(Code::kBadArgument, {"context: threads = ", std::to_string(o.threads), ", expected 0 (all) to 1024"});
  auto state = std::make_unique<State>();
  state->isa = o.isa ? isa_from_name(isa_name(*o.isa)) : default_isa();  // refuses what this machine lacks
  state->fast = o.fast;
  state->executor = o.executor;
  state->threads = o.threads ? o.threads : o.executor.parallel_for ? o.executor.concurrency : detail::usable_processors();
  if (state->threads < 1) state->threads = 1;
  if (state->threads > 1 && !o.executor.parallel_for) state->pool = std::make_unique<ThreadPool>(state->threads);
  state_ = state.release();
}

inline Context::Context(Serial, const State& whole) : state_(new State) {
  state_->isa = whole.isa, state_->fast = whole.fast;
}
inline Context::~Context() { delete state_; }

inline Device Context::device() const noexcept { return Device::cpu; }
inline Isa Context::isa() const noexcept { return state_->isa; }
inline bool Context::fast() const noexcept { return state_->fast; }
inline int Context::threads() const noexcept { return state_->threads; }
inline bool Context::has_own_threads() const noexcept { return state_->pool != nullptr; }
inline Arena& Context::arena() noexcept { return state_->arena; }

inline Context& Context::lane(int i) {
  auto& lanes = state_->lanes;
  if (lanes.empty()) lanes.resize(static_cast<std::size_t>(state_->threads));
  auto& lane = lanes.at(static_cast<std::size_t>(i));
  if (!lane) lane.reset(new Context(Serial{}, *state_));
  return *lane;
}

inline void Context::parallel_for(index_t n, void (*task)(void*, index_t, int), void* arg) {
  if (n <= 0) return;
  State& s = *state_;
  if (s.busy) throw Error(Code::kBadArgument, "context: used inside its own parallel_for; use lane(i) there");
  struct Job {
    void (*task)(void*, index_t, int);
    void* arg;
    index_t n;
    std::atomic<index_t> next{0};
    std::atomic_flag failed;
    std::exception_ptr error;
    void run(int lane) noexcept {
      const FpModeScope mode;
      try {
        for (index_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) task(arg, i, lane);
      } catch (...) {
        next.store(n);  // the rest is not started
        if (!failed.test_and_set()) error = std::current_exception();
      }
    }
  } job{task, arg, n, {}, {}, {}};
  const int lanes = n < s.threads ? static_cast<int>(n) : s.threads;
  const auto run = [](void* j, int lane) { static_cast<Job*>(j)->run(lane); };
  s.busy = true;
  try {
    if (lanes == 1)
      job.run(0);
    else if (s.executor.parallel_for)
      s.executor.parallel_for(s.executor.state, lanes, run, &job);
    else
      s.pool->run(lanes, run, &job);
  } catch (...) {  // a caller's executor may throw
    s.busy = false;
    throw;
  }
  s.busy = false;
  if (job.error) std::rethrow_exception(job.error);
  if (job.next.load() < n) throw Error(Code::kBadArgument, "context: the executor returned without having run its tasks");
}

}  // namespace tessera
