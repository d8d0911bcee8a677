// Late interaction by mma.sync: a block has one query and one document, and the maxima of a row stay in registers.
#pragma once
#include <tessera/cuda/gemm.cuh>
#include <tessera/cuda/maxsim.hpp>

namespace tessera::kernels::cuda {

/// Grid: documents x queries. Shared memory: MaxSimTile::kSharedBytes.
static TESSERA_KERNEL(MaxSimTile::kThreads, 1) maxsim_kernel(const TESSERA_GRID_CONSTANT MaxSimArgs g) {
  using Tile = MaxSimTile;
  static_assert(Tile::kFragmentsDown == 1);
  const int first_q = load_global(g.cu_q + block_index_y()), of_query = load_global(g.cu_q + block_index_y() + 1) - first_q;
  const int first_d = load_global(g.cu_d + block_index()), of_document = load_global(g.cu_d + block_index() + 1) - first_d;
  const GemmArgs<float> product = {
      g.queries + first_q * g.ldq, g.ldq, g.documents + first_d * g.ldd, g.ldd, nullptr, 0, of_query, of_document, g.e};
  const shared_t memory = dynamic_shared();
  const Place part = part_of_warp<Tile>();
  const int lane = thread_index() % 32;
  // The maxima of both warps of a row, where the stages were.
  const auto maximum = [&](int row, int across) {
    return memory + static_cast<shared_t>((row * Tile::kAcross + across) * 4);
  };
  float sum = 0;
  TESSERA_NOT_UNROLLED
  for (int row = 0; row < of_query; row += Tile::kRows) {
    float most[2] = {-INFINITY, -INFINITY};
    TESSERA_NOT_UNROLLED
    for (int column = 0; column < of_document; column += Tile::kColumns) {
      GemmSums<Tile> sums = {};
      multiply_tile<Tile, false>(product, {row, column}, memory, sums);
      TESSERA_UNROLLED
      for (int j = 0; j < Tile::kFragmentsAcross; ++j) {
        TESSERA_UNROLLED
        for (int r = 0; r < 4; ++r) {
          const int at = column + part.column + j * 8 + fragment_c(lane, r).column;
          if (at < of_document && sums.of[0][j][r] > most[r / 2]) most[r / 2] = sums.of[0][j][r];
        }
      }
    }
    TESSERA_UNROLLED
    for (int half = 0; half < 2; ++half) {
      TESSERA_UNROLLED
      for (int mask = 1; mask <= 2; mask *= 2) {  // the four lanes of a row
        const float other = shuffle_xor(most[half], mask);
        most[half] = other > most[half] ? other : most[half];
      }
      const int at = part.row + fragment_c(lane, 2 * half).row;
      if (lane % 4 == 0) store_shared(maximum(at, part.column / Tile::kWarpColumns), most[half]);
    }
    sync_threads();
    if (thread_index() == 0) {
      TESSERA_NOT_UNROLLED
      for (int i = 0; i < Tile::kRows && row + i < of_query; ++i) {
        const float left = load_shared<float>(maximum(i, 0)), right = load_shared<float>(maximum(i, 1));
        sum = add(sum, left > right ? left : right);
      }
    }
    sync_threads();  // the maxima have been read
  }
  if (thread_index() == 0) store_global(g.scores + block_index_y() * g.lds + block_index(), sum);
}

}  // namespace tessera::kernels::cuda
