// tessera bench --breakdown: the time of each part of a layer beside the least that this machine could need for it.
#pragma once
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "tool.hpp"

namespace tool {

/// A watch on a stack's taps: what passed between one tap and the next belongs to the part that the second one ends.
class Breakdown {
 public:
  /// `lengths` of the sequences; one pass of the stack of `config` runs with taps().
  Breakdown(const tessera::ops::BlockConfig& config, const std::vector<tessera::index_t>& cu) : config_(config) {
    for (std::size_t b = 0; b + 1 < cu.size(); ++b) {
      const auto n = static_cast<double>(cu[b + 1] - cu[b]);
      tokens_ += n, squares_ += n * n;
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

  /// The table, for `peak` multiplications and additions a second.
  void print(double peak) const {
    const auto c = static_cast<double>(config_.channels), d = static_cast<double>(config_.head_dim),
               h = static_cast<double>(config_.heads), kv = static_cast<double>(config_.kv_heads),
               f = static_cast<double>(config_.mlp_width);
    const double flops[kParts] = {2 * tokens_ * c * d * (h + 2 * kv), 4 * squares_ * h * d, 2 * tokens_ * c * h * d,
                                  2 * tokens_ * c * f * (config_.glu ? 2 : 1), 2 * tokens_ * c * f};
    std::printf("%-34s %9s %9s %9s %7s\n", "part of a layer", "GFLOP", "ms", "limit ms", "of it");
    double all = 0, least = 0;
    for (int i = 0; i < kParts; ++i) {
      const double ms = 1e3 * median(static_cast<std::size_t>(i)), limit = 1e3 * flops[i] / peak;
      std::printf("%-34s %9.3f %9.3f %9.3f %6.1f%%\n", kNames[i], 1e-9 * flops[i], ms, limit, 100 * limit / ms);
      all += ms, least += limit;
    }
    std::printf("%-34s %9s %9.3f %9.3f %6.1f%%\n", "one layer", "", all, least, 100 * least / all);
    std::printf("limit: %.0f GFLOP/s, the most that independent multiply-adds reach here\n", 1e-9 * peak);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kParts = 5;
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

  tessera::ops::BlockConfig config_;
  tessera::Taps taps_;
  double tokens_ = 0, squares_ = 0;
  std::array<std::vector<double>, kParts> seconds_;
  Clock::time_point last_;
};

}  // namespace tool
