// A ring of stages in shared memory between a producer and its consumers: while some stages are read, others are filled.
// Plain C++ over barriers that are given, so that the host can check its phases: tests/cuda walks through all orders of
// small rings.
#pragma once
#include <tessera/cuda/ptx.cuh>

namespace tessera::kernels::cuda {

/// Where one side stands: the stage, and the parity of the phase that it waits for there. Each side keeps its own.
template <int kStages>
struct RingPosition {
  std::uint32_t stage = 0, parity = 0;

  /// A consumer's first wait is for the first fill, phase 0.
  TESSERA_HOST_DEVICE static constexpr RingPosition consumer() noexcept { return {0, 0}; }
  /// A producer's first wait is for the phase before that, which a new barrier has behind it: all stages are free.
  TESSERA_HOST_DEVICE static constexpr RingPosition producer() noexcept { return {0, 1}; }
  TESSERA_HOST_DEVICE constexpr void next() noexcept {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
  /// Past `count` stages, which others read.
  TESSERA_HOST_DEVICE constexpr void skip(std::uint32_t count) noexcept {
    stage += count;
    parity ^= stage / kStages & 1;
    stage %= kStages;
  }
};

/// Barriers: init(i, arrivals), wait(i, parity), arrive(i), arrive_expect(i, bytes) of barriers i < 2 * kStages. One turns
/// to its next phase when its arrivals and the bytes that were expected have come; wait() returns when the phase of that
/// parity is over.
template <int kStages, class Barriers>
struct Ring {
  static_assert(kStages > 0);
  using Position = RingPosition<kStages>;
  Barriers barriers;

  TESSERA_HOST_DEVICE static constexpr int full(Position at) noexcept { return static_cast<int>(at.stage); }
  TESSERA_HOST_DEVICE static constexpr int empty(Position at) noexcept { return kStages + static_cast<int>(at.stage); }

  /// By one thread, before any other touches the ring; so many release() of a stage make it empty.
  TESSERA_DEVICE void init(int releases) {
    for (int i = 0; i < kStages; ++i) {
      barriers.init(i, 1);
      barriers.init(kStages + i, releases);
    }
  }
  /// The producer waits until the stage is free, and says how many bytes will come: their copies name barrier full(at).
  TESSERA_DEVICE void acquire(Position at, int bytes) {
    barriers.wait(empty(at), at.parity);
    barriers.arrive_expect(full(at), bytes);
  }
  /// A consumer waits until the stage is filled.
  TESSERA_DEVICE void wait(Position at) { barriers.wait(full(at), at.parity); }
  /// A consumer has read the stage: none of its instructions, wgmma under way included, reads there any more.
  TESSERA_DEVICE void release(Position at) { barriers.arrive(empty(at)); }
};

/// Teams of consumers that take turns at a ring: one may wait for its items when the one before it has waited for all of its
/// own. A wait names the parity of a phase, so it must not come two phases early; without turns, a team that skips the items
/// of others could. Barriers as Ring's, [first, first + kTeams).
template <int kTeams, class Barriers>
struct Turns {
  Barriers barriers;
  int first;

  /// By one thread; so many pass() end a turn.
  TESSERA_DEVICE void init(int arrivals) {
    for (int i = 0; i < kTeams; ++i) barriers.init(first + i, arrivals);
  }
  /// What a team begins with: nobody has to pass the first turn to team 0.
  TESSERA_HOST_DEVICE static constexpr std::uint32_t parity(int team) noexcept { return team == 0 ? 1 : 0; }
  TESSERA_DEVICE void wait(int team, std::uint32_t& parity) {
    if constexpr (kTeams > 1) {
      barriers.wait(first + team, parity);
      parity ^= 1;
    }
  }
  TESSERA_DEVICE void pass(int team) {
    if constexpr (kTeams > 1) barriers.arrive(first + (team + 1) % kTeams);
  }
};

}  // namespace tessera::kernels::cuda
