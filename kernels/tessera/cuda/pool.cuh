// Pooling of ragged sequences.
//
// Warp w of a block takes tokens w, w + 8, ... in their order, then thread j adds column j of warps 0, 1, ... 7. Which
// tokens a warp has depends on the sequence alone, and so do the bits.
#pragma once
#include <tessera/cuda/numbers.cuh>
#include <tessera/cuda/pool.hpp>

namespace tessera::kernels::cuda {

/// The larger one; a NaN of either stays.
TESSERA_DEVICE float larger(float a, float b) { return a > b || a != a ? a : b; }

/// Grid: columns by kPoolColumns x sequences. Shared memory: kPoolSharedBytes.
template <class X>
TESSERA_KERNEL(kPoolWarps * 32, 1)
pool_kernel(const TESSERA_GRID_CONSTANT PoolArgs<X> g) {
  const int begin = load_global(g.cu_seqlens + block_index_y()),
            length = load_global(g.cu_seqlens + block_index_y() + 1) - begin;
  const int warp = thread_index() / 32, first = block_index() * kPoolColumns, column = first + thread_index() % 32 * 8;
  const shared_t memory = dynamic_shared(), totals = memory + kPoolWarps * kPoolColumns * 4;
  const bool largest = g.mode == Pooling::max, weighted = g.mode == Pooling::weighted_mean;
  // One token is the whole of it for the first and the last one.
  const bool one = g.mode == Pooling::cls || g.mode == Pooling::last;
  const int from = g.mode == Pooling::last && length > 0 ? length - 1 : 0, past = one && length > 0 ? from + 1 : length;

  float sum[8], total = 0;
  TESSERA_UNROLLED
  for (int j = 0; j < 8; ++j) sum[j] = largest ? -INFINITY : 0.0f;
  if (column < g.c) {
    for (int t = from + warp; t < past; t += kPoolWarps) {
      float x[8];
      load_whole(g.x + (begin + t) * g.ldx + column, x);
      const float weight = !weighted ? 1.0f : g.weights ? load_global(g.weights + begin + t) : static_cast<float>(t + 1);
      total = add(total, weight);
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) sum[j] = largest ? larger(x[j], sum[j]) : fma(x[j], weight, sum[j]);
    }
  }
  TESSERA_UNROLLED
  for (int j = 0; j < 8; j += 4) {
    const int at = warp * kPoolColumns + thread_index() % 32 * 8 + j;
    store_shared(memory + static_cast<shared_t>(at * 4), Packed<float, 4>{{sum[j], sum[j + 1], sum[j + 2], sum[j + 3]}});
  }
  if (thread_index() % 32 == 0) store_shared(totals + static_cast<shared_t>(warp * 4), total);
  sync_threads();

  const int mine = first + thread_index();
  if (mine >= g.c) return;
  const auto part = [&](int w) { return memory + static_cast<shared_t>((w * kPoolColumns + thread_index()) * 4); };
  float result = load_shared<float>(part(0)), divisor = load_shared<float>(totals);
  TESSERA_UNROLLED
  for (int w = 1; w < kPoolWarps; ++w) {
    const float other = load_shared<float>(part(w));
    result = largest ? larger(other, result) : add(result, other);
    divisor = add(divisor, load_shared<float>(totals + static_cast<shared_t>(w * 4)));
  }
  if (g.mode == Pooling::mean_sqrt) divisor = sqrt(divisor);
  if (!largest && !one) result = div(result, divisor);
  store_global(g.out + block_index_y() * g.ldo + mine, length > 0 ? result : 0.0f);
}

}  // namespace tessera::kernels::cuda
