#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/cpu/region.hpp>
#include <tessera/ops/detail/filter.hpp>
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/patch.hpp>

namespace tessera::ops {

inline PatchGrid patch_grid(const PatchShape& s, std::span<const Pixels> frames) noexcept {
  if (frames.empty()) return {0, 0, 0};
  return {static_cast<index_t>(frames.size()) / s.frames, frames[0].height() / s.height, frames[0].width() / s.width};
}

namespace detail {

// One row of a patch, a channel at a time.
inline void gather_row(const Pixels& p, index_t c, index_t y, index_t x, index_t n, float* to) noexcept {
  if (p.planes.data) {
    const float* from = &p.planes(c, y, x);
    if (p.planes.stride[2] == 1) {
      __builtin_memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
      return;
    }
    for (index_t i = 0; i < n; ++i) to[i] = from[i * p.planes.stride[2]];
    return;
  }
  const float* values = p.values.data + 256 * c;
  const std::uint8_t* from = &p.bytes(y, x, c);
  for (index_t i = 0; i < n; ++i) to[i] = values[from[i * p.bytes.stride[1]]];
}

// Patch `at` of the grid, as a row of the projection's input.
inline void gather_patch(const PatchShape& s, std::span<const Pixels> frames, const PatchGrid& g, index_t at,
                         float* to) noexcept {
  const index_t column = at % g.width, row = at / g.width % g.height, first = at / (g.width * g.height) * s.frames;
  for (index_t c = 0; c < s.channels; ++c)
    for (index_t f = 0; f < s.frames; ++f)
      for (index_t i = 0; i < s.height; ++i, to += s.width)
        gather_row(frames[static_cast<std::size_t>(first + f)], c, row * s.height + i, column * s.width, s.width, to);
}

// Rows a task gathers before it multiplies them.
inline constexpr index_t kPatchBlock = 120;
inline index_t patch_tasks(Context& ctx, index_t tokens) noexcept {
  const index_t blocks = (tokens + kPatchBlock - 1) / kPatchBlock, lanes = ctx.threads();
  return std::min(tokens, (blocks + lanes - 1) / lanes * lanes);  // so that no lane waits for another's last one
}

}  // namespace detail

inline std::size_t patch_scratch(Context& ctx, const PatchShape& s, index_t tokens, DType weight) {
  Arena a = Arena::counting();
  const index_t rows = std::min(tokens, detail::kPatchBlock);
  a.carve<float>(rows * s.size() * ctx.threads());
  (void)detail::carve_rounded(ctx, a, weight, rows, s.size());
  return a.peak();
}

inline void patch_embed(Context& ctx, const PatchShape& s, std::span<const Pixels> frames, const PackedWeight& w,
                        View<const float, 1> bias, View<const float, 2> positions, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "patch_embed";
  if (s.channels < 1 || s.frames < 1 || s.height < 1 || s.width < 1) fail(Code::kBadArgument, kOp, "an empty patch");
  if (!packs(w.dtype())) fail(Code::kUnsupported, kOp, "weights are f32, bf16 or int8");
  if (w.space() != Space::host) fail(Code::kBadArgument, kOp, "a weight of another device");
  if (w.gated()) fail(Code::kShapeMismatch, kOp, "a weight of pack_weight_glu");
  const PatchGrid grid = patch_grid(s, frames);
  const index_t tokens = grid.tokens(), n = w.n(), k = s.size();
  expect(kOp, "samples of a patch", k, w.k());
  expect(kOp, "rows of out", out.extent[0], tokens);
  expect(kOp, "channels of out", out.extent[1], n);
  expect_rows(kOp, out);
  if (bias.data) expect(kOp, "channels of bias", bias.extent[0], n), expect_rows(kOp, bias);
  if (positions.data) expect_same(kOp, out, positions);
  for (const Pixels& p : frames) {
    expect(kOp, "channels of the pixels", p.planes.data ? p.planes.extent[0] : p.bytes.extent[2], s.channels);
    if (p.height() != frames[0].height() || p.width() != frames[0].width())
      fail(Code::kBadArgument, kOp, "frames of several sizes");
    if (!p.planes.data && (p.values.extent[0] != s.channels || p.values.extent[1] != 256 || !p.values.packed()))
      fail(Code::kBadArgument, kOp, "bytes want values, [channels, 256] and packed");
  }
  if (tokens == 0) return;
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(patch_scratch(ctx, s, tokens, w.dtype()));
  const ArenaScope scope(arena);
  const index_t lane_floats = std::min(tokens, kPatchBlock) * k;
  float* scratch = arena.carve<float>(lane_floats * ctx.threads());
  kernels::RoundedRows* const rounded = carve_rounded(ctx, arena, w.dtype(), std::min(tokens, kPatchBlock), k);
  const auto gemm = gemm_for(ctx, w.dtype());
  const index_t tasks = patch_tasks(ctx, tokens), panels = (n + kernels::kPanel - 1) / kernels::kPanel;
  ctx.parallel_for(tasks, [&](index_t i, int lane) {
    const index_t begin = tokens * i / tasks, end = tokens * (i + 1) / tasks;
    float* rows = scratch + lane * lane_floats;
    for (index_t t = begin; t < end; ++t) gather_patch(s, frames, grid, t, rows + (t - begin) * k);
    kernels::GemmArgs g{rows,         k, k, reinterpret_cast<const float*>(w.data()), n, out.data + begin * out.stride[0],
                        out.stride[0]};
    g.bias = bias.data;
    g.row_words = row_words_of(w);
    if (rounded) rounded[lane].begin = rounded[lane].end = 0, g.rows = rounded + lane;  // those were other rows
    if (positions.data) g.residual = positions.data + begin * positions.stride[0], g.ldr = positions.stride[0];
    gemm(g, 0, end - begin, 0, panels);
  });
}

TESSERA_PUSH_BITS  // weights are rounded once, whatever the compiler
namespace detail {

/// What each output of an axis is made of: inputs, which may repeat, and their weights.
struct PositionAxis {
  std::vector<std::vector<std::pair<index_t, double>>> taps;

