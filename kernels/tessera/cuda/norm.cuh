// LayerNorm, RMSNorm and L2 normalisation, a warp a row, with a residual added before where there is one.
//
// A row is read once and stays in registers. Sums are lane by lane over its pieces, then by one tree over lanes, lane i with
// i ^ 16, i ^ 8, .. i ^ 1: they depend on the row and its length alone.
#pragma once
#include <tessera/cuda/norm.hpp>
#include <tessera/cuda/numbers.cuh>

namespace tessera::kernels::cuda {

/// The sum over all lanes, the same bits in each.
TESSERA_DEVICE float sum_of_lanes(float x) {
  TESSERA_UNROLLED
  for (int mask = 16; mask > 0; mask /= 2) x = add(x, shuffle_xor(x, mask));
  return x;
}

/// Whether rows of T that begin at p, `ld` apart, may be read by eight numbers.
template <class T>
TESSERA_DEVICE bool by_eights(const T* p, index_t ld) {
  constexpr int kAlignment = sizeof(T) * 8 > 16 ? 16 : sizeof(T) * 8;
  return ld * static_cast<index_t>(sizeof(T)) % kAlignment == 0 && reinterpret_cast<std::uintptr_t>(p) % kAlignment == 0;
}

template <int kPieces>
struct NormRow {
  float number[kPieces][8];
};

/// f(number, column) of each number of the row that exists.
template <int kPieces, class F>
TESSERA_DEVICE void each_of_row(NormRow<kPieces>& row, int c, const F& f) {
  TESSERA_UNROLLED
  for (int i = 0; i < kPieces; ++i) {
    const int column = i * 256 + thread_index() % 32 * 8;
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) {
      if (column + j < c) f(row.number[i][j], column + j);
    }
  }
}

/// Grid: rows by kNormRows. No shared memory.
template <Norm kNorm, int kPieces, class X, class Y>
TESSERA_KERNEL(kNormRows * 32, 1)
norm_kernel(const TESSERA_GRID_CONSTANT NormArgs<X, Y> g) {
  const index_t r = static_cast<index_t>(block_index()) * kNormRows + thread_index() / 32;
  if (r >= g.rows) return;  // whole warps
  NormRow<kPieces> row;
  TESSERA_UNROLLED
  for (int i = 0; i < kPieces; ++i) {
    const int column = i * 256 + thread_index() % 32 * 8;
    load_numbers(g.x + r * g.ldx + column, g.c - column, by_eights(g.x, g.ldx), row.number[i]);
    if (g.residual) {
      float other[8];
      load_numbers(g.residual + r * g.ldr + column, g.c - column, by_eights(g.residual, g.ldr), other);
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) row.number[i][j] = to_float(rounded_to<X>(add(row.number[i][j], other[j])));
    }
    if (g.sum) store_numbers(g.sum + r * g.lds + column, g.c - column, by_eights(g.sum, g.lds), row.number[i]);
  }

  const float c = static_cast<float>(g.c);
  float sum = 0, mean = 0;
  if constexpr (kNorm == Norm::layer) {
    each_of_row(row, g.c, [&](float x, int) { sum = add(sum, x); });
    mean = div(sum_of_lanes(sum), c);
    sum = 0;
  }
  each_of_row(row, g.c, [&](float& x, int) {
    x = sub(x, mean);
    sum = fma(x, x, sum);
  });
  sum = sum_of_lanes(sum);
  float divisor = kNorm == Norm::l2 ? sqrt(sum) : sqrt(add(div(sum, c), g.eps));
  if (kNorm == Norm::l2 && divisor < g.eps) divisor = g.eps;  // a NaN stays
  each_of_row(row, g.c, [&](float& x, int column) {
    x = div(x, divisor);
    if (kNorm != Norm::l2 && g.gamma) x = mul(x, load_global(g.gamma + column));
    if (kNorm == Norm::layer && g.beta) x = add(x, load_global(g.beta + column));
  });
  TESSERA_UNROLLED
  for (int i = 0; i < kPieces; ++i) {
    const int column = i * 256 + thread_index() % 32 * 8;
    store_numbers(g.y + r * g.ldy + column, g.c - column, by_eights(g.y, g.ldy), row.number[i]);
  }
}

}  // namespace tessera::kernels::cuda
