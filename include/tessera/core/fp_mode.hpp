// The floating-point mode of the calling thread, fixed for a scope: without it, bits would depend on the caller.
#pragma once
#include <cstdint>

namespace tessera {

/// Round to nearest even, no flush-to-zero, no traps; the caller's mode and exception flags come back as they were.
class FpModeScope {
 public:
#if defined(__x86_64__)
  FpModeScope() noexcept {
    unsigned int now = 0;
    asm volatile("stmxcsr %0" : "=m"(now));
    saved_ = now;
    const unsigned int fixed = 0x1f80;
    asm volatile("ldmxcsr %0" ::"m"(fixed) : "memory");
  }
  ~FpModeScope() {
    const unsigned int back = static_cast<unsigned int>(saved_);
    asm volatile("ldmxcsr %0" ::"m"(back) : "memory");
  }
#elif defined(__aarch64__)
  FpModeScope() noexcept {
    asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(saved_), "=r"(saved_flags_));
    const std::uint64_t fixed = 0;
    asm volatile("msr fpcr, %0" ::"r"(fixed) : "memory");
  }
  ~FpModeScope() { asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(saved_), "r"(saved_flags_) : "memory"); }
#else
  FpModeScope() noexcept = default;
#endif
  FpModeScope(const FpModeScope&) = delete;
  FpModeScope& operator=(const FpModeScope&) = delete;

 private:
  std::uint64_t saved_ = 0;
#if defined(__aarch64__)
  std::uint64_t saved_flags_ = 0;  // x86 has them in the same register
#endif
};

}  // namespace tessera
