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

inline void multiply_rows(Context& ctx, const View<const float, 2>* modalities, int count, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "multiply_rows";
  if (count < 1) fail(Code::kBadArgument, kOp, "no modality");
  for (int m = 0; m < count; ++m) expect_same(kOp, out, modalities[m]);
  const index_t e = out.extent[1];
  const auto multiply = table<kernels::NormTable>(ctx).hadamard;
  for_rows(ctx, out.extent[0], 64, [&](index_t begin, index_t end) {
    // Each piece by all modalities before it is written: `out` may be any of them.
    constexpr index_t kPiece = 256;
    float product[kPiece];
    for (index_t r = begin; r < end; ++r)
      for (index_t c = 0; c < e; c += kPiece) {
        const index_t width = e - c < kPiece ? e - c : kPiece;
        const auto at = [&](int m) { return modalities[m].data + r * modalities[m].stride[0] + c; };
        const float* so_far = at(0);
        for (int m = 1; m < count; ++m, so_far = product) multiply(so_far, at(m), width, product);
        __builtin_memmove(out.data + r * out.stride[0] + c, so_far, static_cast<std::size_t>(width) * sizeof(float));
      }
  });
}

inline void squared_distances(Context& ctx, View<const float, 2> queries, View<const float, 2> rows,
                              View<const index_t, 2> ids, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "squared_distances";
  const index_t batch = queries.extent[0], k = ids.extent[1];
  expect(kOp, "channels of the rows", rows.extent[1], queries.extent[1]);
  expect(kOp, "rows of ids", ids.extent[0], batch);
  expect(kOp, "rows of out", out.extent[0], batch);
  expect(kOp, "columns of out", out.extent[1], k);
  expect_rows(kOp, queries), expect_rows(kOp, rows), expect_rows(kOp, ids), expect_rows(kOp, out);
  for (index_t b = 0; b < batch; ++b)
    for (index_t i = 0; i < k; ++i)
      if (ids(b, i) < -1 || ids(b, i) >= rows.extent[0]) fail(Code::kBadArgument, kOp, "an id that is no row");
  const auto distances = table<kernels::NormTable>(ctx).squared_distances;
  for_rows(ctx, batch, 1, [&](index_t begin, index_t end) {
    for (index_t b = begin; b < end; ++b)
      for (index_t i = 0; i < k; i += 16) {
        const index_t some = k - i < 16 ? k - i : 16;
        const float* from[16];
        for (index_t j = 0; j < some; ++j) {
          const index_t id = ids(b, i + j);
          from[j] = id < 0 ? queries.data + b * queries.stride[0] : rows.data + id * rows.stride[0];
        }
        distances(queries.data + b * queries.stride[0], from, some, queries.extent[1], &out(b, i));
        for (index_t j = 0; j < some; ++j)
          if (ids(b, i + j) < 0) out(b, i + j) = __builtin_inff();
      }
  });
}

inline void negative_half_squared_norms(Context& ctx, View<const float, 2> rows, View<float, 1> out) {
  using namespace detail;
  constexpr const char* kOp = "negative_half_squared_norms";
  expect(kOp, "numbers of out", out.extent[0], rows.extent[0]);
  expect_rows(kOp, rows), expect_rows(kOp, out);
  const auto chains = table<kernels::NormTable>(ctx).chains;
  for_rows(ctx, rows.extent[0], 256, [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      const float* const row = rows.data + r * rows.stride[0];
      float square;
      chains(row, &row, 1, rows.extent[1], &square);
      out(r) = -0.5f * square;
    }
  });
}

}  // namespace tessera::ops
