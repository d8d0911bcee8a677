// All products of two sets of rows, tile by tile: the matrix of them is never stored.
#pragma once
#include <algorithm>

#include <tessera/ops/gemm.hpp>

namespace tessera::ops {

/// products(i, j) is that of row `row` + i of a and row `column` + j of b. Valid during the call.
struct ProductTile {
  index_t row, column;
  View<const float, 2> products;
};
inline constexpr index_t kTileOfRows = 256, kTileOfColumns = 1024;  ///< the largest tile

/// Bytes of the context's arena that pairwise() takes.
std::size_t pairwise_scratch(Context& ctx, index_t rows, const PackedWeight& b);

namespace detail {
void expect_pairwise(View<const float, 2> a, const PackedWeight& b);
/// The products of rows [row, row + rows) by columns from `column`, a multiple of kTileOfColumns, into `to`.
void product_tile(Context& ctx, View<const float, 2> a, const PackedWeight& b, index_t row, index_t column,
                  View<float, 2> to);
}  // namespace detail

/// Calls f(ProductTile) for all products of rows a [M, E] f32 and b [N, E] of pack_weight() (f32, bf16, i8), once each:
/// tiles by rows from the top, in one stripe of rows from the left. f runs on the caller's thread, between the products of a
/// tile, which all threads compute; what it throws ends the call. It must not use the context. \throws Error kShapeMismatch,
/// kBadStride, kUnsupported, before any call of f. Numerics: those of linear(). Determinism: same tiles, order and bits for
/// any thread count and ISA; same bits for any tile. Scratch: pairwise_scratch() bytes of the context's arena, which grows
/// to them if nothing is carved from it.
template <class F>
void pairwise(Context& ctx, View<const float, 2> a, const PackedWeight& b, F&& f) {
  detail::expect_pairwise(a, b);
  const index_t m = a.extent[0], n = b.n();
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(pairwise_scratch(ctx, m, b));
  const ArenaScope scope(arena);
  float* const room = arena.carve<float>(std::min(m, kTileOfRows) * std::min(n, kTileOfColumns));
  for (index_t row = 0; row < m; row += kTileOfRows)
    for (index_t column = 0; column < n; column += kTileOfColumns) {
      const View<float, 2> tile(room, std::min(kTileOfRows, m - row), std::min(kTileOfColumns, n - column));
      detail::product_tile(ctx, a, b, row, column, tile);
      f(ProductTile{row, column, tile});
    }
}

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/pairwise-inl.hpp>
#endif
