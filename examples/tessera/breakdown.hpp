// tessera bench --breakdown: the time of each part of a layer beside the least that this machine could need for it.
#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include <tessera/ops/peak.hpp>
#include "tool.hpp"

namespace tool {

/// A watch on a stack's taps: what passed between one tap and the next belongs to the part that the second one ends.
class Breakdown {
 public:
  /// Of a stack of `config` over sequences that begin at `cu`.
  Breakdown(const tessera::ops::BlockConfig& config, const std::vector<tessera::index_t>& cu)
      : attention_(config.attention.compute) {
    for (std::size_t b = 0; b + 1 < cu.size(); ++b) {
      const tessera::index_t n = cu[b + 1] - cu[b];
      const auto f = tessera::models::layer_flops(config, n, n);
      const double parts[kParts] = {f.qkv, f.attention, f.attention_out, f.mlp_in, f.mlp_out};
      for (std::size_t i = 0; i < kParts; ++i) flops_[i] += parts[i];
    }
  }

  const tessera::Taps& taps() {
    taps_.sink = [](void* self, const char* name, tessera::View<const float, 2>) {
      static_cast<Breakdown*>(self)->passed(name);
    };
    taps_.state = this;
    return taps_;
  }

  void begin_pass() { last_ = Clock::now(); }

  /// The table, of matrices of this type.
  void print(tessera::Context& ctx, tessera::DType matrices) const {
    const double matrix_peak = tessera::ops::flop_peak(ctx, matrices),
                 attention_peak = tessera::ops::flop_peak(ctx, attention_);
    std::printf("%-34s %9s %9s %9s %7s\n", "part of a layer", "GFLOP", "ms", "limit ms", "of it");
    double all = 0, least = 0;
    for (std::size_t i = 0; i < kParts; ++i) {
      const double ms = 1e3 * median(i), limit = 1e3 * flops_[i] / (i == kAttention ? attention_peak : matrix_peak);
      std::printf("%-34s %9.3f %9.3f %9.3f %6.1f%%\n", kNames[i], 1e-9 * flops_[i], ms, limit, 100 * limit / ms);
      all += ms, least += limit;
    }
    std::printf("%-34s %9s %9.3f %9.3f %6.1f%%\n", "one layer", "", all, least, 100 * least / all);
    std::printf("limit: %.0f GFLOP/s, attention %.0f, the most that independent multiply-adds of their types reach here\n",
                1e-9 * matrix_peak, 1e-9 * attention_peak);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kParts = 5, kAttention = 1;
  static constexpr const char* kNames[kParts] = {"norm, queries, keys, values", "attention", "attention output, residual",
                                                 "norm, MLP in, activation", "MLP out, residual"};
  static constexpr const char* kEnds[kParts] = {".attention.qkv", ".attention.context", ".attention.output", ".mlp.hidden",
                                                ".output"};

  void passed(const char* name) {
    const Clock::time_point now = Clock::now();
    const std::size_t length = std::strlen(name);
    for (std::size_t i = 0; i < kParts; ++i) {
      const std::size_t n = std::strlen(kEnds[i]);
      if (length < n || std::strcmp(name + length - n, kEnds[i]) != 0) continue;
      seconds_[i].push_back(std::chrono::duration<double>(now - last_).count());
      break;
    }
    last_ = Clock::now();
  }
  double median(std::size_t part) const {
    std::vector<double> all = seconds_[part];
    if (all.empty()) return 0;
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }

  tessera::DType attention_;
  tessera::Taps taps_;
  std::array<double, kParts> flops_{};
  std::array<std::vector<double>, kParts> seconds_;
  Clock::time_point last_;
};

}  // namespace tool
