#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/detail/filter.hpp>
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/resample.hpp>

namespace tessera::ops {

TESSERA_PUSH_BITS  // a contracted a*b+c would change weights
namespace detail {

inline std::int32_t rounded(double v) { return static_cast<std::int32_t>(v < 0 ? std::ceil(v - 0.5) : std::floor(v + 0.5)); }

// The largest precision, of at most 22 bits, with which every weight fits in 16.
inline int torchvision_shift(double largest) {
  int shift = 0;
  while (shift < 22 && rounded(std::ldexp(largest, shift + 1)) < (1 << 15)) ++shift;
  return shift;
}

}  // namespace detail

inline ResampleAxis resample_axis(Filter filter, ResampleArithmetic arithmetic, index_t in, index_t out) {
  constexpr index_t kMost = index_t{1} << 24;
  if (in < 1 || out < 1 || in > kMost || out > kMost)
    throw Error(Code::kBadArgument, "resample: a side of less than 1 or more than 2^24 pixels");
  const FpModeScope mode;
  const bool pillow = arithmetic == ResampleArithmetic::pillow;
  if (!pillow && filter != Filter::bilinear && filter != Filter::bicubic)
    throw Error(Code::kUnsupported, "resample: torchvision has bilinear and bicubic alone");
  detail::FilterAxis<double> exact(filter, in, out);
  ResampleAxis axis;
  axis.in = in, axis.out = out, axis.taps = exact.taps;
  const std::vector<double>& weights = exact.weights;
  const double largest = *std::max_element(weights.begin(), weights.end());
  axis.first = std::move(exact.first), axis.count = std::move(exact.count);
  axis.shift = pillow ? 22 : detail::torchvision_shift(largest);
  const auto one = static_cast<double>(std::int64_t{1} << axis.shift);
  axis.weights.reserve(weights.size());
  for (const double w : weights) axis.weights.push_back(detail::rounded(w * one));
  return axis;
}
TESSERA_POP_BITS

namespace detail {

// Weights as the kernels take them, in halves of 15 and 16 bits.
struct SplitWeights {
  std::vector<std::int16_t> low, high;  // high is empty where all weights fit in low
  index_t ld = 0;

