// What the machine can do, measured in this process, on the same instruction set and threads as the row beside it.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <utility>

#include <tessera/core/buffer.hpp>
#include <tessera/ops/detail/tables.hpp>

namespace tessera::bench {

/// FLOP/s of independent multiply-add chains on all threads of the context: the most that was ever seen. Every call looks
/// again for some milliseconds, as neighbours and clocks change; the first one looks longer.
inline double flop_peak(Context& ctx) {
  using Clock = std::chrono::steady_clock;
  static std::map<std::pair<Isa, int>, double> seen;
  double& best = seen[{ctx.isa(), ctx.threads()}];
  const auto& gemm = ops::detail::table<kernels::GemmTable>(ctx);
  const int threads = ctx.threads();
  const double flops_a_step = 2.0 * 16 * gemm.peak_chains * threads;
  const double seconds = best > 0 ? 0.01 : 0.2;
  index_t steps = 1000;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    ctx.parallel_for(threads, [&](index_t, int) {
      volatile float keep = gemm.peak(steps);
      (void)keep;
    });
    const double t = std::chrono::duration<double>(Clock::now() - start).count();
    if (t < 0.5e-3)
      steps *= 2;  // until the threads' start does not count
    else
      best = std::max(best, flops_a_step * static_cast<double>(steps) / t);
  } while (best == 0 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  return best;
}

/// A copy that reads bytes / 2 and writes bytes / 2, split over the context's threads.
class CopyProbe {
 public:
  CopyProbe(Context& ctx, double bytes) : ctx_(ctx), half_(static_cast<index_t>(bytes / 2)), from_(size()), to_(size()) {
    std::memset(from_.data(), 1, size());
    std::memset(to_.data(), 2, size());
  }
  void run() {
    const index_t parts = ctx_.threads();
    ctx_.parallel_for(parts, [&](index_t i, int) {
      const index_t begin = half_ * i / parts, end = half_ * (i + 1) / parts;
      std::memcpy(to_.data() + begin, from_.data() + begin, static_cast<std::size_t>(end - begin));
    });
  }

 private:
  std::size_t size() const { return static_cast<std::size_t>(half_) + 1; }
  Context& ctx_;
  index_t half_;
  Buffer from_, to_;
};

}  // namespace tessera::bench
