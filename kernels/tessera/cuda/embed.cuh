// Embedding lookups, a warp a token: rows of up to three tables added, and their LayerNorm in the same pass.
//
// The sum is f32, in one order, and rounded when it is written: what is normalised is the sum before that.
#pragma once
#include <tessera/cuda/embed.hpp>
#include <tessera/cuda/norm.cuh>

namespace tessera::kernels::cuda {

/// The rows of a token's tables.
template <class W>
struct EmbedRows {
  const W *word, *segment, *position;
};
template <class W, class Y>
TESSERA_DEVICE EmbedRows<W> rows_of_token(const EmbedArgs<W, Y>& g, index_t t) {
  const index_t c = g.c;
  EmbedRows<W> rows = {g.word + load_global(g.ids + t) * c, nullptr, nullptr};
  if (g.segment) rows.segment = g.segment + (g.segments ? load_global(g.segments + t) * c : 0);
  if (g.position) rows.position = g.position + load_global(g.positions + t) * c;
  return rows;
}
/// Eight neighbours of a token's sum.
template <class W>
TESSERA_DEVICE void add_rows(const EmbedRows<W>& rows, int column, float scale, float (&x)[8]) {
  load_whole(rows.word + column, x);
  float other[8];
  if (rows.segment) {
    load_whole(rows.segment + column, other);
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) x[j] = add(x[j], other[j]);
  }
  if (rows.position) {
    load_whole(rows.position + column, other);
    TESSERA_UNROLLED
    for (int j = 0; j < 8; ++j) x[j] = add(x[j], other[j]);
  }
  TESSERA_UNROLLED
  for (int j = 0; j < 8; ++j) x[j] = mul(x[j], scale);
}

/// Without a norm, any c. Grid: tokens by kNormRows. No shared memory.
template <class W, class Y>
TESSERA_KERNEL(kNormRows * 32, 1)
embed_kernel(const TESSERA_GRID_CONSTANT EmbedArgs<W, Y> g) {
  const index_t t = static_cast<index_t>(block_index()) * kNormRows + thread_index() / 32;
  if (t >= g.tokens) return;
  const EmbedRows<W> rows = rows_of_token(g, t);
  TESSERA_NOT_UNROLLED
  for (int column = thread_index() % 32 * 8; column < g.c; column += 256) {
    float x[8];
    add_rows(rows, column, g.scale, x);
    store_whole(g.y + t * g.ldy + column, x);
  }
}

/// With LayerNorm, c up to 256 kPieces. Grid: tokens by kNormRows. No shared memory.
template <int kPieces, class W, class Y>
TESSERA_KERNEL(kNormRows * 32, 1)
embed_norm_kernel(const TESSERA_GRID_CONSTANT EmbedArgs<W, Y> g) {
  const index_t t = static_cast<index_t>(block_index()) * kNormRows + thread_index() / 32;
  if (t >= g.tokens) return;  // whole warps
  const EmbedRows<W> rows = rows_of_token(g, t);
  NormRow<kPieces> row;
  each_piece(row, g.c, [&](float(&x)[8], int column) { add_rows(rows, column, g.scale, x); });
  write_normalised<Norm::layer>(row, g.c, g.eps, g.gamma, g.beta, g.y + t * g.ldy);
}

}  // namespace tessera::kernels::cuda