  SplitWeights(const ResampleAxis& axis, index_t step) : ld((axis.taps + step - 1) / step * step) {
    const auto words = static_cast<std::size_t>(axis.out * ld);
    const auto fits = [](std::int32_t w) { return w >= INT16_MIN && w <= INT16_MAX; };
    const bool small = std::all_of(axis.weights.begin(), axis.weights.end(), fits);
    low.assign(words, 0), high.assign(small ? 0 : words, 0);
    for (index_t i = 0; i < axis.out; ++i)
      for (index_t j = 0; j < axis.taps; ++j) {
        const std::int32_t w = axis.weights[static_cast<std::size_t>(i * axis.taps + j)];
        const auto at = static_cast<std::size_t>(i * ld + j);
        low[at] = static_cast<std::int16_t>(small ? w : w & 0x7fff);
        if (!small) high[at] = static_cast<std::int16_t>(w >> 15);
      }
  }
};

inline kernels::ResampleArgs resample_args(const ResampleAxis& axis, const SplitWeights& weights,
                                           View<const std::uint8_t, 3> in, View<std::uint8_t, 3> out) noexcept {
  kernels::ResampleArgs g{};
  g.in = in.data, g.ld_in = in.stride[0], g.in_rows = in.extent[0], g.out = out.data, g.ld_out = out.stride[0];
  g.channels = in.extent[2], g.in_width = in.extent[1], g.out_width = out.extent[1], g.shift = axis.shift;
  g.first = axis.first.data(), g.count = axis.count.data(), g.ld_weights = weights.ld;
  g.low = weights.low.data(), g.high = weights.high.empty() ? nullptr : weights.high.data();
  return g;
}

inline std::size_t width_scratch(Context& ctx, const ResampleAxis& axis, index_t channels) {
  return static_cast<std::size_t>(kernels::resample_scratch(axis.in, channels) * ctx.threads());
}

// Each row of `in`.
inline void resample_width(Context& ctx, const ResampleAxis& axis, View<const std::uint8_t, 3> in,
                           View<std::uint8_t, 3> out) {
  const index_t rows = in.extent[0];
  const SplitWeights weights(axis, 32);
  const kernels::ResampleArgs g = resample_args(axis, weights, in, out);
  const index_t bytes = kernels::resample_scratch(axis.in, in.extent[2]);
  const ArenaScope scope(ctx.arena());
  std::uint8_t* scratch = ctx.arena().carve<std::uint8_t>(bytes * ctx.threads());
  const auto horizontal = table<kernels::ResampleTable>(ctx).horizontal;
  const index_t chunks = std::min<index_t>(rows, index_t{4} * ctx.threads());
  ctx.parallel_for(chunks, [&](index_t i, int lane) {
    horizontal(g, rows * i / chunks, rows * (i + 1) / chunks, scratch + bytes * lane);
  });
}

inline void resample_height(Context& ctx, const ResampleAxis& axis, View<const std::uint8_t, 3> in,
                            View<std::uint8_t, 3> out) {
  const SplitWeights weights(axis, 2);
  const kernels::ResampleArgs g = resample_args(axis, weights, in, out);
  const auto vertical = table<kernels::ResampleTable>(ctx).vertical;
  for_rows(ctx, axis.out, 16, [&](index_t a, index_t b) { vertical(g, a, b); });
}

}  // namespace detail

inline void resample(Context& ctx, View<const std::uint8_t, 3> in, Filter filter, ResampleArithmetic arithmetic,
                     View<std::uint8_t, 3> out) {
  using namespace detail;
  constexpr const char* kOp = "resample";
  const index_t channels = in.extent[2];
  expect(kOp, "channels of out", out.extent[2], channels);
  if (channels < 1 || channels > 4) fail(Code::kUnsupported, kOp, "1 to 4 channels");
  for (const index_t* stride : {static_cast<const index_t*>(in.stride), static_cast<const index_t*>(out.stride)})
    if (stride[1] != channels || (channels > 1 && stride[2] != 1)) fail(Code::kBadStride, kOp, "pixels must be contiguous");
  const index_t height = in.extent[0], width = in.extent[1], new_height = out.extent[0], new_width = out.extent[1];
  const ResampleAxis x = resample_axis(filter, arithmetic, width, new_width);
  ResampleAxis y = resample_axis(filter, arithmetic, height, new_height);
  if (width == new_width && height == new_height) {
    for (index_t i = 0; i < height; ++i)
      std::copy_n(in.data + i * in.stride[0], width * channels, out.data + i * out.stride[0]);
    return;
  }
  if (width == new_width) return resample_height(ctx, y, in, out);
  Arena& arena = ctx.arena();
  if (height == new_height) {
    if (arena.used() == 0) arena.reserve(width_scratch(ctx, x, channels));
    return resample_width(ctx, x, in, out);
  }
  // Bytes between the passes, so the order shows. Pillow 13 shrinks the height first where that saves much.
  const bool height_first =
      arithmetic == ResampleArithmetic::pillow && height > new_height && height - new_height > 2 * (width - new_width);
  const index_t top = height_first ? 0 : y.first.front();
  const index_t rows = height_first ? new_height : y.first.back() + y.count.back() - top;
  const index_t columns = height_first ? width : new_width;
  if (arena.used() == 0) {
    Arena counting = Arena::counting();
    counting.carve<std::uint8_t>(rows * columns * channels);
    arena.reserve(counting.peak() + width_scratch(ctx, x, channels));
  }
  const ArenaScope scope(arena);
  const View<std::uint8_t, 3> middle(arena.carve<std::uint8_t>(rows * columns * channels), rows, columns, channels);
  if (height_first) {
    resample_height(ctx, y, in, middle);
    resample_width(ctx, x, middle, out);
  } else {
    View<const std::uint8_t, 3> needed = in;  // those rows that the second pass reads
    needed.data += top * in.stride[0], needed.extent[0] = rows;
    resample_width(ctx, x, needed, middle);
    for (std::int32_t& first : y.first) first -= static_cast<std::int32_t>(top);
    resample_height(ctx, y, middle, out);
  }
}

namespace detail {

// What a task of resample_values has of its own: a band of rows, its columns one after the other, and one output column.
inline constexpr index_t kResampleBand = 16;
struct ValueBand {
  float *columns, *column;
  const float** from;
  ValueBand(Arena& arena, index_t width, index_t channels, index_t taps)
      : columns(arena.carve<float>(width * kResampleBand * channels)),
        column(arena.carve<float>(kResampleBand * channels)),
        from(arena.carve<const float*>(taps)) {}
};

}  // namespace detail

inline void resample_values(Context& ctx, View<const std::uint8_t, 3> in, View<const float, 1> values, Filter filter,
                            View<float, 3> out) {
  using namespace detail;
  constexpr const char* kOp = "resample_values";
  const index_t c = in.extent[2], width = in.extent[1], new_height = out.extent[0], new_width = out.extent[1];
  expect(kOp, "channels of out", out.extent[2], c);
  expect(kOp, "values", values.extent[0], 256);
  expect_rows(kOp, values);
  if (filter != Filter::bilinear && filter != Filter::bicubic) fail(Code::kUnsupported, kOp, "bilinear and bicubic alone");
  for (const index_t* stride : {static_cast<const index_t*>(in.stride), static_cast<const index_t*>(out.stride)})
    if (stride[1] != c || (c > 1 && stride[2] != 1)) fail(Code::kBadStride, kOp, "pixels must be contiguous");
  for (const index_t side : {in.extent[0], width, new_height, new_width})
    if (side < 1 || side > index_t{1} << 22) fail(Code::kBadArgument, kOp, "a side of less than 1 or more than 2^22 pixels");
  const FpModeScope mode;
  const FilterAxis<float> x(filter, width, new_width), y(filter, in.extent[0], new_height);
  const index_t top = y.first.front(), rows = y.first.back() + y.count.back() - top, threads = ctx.threads();
  const index_t taps = std::max(x.taps, y.taps);
  const auto carve = [&](Arena& arena, std::vector<ValueBand>& bands) {
    for (index_t i = 0; i < threads; ++i) bands.emplace_back(arena, width, c, taps);
    return arena.carve<float>(rows * new_width * c);
  };
  Arena& arena = ctx.arena();
  if (arena.used() == 0) {
    Arena counting = Arena::counting();
    std::vector<ValueBand> none;
    carve(counting, none);
    arena.reserve(counting.peak());
  }
  const ArenaScope scope(arena);
  std::vector<ValueBand> bands;
  float* middle = carve(arena, bands);
  const auto weigh = table<kernels::ResampleTable>(ctx).weigh;
  ctx.parallel_for((rows + kResampleBand - 1) / kResampleBand, [&](index_t task, int lane) {
    const ValueBand& band = bands[static_cast<std::size_t>(lane)];
    const index_t begin = task * kResampleBand, n = std::min(kResampleBand, rows - begin);
    for (index_t r = 0; r < n; ++r) {
      const std::uint8_t* from = in.data + (top + begin + r) * in.stride[0];
      float* to = band.columns + r * c;
      for (index_t i = 0; i < width; ++i, from += c, to += n * c)
        for (index_t k = 0; k < c; ++k) to[k] = values.data[from[k]];
    }
    for (index_t i = 0; i < new_width; ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (index_t j = 0; j < x.count[at]; ++j) band.from[j] = band.columns + (x.first[at] + j) * n * c;
      weigh(band.from, x.weights.data() + i * x.taps, x.count[at], n * c, band.column);
      for (index_t r = 0; r < n; ++r) std::copy_n(band.column + r * c, c, middle + ((begin + r) * new_width + i) * c);
    }
  });
  ctx.parallel_for(new_height, [&](index_t i, int lane) {
    const float** from = bands[static_cast<std::size_t>(lane)].from;
    const auto at = static_cast<std::size_t>(i);
    for (index_t j = 0; j < y.count[at]; ++j) from[j] = middle + (y.first[at] + j - top) * new_width * c;
    weigh(from, y.weights.data() + i * y.taps, y.count[at], new_width * c, out.data + i * out.stride[0]);
  });
}

}  // namespace tessera::ops
