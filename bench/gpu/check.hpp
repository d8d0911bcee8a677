// What gpu_check's cases are made of: arrays on the device whose surroundings are watched, a check that goes on counting
// what is wrong, repeats by bytes, and times. A case runs in a process of its own, as an error of a kernel ends the others.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <tessera/core/dtype.hpp>
#include "support/random.hpp"

namespace tessera::gpu_check {

using test::Random;

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16); }
/// To nearest, ties to even.
inline bf16 rounded(float x) {
  const auto u = __builtin_bit_cast(std::uint32_t, x);
  return bf16{static_cast<std::uint16_t>((u + 0x7fffU + (u >> 16 & 1U)) >> 16)};
}

/// Ends the process: nothing that follows an error of CUDA can be trusted.
inline void must(int error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("{\"error\": \"%s: %s\"}\n", what, cudaGetErrorString(static_cast<cudaError_t>(error)));
  std::fflush(stdout);
  std::_Exit(1);
}

/// Rows on the device with a copy here. All bytes start as 0xff, a NaN of every float type: elements that nobody wrote and
/// bytes beside them that somebody did are found.
template <class T>
class Array {
 public:
  Array(index_t rows, index_t columns, index_t pad = 0)
      : rows_(rows), columns_(columns), ld_(columns + pad), memory_(static_cast<std::size_t>(2 * kFront + rows * ld_)) {
    poison();
    must(cudaMalloc(&device_, memory_.size() * sizeof(T)), "cudaMalloc");
  }
  ~Array() { cudaFree(device_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T& operator()(index_t r, index_t c) { return memory_[static_cast<std::size_t>(kFront + r * ld_ + c)]; }
  const T& operator()(index_t r, index_t c) const { return memory_[static_cast<std::size_t>(kFront + r * ld_ + c)]; }
  double at(index_t r, index_t c) const { return static_cast<double>(to_float((*this)(r, c))); }
  T* data() { return device_ + kFront; }
  index_t rows() const { return rows_; }
  index_t columns() const { return columns_; }
  index_t ld() const { return ld_; }

  void fill(const std::function<T()>& f) {
    for (index_t r = 0; r < rows_; ++r)
      for (index_t c = 0; c < columns_; ++c) (*this)(r, c) = f();
    upload();
  }
  void upload() { must(cudaMemcpy(device_, memory_.data(), memory_.size() * sizeof(T), cudaMemcpyHostToDevice), "copy"); }
  void download() { must(cudaMemcpy(memory_.data(), device_, memory_.size() * sizeof(T), cudaMemcpyDeviceToHost), "copy"); }
  void poison() { std::memset(static_cast<void*>(memory_.data()), 0xff, memory_.size() * sizeof(T)); }
  const std::vector<T>& memory() const { return memory_; }
  /// Empty, or what is wrong with what was written.
  std::string wrong_writes() const {
    for (index_t i = 0; i < static_cast<index_t>(memory_.size()); ++i) {
      const index_t r = (i - kFront) / ld_, c = (i - kFront) % ld_;
      const bool element = i >= kFront && r < rows_ && c < columns_;
      T untouched;
      std::memset(static_cast<void*>(&untouched), 0xff, sizeof(T));
      const bool poison = std::memcmp(&memory_[static_cast<std::size_t>(i)], &untouched, sizeof(T)) == 0;
      if (element == poison)
        return (poison ? "not written: row " : "written beside row ") + std::to_string(r) + ", column " + std::to_string(c);
    }
    return {};
  }

 private:
  static constexpr index_t kFront = 256;  // elements, so that rows stay aligned
  index_t rows_, columns_, ld_;
  std::vector<T> memory_;
  T* device_ = nullptr;
};

/// One run of a case: what its first fault is, and times if there is none.
class Check {
 public:
  Check(std::uint64_t seed, bool times) : random(seed), times_(times) {}

  void fail(const std::string& why) {
    if (wrong_.empty()) wrong_ = why;
  }
  const std::string& wrong() const { return wrong_; }

  /// Launches, then as often again as bits have to repeat; `out` is what comes of it, downloaded.
  template <class T, class F>
  void run(const char* what, Array<T>& out, const F& launch) {
    out.poison(), out.upload();
    must(launch(), what);
    must(cudaDeviceSynchronize(), what);
    out.download();
    if (const std::string wrong = out.wrong_writes(); !wrong.empty()) fail(std::string(what) + " " + wrong);
    const std::vector<T> first = out.memory();
    for (int i = 0; i < 9; ++i) must(launch(), what);
    must(cudaDeviceSynchronize(), what);
    out.download();
    if (std::memcmp(first.data(), out.memory().data(), first.size() * sizeof(T)) != 0)
      fail(std::string(what) + ": other bits when run again");
  }
  /// |got - exact| <= allowed, NaN never.
  void near(const std::string& what, double got, double exact, double allowed) {
    if (!(std::fabs(got - exact) <= allowed)) fail(what + ": " + std::to_string(got) + ", not " + std::to_string(exact));
  }
  /// The same bits of `columns` elements.
  template <class T>
  void same(const std::string& what, const T* a, const T* b, index_t columns) {
    if (std::memcmp(a, b, static_cast<std::size_t>(columns) * sizeof(T)) != 0) fail(what + ": other bits in a batch");
  }
  /// Median of 30 launches in microseconds, with what they do.
  template <class F>
  void time(const std::string& shape, double flops, double bytes, const F& launch) {
    if (!times_ || !wrong_.empty()) return;
    cudaEvent_t begin, end;
    must(cudaEventCreate(&begin), "event"), must(cudaEventCreate(&end), "event");
    std::vector<float> all;
    for (int i = 0; i < 33; ++i) {
      must(cudaEventRecord(begin), "event");
      must(launch(), "launch");
      must(cudaEventRecord(end), "event");
      must(cudaEventSynchronize(end), "launch");
      float ms = 0;
      must(cudaEventElapsedTime(&ms, begin, end), "event");
      if (i >= 3) all.push_back(ms);
    }
    std::sort(all.begin(), all.end());
    const double us = static_cast<double>(all[all.size() / 2]) * 1e3;
    std::printf("{\"shape\": \"%s\", \"median_us\": %.2f, \"tflops\": %.3f, \"gbps\": %.1f}\n", shape.c_str(), us,
                flops / us * 1e-6, bytes / us * 1e-3);
    must(cudaEventDestroy(begin), "event"), must(cudaEventDestroy(end), "event");
  }

  Random random;

 private:
  bool times_;
  std::string wrong_;
};

struct Case {
  const char* name;
  void (*run)(Check&);
};
/// All of them, of the files that register some.
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
struct Registered {
  Registered(const char* name, void (*run)(Check&)) { cases().push_back({name, run}); }
};

}  // namespace tessera::gpu_check
