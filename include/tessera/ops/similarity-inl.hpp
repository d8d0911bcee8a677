#pragma once
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/similarity.hpp>

namespace tessera::ops {

inline void similarity(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "similarity";
  expect(kOp, "channels of b", b.extent[1], a.extent[1]);
  expect(kOp, "rows of out", out.extent[0], a.extent[0]);
  expect(kOp, "columns of out", out.extent[1], b.extent[0]);
  expect_rows(kOp, a), expect_rows(kOp, b), expect_rows(kOp, out);
  const auto dot = table<kernels::NormTable>(ctx).dot;
  for_rows(ctx, b.extent[0], 256, [&](index_t j0, index_t j1) {
    for (index_t i = 0; i < a.extent[0]; ++i)
      dot(a.data + i * a.stride[0], b.data + j0 * b.stride[0], b.stride[0], j1 - j0, a.extent[1],
          out.data + i * out.stride[0] + j0);
  });
}

}  // namespace tessera::ops
