#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/detail/exact_math.hpp>
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/splade.hpp>

namespace tessera::ops {

namespace detail {

/// Rows of the decoder that are multiplied at once.
inline constexpr index_t kSpladeRows = 512;

TESSERA_PUSH_BITS  // rounded alike by every compiler
/// The weight of a logit without its bias, in double.
inline double splade_weight(float product, float bias, bool twice) {
  const float logit = product + bias;
  if (!(logit > 0)) return logit != logit ? static_cast<double>(logit) : 0.0;
  if (logit > 3.4e38f) return static_cast<double>(__builtin_inff());
  const double w = log_one_plus(static_cast<double>(logit));
  return twice ? log_one_plus(w) : w;
}

inline float splade_sum(const float* products, index_t n, float bias, bool twice) {
  double sum = 0;
  for (index_t i = 0; i < n; ++i) sum += splade_weight(products[i], bias, twice);
  return static_cast<float>(sum);
}
TESSERA_POP_BITS

}  // namespace detail

inline void splade(Context& ctx, View<const float, 2> x, View<const index_t, 1> cu, View<const float, 2> decoder,
                   View<const float, 1> bias, const SpladeOptions& options, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "splade";
  const index_t tokens = x.extent[0], texts = cu.extent[0] - 1, words = decoder.extent[0];
  expect(kOp, "channels of the decoder", decoder.extent[1], x.extent[1]);
  expect_offsets(kOp, "tokens", cu, tokens);
  expect(kOp, "rows of out", out.extent[0], texts);
  expect(kOp, "columns of out", out.extent[1], words);
  expect_rows(kOp, x), expect_rows(kOp, decoder), expect_rows(kOp, out);
  if (bias.data) expect(kOp, "bias", bias.extent[0], words), expect_rows(kOp, bias);
  if (texts == 0 || words == 0) return;
  const FpModeScope mode;
  std::vector<bool> finite(static_cast<std::size_t>(texts), true);
  for (index_t b = 0; b < texts; ++b)
    for (index_t t = cu(b); t < cu(b + 1); ++t)
      if (!all_finite(ctx, View<const float, 1>(x[t].data, x.extent[1]))) finite[static_cast<std::size_t>(b)] = false;
  if (tokens == 0) {
    for (index_t b = 0; b < texts; ++b) std::fill_n(out[b].data, words, 0.f);
    return;
  }
  const PackedWeight packed = pack_weight(ctx, x);  // as if they were documents, and words the queries
  const index_t columns = options.sum ? tokens : texts, lanes = ctx.threads();
  std::vector<float> memory(static_cast<std::size_t>(lanes * kSpladeRows * columns));
  std::vector<index_t> each(static_cast<std::size_t>(kSpladeRows) + 1);
  std::iota(each.begin(), each.end(), index_t{0});
  for (int lane = 0; lanes > 1 && lane < lanes; ++lane) (void)ctx.lane(lane);  // made here: tasks must not
  const auto panel = [&](index_t part, int lane) {
    Context& own = lanes > 1 ? ctx.lane(lane) : ctx;
    const index_t v0 = part * kSpladeRows, v1 = std::min(v0 + kSpladeRows, words);
    const View<float, 2> found(memory.data() + lane * kSpladeRows * columns, v1 - v0, columns);
    if (options.sum)
      linear(own, decoder.slice(v0, v1), packed, {}, found);
    else
      maxsim(own, decoder.slice(v0, v1), View<const index_t, 1>(each.data(), v1 - v0 + 1), packed, cu, found);
    for (index_t b = 0; b < texts; ++b)
      for (index_t v = v0; v < v1; ++v) {
        const float* const row = found[v - v0].data;
        const float shift = bias.data ? bias(v) : 0.f;
        if (!finite[static_cast<std::size_t>(b)])
          out(b, v) = __builtin_nanf("");
        else if (options.sum)
          out(b, v) = splade_sum(row + cu(b), cu(b + 1) - cu(b), shift, options.twice);
        else
          out(b, v) = static_cast<float>(splade_weight(row[b], shift, options.twice));
      }
  };
  const index_t panels = (words + kSpladeRows - 1) / kSpladeRows;
  if (lanes > 1) return ctx.parallel_for(panels, panel);
  for (index_t i = 0; i < panels; ++i) panel(i, 0);
}

}  // namespace tessera::ops
