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

template <int kPieces>
struct NormRow {
  float number[kPieces][8];
};

/// f(eight numbers, the first one's column) of each piece of the row that this lane has.
template <int kPieces, class F>
TESSERA_DEVICE void each_piece(NormRow<kPieces>& row, int c, const F& f) {
  TESSERA_UNROLLED
  for (int i = 0; i < kPieces; ++i) {
    const int column = i * 256 + thread_index() % 32 * 8;
    if (column < c) f(row.number[i], column);
  }
}

/// y = the row normalised, times gamma and with beta where there are any; the row is used up. All lanes of its warp.
template <Norm kNorm, int kPieces, class Y>
TESSERA_DEVICE void write_normalised(NormRow<kPieces>& row, int columns, float eps, const float* gamma, const float* beta,
                                     Y* y) {
  const float c = static_cast<float>(columns);
  float sum = 0, mean = 0;
  if (kNorm == Norm::layer) {
    each_piece(row, columns, [&](float(&x)[8], int) {
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) sum = add(sum, x[j]);
    });
    mean = div(sum_of_lanes(sum), c);
  }
  sum = 0;
  each_piece(row, columns, [&](float(&x)[8], int) {
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) {
      x[j] = sub(x[j], mean);
      sum = fma(x[j], x[j], sum);
    }
  });
  sum = sum_of_lanes(sum);
  float divisor = kNorm == Norm::l2 ? sqrt(sum) : sqrt(add(div(sum, c), eps));
  if (kNorm == Norm::l2 && divisor < eps) divisor = eps;  // a NaN stays
  const float factor = div(1.0f, divisor);
  each_piece(row, columns, [&](float(&x)[8], int column) {
    float of_column[8];
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) x[j] = mul(x[j], factor);
    if (kNorm != Norm::l2 && gamma) {
      load_whole(gamma + column, of_column);
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) x[j] = mul(x[j], of_column[j]);
    }
    if (kNorm == Norm::layer && beta) {
      load_whole(beta + column, of_column);
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) x[j] = add(x[j], of_column[j]);
    }
    store_whole(y + column, x);
  });
}

/// Grid: rows by kNormRows. No shared memory.
template <Norm kNorm, int kPieces, class X, class Y>
TESSERA_KERNEL(kNormRows * 32, 1)
norm_kernel(const TESSERA_GRID_CONSTANT NormArgs<X, Y> g) {
  const index_t r = static_cast<index_t>(block_index()) * kNormRows + thread_index() / 32;
  if (r >= g.rows) return;  // whole warps
  NormRow<kPieces> row;
  each_piece(row, g.c, [&](float(&x)[8], int column) {
    load_whole(g.x + r * g.ldx + column, x);
    if (g.residual) {
      float other[8];
      load_whole(g.residual + r * g.ldr + column, other);
      TESSERA_UNROLLED
      for (int j = 0; j < 8; ++j) x[j] = to_float(rounded_to<X>(add(x[j], other[j])));
    }
    if (g.sum) store_whole(g.sum + r * g.lds + column, x);
  });
  write_normalised<kNorm>(row, g.c, g.eps, g.gamma, g.beta, g.y + r * g.ldy);
}

}  // namespace tessera::kernels::cuda
