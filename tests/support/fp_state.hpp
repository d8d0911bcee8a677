// The floating-point mode of the calling thread, as a caller of the library may have set it.
#pragma once
#include <cstdint>

namespace tessera::test {

/// Mode and sticky exception flags together.
struct FpState {
  std::uint64_t mode = 0, flags = 0;
  friend bool operator==(const FpState&, const FpState&) = default;
};

#if defined(__x86_64__)
// MXCSR: flags in bits 0-5, denormals-are-zero 6, masks 7-12, rounding 13-14 (2: up), flush-to-zero 15.
inline FpState fp_state() {
  std::uint32_t csr = 0;
  asm volatile("stmxcsr %0" : "=m"(csr)::"memory");
  return {csr & ~0x3fU, csr & 0x3fU};
}
inline void set_fp_state(FpState s) {
  const auto csr = static_cast<std::uint32_t>(s.mode | s.flags);
  asm volatile("ldmxcsr %0" ::"m"(csr) : "memory");
}
inline constexpr std::uint64_t kUsualMode = 0x1f80, kFlushToZero = 0x8040, kRoundUp = 0x4000, kInexactFlag = 0x20;
#elif defined(__aarch64__)
// FPCR: rounding in bits 22-23 (1: up), flush-to-zero 24. FPSR: the flags.
inline FpState fp_state() {
  FpState s;
  asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(s.mode), "=r"(s.flags)::"memory");
  return s;
}
inline void set_fp_state(FpState s) { asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(s.mode), "r"(s.flags) : "memory"); }
inline constexpr std::uint64_t kUsualMode = 0, kFlushToZero = 1U << 24, kRoundUp = 1U << 22, kInexactFlag = 0x10;
#endif

/// The caller in another mode while this lives.
class OtherFpMode {
 public:
  explicit OtherFpMode(std::uint64_t bits) : before_(fp_state()) { set_fp_state({kUsualMode | bits, 0}); }
  ~OtherFpMode() { set_fp_state(before_); }
  OtherFpMode(const OtherFpMode&) = delete;
  OtherFpMode& operator=(const OtherFpMode&) = delete;

 private:
  FpState before_;
};

/// What a caller may have set: each must change no bit and come back untouched.
struct CallerMode {
  const char* name;
  std::uint64_t bits;
};
inline constexpr CallerMode kCallerModes[] = {
    {"flush to zero", kFlushToZero}, {"round up", kRoundUp}, {"both", kFlushToZero | kRoundUp}};

}  // namespace tessera::test
