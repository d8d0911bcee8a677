// The rows as a table: one line each, the columns that matter.
#pragma once
#include <benchmark/benchmark.h>

#include <cstdio>

namespace tessera::bench {

/// name, middle and best microseconds of a call, rate, share of the limit beside it (at the best sample, at the middle one).
class Table : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override {
    PrintBasicContext(&GetErrorStream(), context);
    std::printf("%-54s %10s %10s %9s %7s %7s %9s\n", "row", "median us", "best us", "G/s", "%limit", "median", "limit G/s");
    return true;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const char* name = run.run_name.function_name.c_str();
      if (run.error_occurred) {
        std::printf("%-54s WRONG: %s\n", name, run.error_message.c_str());
        continue;
      }
      const auto value = [&](const char* flops, const char* bytes) {
        const auto at = run.counters.find(run.counters.count(flops) ? flops : bytes);
        return at == run.counters.end() ? 0.0 : at->second.value;
      };
      std::printf("%-54s %10.1f %10.1f %9.1f %7.1f %7.1f %9.1f\n", name, run.GetAdjustedRealTime(), value("best_us", ""),
                  value("GFLOP/s", "GB/s"), value("%peak", "%copy"), value("%peak_median", "%copy_median"),
                  value("peak_GFLOP/s", "copy_GB/s"));
    }
    std::fflush(stdout);
  }
};

}  // namespace tessera::bench
