#pragma once
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/pairwise.hpp>

namespace tessera::ops {

inline std::size_t pairwise_scratch(Context& ctx, index_t rows, const PackedWeight& b) {
  const index_t some = std::min(rows, kTileOfRows);
  Arena need = Arena::counting();
  need.carve<float>(some * std::min(b.n(), kTileOfColumns));
  need.carve<std::byte>(static_cast<index_t>(linear_scratch(ctx, some, b.k(), b.dtype())));
  return need.peak();
}

namespace detail {

inline void expect_pairwise(View<const float, 2> a, const PackedWeight& b) {
  constexpr const char* kOp = "pairwise";
  if (!packs(b.dtype())) fail(Code::kUnsupported, kOp, "rows are f32, bf16 or int8");
  if (b.gated()) fail(Code::kShapeMismatch, kOp, "a weight of pack_weight_glu");
  expect(kOp, "channels of a", a.extent[1], b.k());
  expect_rows(kOp, a);
}

inline void product_tile(Context& ctx, View<const float, 2> a, const PackedWeight& b, index_t row, index_t column,
                         View<float, 2> to) {
  linear(ctx, a.slice(row, row + to.extent[0]), packed_rows(b, column, column + to.extent[1]), {}, to);
}

}  // namespace detail
}  // namespace tessera::ops
