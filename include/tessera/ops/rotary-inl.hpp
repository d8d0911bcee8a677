#pragma once
#include <cmath>

#include <tessera/core/fp_mode.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/detail/exact_math.hpp>
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/rotary.hpp>

namespace tessera::ops {

inline void rotary(Context& ctx, View<float, 3> x, const Rotary& tables, View<const std::int32_t, 1> places) {
  using namespace detail;
  constexpr const char* kOp = "rotary";
  const index_t tokens = x.extent[0], half = tables.cos.extent[1], rows = tables.cos.extent[0];
  expect_same(kOp, tables.cos, tables.sin);
  if (2 * half > x.extent[2]) fail(Code::kShapeMismatch, kOp, "more numbers turn than a head has");
  expect_rows(kOp, x);
  if (places.data) {
    expect(kOp, "places", places.extent[0], tokens);
    if (tokens > 1 && places.stride[0] != 1) fail(Code::kBadStride, kOp, "places must be contiguous");
    for (index_t t = 0; t < tokens; ++t)
      if (places(t) >= rows)
        throw Error(Code::kBadArgument, {"rotary: places[", std::to_string(t), "] is ", std::to_string(places(t)),
                                         ", the tables have ", std::to_string(rows), " rows"});
  } else if (tokens > rows) {
    fail(Code::kBadArgument, kOp, "more tokens than rows of the tables, and no places");
  }
  if (tokens == 0 || half == 0) return;
  const kernels::RotaryArgs args{x.data,
                                 x.stride[0],
                                 x.extent[1],
                                 x.stride[1],
                                 half,
                                 tables.cos.data,
                                 tables.sin.data,
                                 tables.cos.stride[0],
                                 tables.sin.stride[0],
                                 places.data,
                                 tables.pairs == RotaryPairs::adjacent};
  const auto rotate = table<kernels::RotaryTable>(ctx).rotate;
  for_rows(ctx, tokens, 16, [&](index_t a, index_t b) { rotate(args, a, b); });
}

TESSERA_PUSH_BITS
inline void rotary_tables(View<const float, 2> coordinates, View<const std::int32_t, 1> axes,
                          View<const float, 1> frequencies, View<float, 2> cos, View<float, 2> sin) {
  using namespace detail;
  constexpr const char* kOp = "rotary_tables";
  const index_t half = frequencies.extent[0];
  expect(kOp, "rows of cos", cos.extent[0], coordinates.extent[0]);
  expect(kOp, "columns of cos", cos.extent[1], half);
  expect_same(kOp, cos, sin);
  if (axes.data) expect(kOp, "axes", axes.extent[0], half);
  const auto axis = [&](index_t j) { return axes.data ? index_t{axes(j)} : 0; };
  for (index_t j = 0; j < half; ++j)
    if (axis(j) < 0 || axis(j) >= coordinates.extent[1])
      fail(Code::kBadArgument, kOp, "an axis that the coordinates have not");
  const auto angle = [&](index_t t, index_t j) { return coordinates(t, axis(j)) * frequencies(j); };
  const FpModeScope mode;
  for (index_t t = 0; t < cos.extent[0]; ++t)
    for (index_t j = 0; j < half; ++j)
      if (!(std::fabs(angle(t, j)) <= 1048576.f)) fail(Code::kBadArgument, kOp, "an angle beyond 2^20, or none");
  for (index_t t = 0; t < cos.extent[0]; ++t)
    for (index_t j = 0; j < half; ++j) {
      const SinCos turned = sin_cos(static_cast<double>(angle(t, j)));
      cos(t, j) = static_cast<float>(turned.cos), sin(t, j) = static_cast<float>(turned.sin);
    }
}

inline void rotary_frequencies(double base, View<float, 1> frequencies) {
  const FpModeScope mode;
  if (!(base >= 1e-30 && base <= 1e30))
    detail::fail(Code::kBadArgument, "rotary_frequencies", "the base must be between 1e-30 and 1e30");
  const index_t n = frequencies.extent[0];
  for (index_t i = 0; i < n; ++i) {
    const auto exponent = static_cast<float>(static_cast<double>(i) / static_cast<double>(n));
    frequencies(i) = 1.f / static_cast<float>(detail::power(base, static_cast<double>(exponent)));
  }
}

inline void rotary_grid(index_t height, index_t width, View<float, 2> coordinates) {
  using namespace detail;
  constexpr const char* kOp = "rotary_grid";
  expect(kOp, "rows of coordinates", coordinates.extent[0], height * width);
  expect(kOp, "columns of coordinates", coordinates.extent[1], 2);
  if (!coordinates.packed()) fail(Code::kBadStride, kOp, "coordinates must be packed");
  const FpModeScope mode;
  constexpr float kTurn = 6.28318530717958647692f;
  const auto centre = [](index_t i, index_t n) {
    return kTurn * (2.f * ((static_cast<float>(i) + 0.5f) / static_cast<float>(n)) - 1.f);
  };
  for (index_t y = 0; y < height; ++y)
    for (index_t x = 0; x < width; ++x)
      coordinates(y * width + x, 0) = centre(y, height), coordinates(y * width + x, 1) = centre(x, width);
}
TESSERA_POP_BITS

}  // namespace tessera::ops
