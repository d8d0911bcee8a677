// What the machine can do, measured in this process: the limit that a product's time is held against.
#pragma once
#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <tuple>

#include <tessera/ops/detail/product.hpp>

namespace tessera::ops {

/// FLOP/s of independent chains of the multiply-adds that products with weights of this type are made of, on all threads of
/// the context: the most that was ever seen for its ISA and number of threads. Every call looks again for some milliseconds,
/// as neighbours and clocks change; the first one looks longer. Concurrent calls wait for one another. Not part of ops.hpp.
inline double flop_peak(Context& ctx, DType weights = DType::f32) {
  using Clock = std::chrono::steady_clock;
  static std::mutex alone;
  static std::map<std::tuple<Isa, bool, int, DType>, double> seen;
  const std::lock_guard<std::mutex> lock(alone);
  double& best = seen[{ctx.isa(), ctx.fast(), ctx.threads(), weights}];
  const kernels::RoundedGemm* const rounded = detail::rounded_gemm(ctx, weights);
  const kernels::Peak peak = rounded ? rounded->peak : detail::table<kernels::GemmTable>(ctx).peak;
  const int threads = ctx.threads();
  const double flops_a_step = static_cast<double>(peak.flops * threads);
  const double seconds = best > 0 ? 0.01 : 0.2;
  index_t steps = 1000;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    ctx.parallel_for(threads, [&](index_t, int) {
      volatile float keep = peak.run(steps);
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

}  // namespace tessera::ops
