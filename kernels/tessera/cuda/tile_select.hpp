// Which tile a GEMM of sm_90a works in: a cost model, a pure function of the sizes and the number of SMs. It decides speed
// only: every tile walks k from 0 in steps of one 16-deep wgmma, so that the bits of a product do not depend on the choice.
#pragma once
#include <tessera/core/dtype.hpp>

#include <cstdint>

namespace tessera::kernels::cuda {

/// Depth of k that one stage of the pipeline holds: a row of 128 bytes of bf16.
inline constexpr index_t kStageDepth = 64;

/// Rows and columns of C that a block works on at a time.
struct TileSize {
  int rows, columns;
  friend constexpr bool operator==(TileSize, TileSize) = default;
};
inline constexpr TileSize kGemmTiles[] = {{64, 64},   {64, 128},  {64, 256},  {128, 128}, {128, 160},
                                          {128, 192}, {128, 256}, {192, 128}, {256, 128}};

/// What the model knows of the machine, per SM and clock cycle; H100 and H200 (PCIe parts have fewer SMs).
struct GemmMachine {
  index_t multiprocessors = 132;
  index_t products = 2048;             ///< bf16 multiply-adds
  index_t shared_l2_bytes = 46 * 132;  ///< all SMs together
  index_t l2_bytes = 64;               ///< one SM
  index_t first_load = 1000;           ///< cycles from a kernel's start to its first product
  index_t epilogue_per_64 = 3;         ///< cycles that 64 elements of C take after the last product
  bool clusters = false;               ///< whether kernels can share loads between the two blocks of a cluster
};

/// A tile and how long all of C takes in it.
struct GemmChoice {
  TileSize tile;
  index_t tiles, waves;  ///< tiles of C, and turns in which the SMs work them off
  index_t cycles;        ///< by the model
  bool multicast;        ///< whether pairs of blocks should share what they load of W
  friend constexpr bool operator==(const GemmChoice&, const GemmChoice&) = default;
};

namespace detail {
constexpr index_t ceil_div(index_t a, index_t b) noexcept { return a / b + (a % b != 0); }
constexpr index_t times(index_t a, index_t b) noexcept {  // of numbers >= 0, at most the largest that there is
  index_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}
}  // namespace detail

/// C [m, n] of a product over k in one kind of tile. Sizes 1 to 2^31.
constexpr GemmChoice gemm_cost(TileSize tile, index_t m, index_t n, index_t k, const GemmMachine& machine = {}) noexcept {
  const index_t down = detail::ceil_div(m, tile.rows), tiles = down * detail::ceil_div(n, tile.columns);
  const index_t waves = detail::ceil_div(tiles, machine.multiprocessors);
  const index_t working = tiles < machine.multiprocessors ? tiles : machine.multiprocessors;
  const index_t share = machine.shared_l2_bytes / working, rate = share < machine.l2_bytes ? share : machine.l2_bytes;
  // A pair of blocks that lie one below the other reads W once. Of one wave it would only tie the pair's speeds together.
  const bool multicast = machine.clusters && waves > 1 && down > 1 && machine.multiprocessors % 2 == 0;
  const index_t loaded = 2 * kStageDepth * (tile.rows + (multicast ? tile.columns / 2 : tile.columns));
  const index_t loading = detail::ceil_div(loaded, rate > 0 ? rate : 1);
  const index_t multiplying = tile.rows * tile.columns * kStageDepth / machine.products;
  const index_t step = loading > multiplying ? loading : multiplying;
  const index_t each = detail::ceil_div(k, kStageDepth) * step + tile.rows * tile.columns / 64 * machine.epilogue_per_64;
  const index_t working_time = detail::times(waves, each);
  return {tile, tiles, waves, working_time > INT64_MAX - machine.first_load ? INT64_MAX : working_time + machine.first_load,
          multicast};
}

/// The tile of least cost; of equal ones the one of fewer tiles, then the first in kGemmTiles.
constexpr GemmChoice select_gemm_tile(index_t m, index_t n, index_t k, const GemmMachine& machine = {}) noexcept {
  GemmChoice best = gemm_cost(kGemmTiles[0], m, n, k, machine);
  for (const TileSize tile : kGemmTiles) {
    const GemmChoice next = gemm_cost(tile, m, n, k, machine);
    if (next.cycles < best.cycles || (next.cycles == best.cycles && next.tiles < best.tiles)) best = next;
  }
  return best;
}

}  // namespace tessera::kernels::cuda
