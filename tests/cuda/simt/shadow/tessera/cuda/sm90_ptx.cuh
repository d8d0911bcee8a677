// Stands in for kernels/tessera/cuda/sm90_ptx.cuh where kernels run on the host: simt/engines.hpp does the work. Clusters of
// more than one block, and so multicast, are not emulated.
#pragma once
#include <tessera/cuda/ptx.cuh>

#include "cuda/simt/engines.hpp"

namespace tessera::kernels::cuda {

/// Here a map is what it was made of.
struct TensorMap {
  TensorMapSpec spec;
};

inline simt::Engines& engines() { return simt::Engines::now(); }
inline int grid_size() { return rig().grid; }

struct Mbarrier {
  static constexpr int kBytes = 8;
  shared_t at;
  void init(std::uint32_t arrivals) { engines().init(at, arrivals); }
  void arrive() { engines().arrive(at, 0); }
  void arrive_expect(std::uint32_t bytes) { engines().arrive(at, bytes); }
  bool passed(std::uint32_t parity) { return engines().passed(at, parity); }
  void wait(std::uint32_t parity) { engines().wait(at, parity); }
};
struct Mbarriers {
  shared_t first;
  Mbarrier operator[](int i) const { return {first + static_cast<shared_t>(i * Mbarrier::kBytes)}; }
  void init(int i, int arrivals) const { (*this)[i].init(static_cast<std::uint32_t>(arrivals)); }
  void wait(int i, std::uint32_t parity) const { (*this)[i].wait(parity); }
  void arrive(int i) const { (*this)[i].arrive(); }
  void arrive_expect(int i, int bytes) const { (*this)[i].arrive_expect(static_cast<std::uint32_t>(bytes)); }
};

inline void fence_barrier_init() { engines().fence_init(); }
inline void fence_proxy_async() { engines().fence_proxy(); }
template <int kRegisters>
void give_registers() {
  rig().meet(rig().warp().meeting, 32, "give_registers", false, [] {});
  if (rig().lane() == 0) engines().set_registers(kRegisters, true);
}
template <int kRegisters>
void take_registers() {
  rig().meet(rig().warp().meeting, 32, "take_registers", false, [] {});
  if (rig().lane() == 0) engines().set_registers(kRegisters, false);
}
inline void wait_for_previous_kernel() {}
inline void let_next_kernel_start() {}

enum class CacheHint : std::uint8_t { normal, evict_first, evict_last };
inline std::uint64_t cache_policy(CacheHint) { return 0; }
inline void prefetch_map(const TensorMap&) {}

template <class... At>
simt::Engines::Box box_at(const TensorMap& map, shared_t shared, At... at) {
  if (map.spec.rank != static_cast<int>(sizeof...(At)))
    rig().fail("copies a box with another number of coordinates than its map");
  return {map.spec, {static_cast<index_t>(at)...}, shared};
}
template <class... At>
void tma_load(shared_t to, const TensorMap& map, Mbarrier barrier, std::uint64_t, At... at) {
  engines().load(box_at(map, to, at...), barrier.at);
}
template <class... At>
void tma_store(const TensorMap& map, shared_t from, std::uint64_t, At... at) {
  engines().store(box_at(map, from, at...));
}
inline void tma_commit() { engines().commit_stores(); }
template <int kPending>
void tma_wait_read() {
  engines().wait_for_stores(kPending);
}
template <int kPending>
void tma_wait_written() {
  engines().wait_for_stores(kPending);
}

/// Lane l gives the address of row l % 8 of matrix l / 8, and holds of each matrix the pair of row l / 4 from column 2 (l %
/// 4) on.
inline void stmatrix(shared_t row, const std::uint32_t (&r)[4]) {
  struct Lane {
    std::uint32_t in[4], row[4];
  } mine{{r[0], r[1], r[2], r[3]}, {}};
  rig().together("stmatrix", mine, [](const auto& all) {
    for (std::size_t lane = 0; lane < 32; ++lane)
      for (std::size_t pair = 0; pair < 4; ++pair) all[lane]->row[pair] = all[lane % 8 * 4 + pair]->in[lane / 8];
  });
  rig().require(rig().shared.wrong_with(row, 16, 16));
  rig().require(rig().shared.write(row, 16, rig().thread(), rig().self().clock));
  std::memcpy(rig().shared.at(row), mine.row, 16);
  engines().written(row);
}

}  // namespace tessera::kernels::cuda
