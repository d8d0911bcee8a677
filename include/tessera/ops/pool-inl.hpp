#pragma once
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::ops {

inline void pool(Context& ctx, Pooling mode, View<const float, 2> x, View<const index_t, 1> cu, View<const float, 1> weights,
                 View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "pool";
  const RaggedBatch batch{cu, {}, {}, {}};
  batch.check();
  expect(kOp, "tokens", x.extent[0], batch.tokens());
  expect(kOp, "rows of out", out.extent[0], batch.sequences());
  expect(kOp, "channels of out", out.extent[1], x.extent[1]);
  expect_rows(kOp, x), expect_rows(kOp, out);
  if (weights.data) expect(kOp, "weights", weights.extent[0], batch.tokens()), expect_rows(kOp, weights);
  const auto kernel = table<kernels::EmbedTable>(ctx).pool;
  ctx.parallel_for(batch.sequences(), [&](index_t b, int) {
    float* row = out.data + b * out.stride[0];
    if (batch.length(b) == 0)
      for (index_t c = 0; c < out.extent[1]; ++c) row[c] = 0.f;
    else
      kernel(mode, x.data + batch.begin(b) * x.stride[0], x.stride[0], batch.length(b), x.extent[1],
             weights.data ? weights.data + batch.begin(b) : nullptr, row);
  });
}

}  // namespace tessera::ops
