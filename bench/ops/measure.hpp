// One row of a benchmark: registered by name, checked, then timed, with its share of what the machine can do.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/ops/peak.hpp>

#include "copy_probe.hpp"
#include "tests/support/isas.hpp"

namespace tessera::bench {

/// What the command line decides.
struct Settings {
  /// Whether to run a row; main_row: it is among those that run without a filter.
  std::function<bool(const std::string& name, bool main_row)> wanted;
  double seconds = 0.2;  ///< timed per row
  bool wrong = false;    ///< a row's result differed from its reference
};
inline Settings& settings() {
  static Settings s;
  return s;
}

/// A family offers its rows when the program starts.
class Rows {
 public:
  void add(const std::string& name, bool main_row, std::function<void(benchmark::State&)> body) const {
    if (!settings().wanted(name, main_row)) return;
    benchmark::RegisterBenchmark(name.c_str(), std::move(body))
        ->Iterations(1)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  }
};
struct Family {
  explicit Family(void (*add_rows)(const Rows&)) { list().push_back(add_rows); }
  static std::vector<void (*)(const Rows&)>& list() {
    static std::vector<void (*)(const Rows&)> families;
    return families;
  }
};

/// Calls f(isa, threads, prefix) for "<op>/<dtype>/<isa>/t<threads>/".
template <class F>
void for_machines(const char* op, const char* dtype, const F& f) {
  const std::string_view type = dtype;
  for (const Isa isa : test::isas(type == "int8" ? DType::i8 : type.starts_with("bf16") ? DType::bf16 : DType::f32))
    for (const int threads : {1, 2})
      f(isa, threads, std::string(op) + "/" + dtype + "/" + isa_name(isa) + "/t" + std::to_string(threads) + "/");
}
/// Calls f(type, isa, threads, prefix) for each type that packed rows may have.
template <class F>
void for_packed_types(const char* op, const F& f) {
  constexpr struct {
    const char* name;
    DType type;
  } kTypes[] = {{"f32", DType::f32}, {"bf16", DType::bf16}, {"int8", DType::i8}};
  for (const auto& t : kTypes)
    for_machines(op, t.name, [&](Isa isa, int threads, const std::string& prefix) { f(t.type, isa, threads, prefix); });
}
inline bool is_best(Isa isa) {
  const IsaList list = available_isas();
  return isa == list.isa[list.count - 1];
}

/// Seconds of one call: the shortest and the middle of many samples.
struct Timing {
  double best, median;
  int samples;
};
template <class F>
Timing sample(double seconds, const F& call) {
  using Clock = std::chrono::steady_clock;
  const auto time = [&](int calls) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    return std::chrono::duration<double>(Clock::now() - start).count() / calls;
  };
  const double once = std::min(time(1), time(1));  // also warms up
  const int calls = std::max(1, static_cast<int>(100e-6 / std::max(once, 1e-9)));
  const int samples = std::clamp(static_cast<int>(seconds / (once * calls)), 3, 2000);
  std::vector<double> all;
  for (int i = 0; i < samples; ++i) all.push_back(time(calls));
  std::sort(all.begin(), all.end());
  return {all.front(), all[all.size() / 2], samples};
}

/// A result that differs from the reference is an error, not a row, and the program's exit code says so.
inline bool accept(benchmark::State& state, bool right) {
  if (right) return true;
  settings().wrong = true;
  state.SkipWithError("differs from the double-precision reference");
  return false;
}

inline void report(benchmark::State& state, const Timing& t) {
  for (auto _ : state) state.SetIterationTime(t.median);
  state.counters["best_us"] = t.best * 1e6;
  state.counters["samples"] = t.samples;
}

/// For work bound by arithmetic: `flops` of one call against the peak of such multiply-adds on this ISA and these threads.
template <class F>
void measure_flops(benchmark::State& state, Context& ctx, double flops, const F& call, DType type = DType::f32) {
  const double peak = ops::flop_peak(ctx, type);
  const Timing t = sample(settings().seconds, call);
  report(state, t);
  state.counters["GFLOP/s"] = flops / t.best * 1e-9;
  state.counters["%peak"] = 100 * flops / t.best / peak;
  state.counters["%peak_median"] = 100 * flops / t.median / peak;
  state.counters["peak_GFLOP/s"] = peak * 1e-9;
}

/// For work bound by memory: `bytes` that one call must read and write against a copy that moves as many.
template <class F>
void measure_bytes(benchmark::State& state, Context& ctx, double bytes, const F& call) {
  CopyProbe copy(ctx, bytes);
  const double peak = bytes / sample(settings().seconds / 4, [&] { copy.run(); }).best;
  const Timing t = sample(settings().seconds, call);
  report(state, t);
  state.counters["GB/s"] = bytes / t.best * 1e-9;
  state.counters["%copy"] = 100 * bytes / t.best / peak;
  state.counters["%copy_median"] = 100 * bytes / t.median / peak;
  state.counters["copy_GB/s"] = peak * 1e-9;
}

}  // namespace tessera::bench
