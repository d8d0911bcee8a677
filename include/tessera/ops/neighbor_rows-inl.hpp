#pragma once
#include <algorithm>

#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/neighbor_rows.hpp>

namespace tessera::ops {

inline void neighbor_rows(Context& ctx, View<const float, 2> x, const RaggedBatch& batch, index_t kernel,
                          View<float, 2> out) {
  constexpr const char* kOp = "neighbor_rows";
  if (kernel < 1 || kernel % 2 != 1) detail::fail(Code::kBadArgument, kOp, "a kernel that is not odd");
  batch.check();
  const index_t tokens = batch.tokens(), channels = x.extent[1], half = kernel / 2;
  detail::expect(kOp, "rows of x", x.extent[0], tokens);
  detail::expect(kOp, "rows of out", out.extent[0], tokens);
  detail::expect(kOp, "columns of out", out.extent[1], channels * kernel);
  detail::expect_rows(kOp, x), detail::expect_rows(kOp, out);
  const auto place = [&](index_t t) { return batch.columns.data ? index_t{batch.columns(t)} : t; };
  ctx.parallel_for(batch.sequences(), [&](index_t b, int) {
    for (index_t t = batch.begin(b); t < batch.begin(b + 1); ++t) {
      float* const to = &out(t, 0);
      std::fill_n(to, channels * kernel, 0.f);
      // Places rise, so that one less than `kernel` apart is as few tokens away at most.
      const index_t end = std::min(t + half + 1, batch.begin(b + 1));
      for (index_t u = std::max(t - half, batch.begin(b)); u < end; ++u) {
        const index_t i = place(u) - place(t) + half;
        if (i < 0 || i >= kernel) continue;
        const float* const from = &x(u, 0);
        for (index_t c = 0; c < channels; ++c) to[c * kernel + i] = from[c];
      }
    }
  });
}

}  // namespace tessera::ops