  PositionAxis(PositionInterpolation how, index_t in, index_t out) : taps(static_cast<std::size_t>(out)) {
    if (how == PositionInterpolation::bicubic) {
      for (index_t i = 0; i < out; ++i) add_cubic(in, out, i);
      return;
    }
    const FilterAxis<double> axis(how == PositionInterpolation::bicubic_antialias ? Filter::bicubic : Filter::bilinear, in,
                                  out);
    for (std::size_t i = 0; i < taps.size(); ++i)
      for (index_t j = 0; j < axis.count[i]; ++j)
        taps[i].emplace_back(axis.first[i] + j,
                             axis.weights[i * static_cast<std::size_t>(axis.taps) + static_cast<std::size_t>(j)]);
  }

 private:
  void add_cubic(index_t in, index_t out, index_t i) {
    constexpr double a = -0.75;
    const double x = (static_cast<double>(i) + 0.5) * (static_cast<double>(in) / static_cast<double>(out)) - 0.5;
    const double below = std::floor(x), t = x - below;
    const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    const double weights[4] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
    for (index_t j = 0; j < 4; ++j)
      taps[static_cast<std::size_t>(i)].emplace_back(std::clamp<index_t>(static_cast<index_t>(below) + j - 1, 0, in - 1),
                                                     weights[j]);
  }
};

}  // namespace detail

inline void interpolate_positions(Context& ctx, PositionInterpolation how, View<const float, 3> t, View<float, 3> out) {
  using namespace detail;
  constexpr const char* kOp = "interpolate_positions";
  const index_t c = t.extent[2], height = out.extent[0], width = out.extent[1];
  expect(kOp, "channels of out", out.extent[2], c);
  if (t.extent[0] < 1 || t.extent[1] < 1) fail(Code::kShapeMismatch, kOp, "an empty table");
  if ((c > 1 && t.stride[2] != 1) || !out.packed()) fail(Code::kBadStride, kOp, "channels must be contiguous, out packed");
  const FpModeScope mode;
  const PositionAxis rows(how, t.extent[0], height), columns(how, t.extent[1], width);
  const auto combine = table<kernels::EmbedTable>(ctx).combine;
  std::vector<const float*> from;
  std::vector<float> weights;
  for (index_t at = 0; at < height * width; ++at) {
    from.clear(), weights.clear();
    for (const auto& [y, wy] : rows.taps[static_cast<std::size_t>(at / width)])
      for (const auto& [x, wx] : columns.taps[static_cast<std::size_t>(at % width)]) {
        from.push_back(t.data + y * t.stride[0] + x * t.stride[1]);
        weights.push_back(static_cast<float>(wy * wx));
      }
    combine(from.data(), weights.data(), static_cast<index_t>(from.size()), c, out.data + at * c);
  }
}
TESSERA_POP_BITS

}  // namespace tessera::ops
