#pragma once
#include <cmath>
#include <utility>

#include <tessera/core/fp_mode.hpp>
#include <tessera/core/widen.hpp>
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/gemm.hpp>

namespace tessera::ops {

namespace detail {

using kernels::kPanel;
using kernels::kSlice;

/// Rows of a weight that cannot be read in place, one after the other.
inline void widen_rows(const WeightView& w, index_t begin, index_t end, float* out) {
  for (index_t r = begin; r < end; ++r, out += w.extent[1]) widen(w.dtype, w.data + r * w.row_bytes(), w.extent[1], out);
}

inline void pack_into(Context& ctx, const WeightView& w, DType as, float* dst) {
  const index_t n = w.extent[0], k = w.extent[1], slices = (n + kSlice - 1) / kSlice, words = packed_words(as, k);
  const kernels::RoundedGemm* const rounded = rounded_gemm(ctx, as);
  const auto pack = rounded ? rounded->pack : table<kernels::GemmTable>(ctx).pack;
  if (const float* const rows = w.floats())
    return for_rows(ctx, slices, 4, [&](index_t s0, index_t s1) { pack(rows, w.stride[0], n, k, s0, s1, dst); });
  const Buffer wide(static_cast<std::size_t>(ctx.threads() * kSlice * k) * sizeof(float));  // a slice for each thread
  ctx.parallel_for(slices, [&](index_t s, int lane) {
    float* const rows = wide.as<float>() + lane * kSlice * k;
    const index_t begin = s * kSlice, end = begin + kSlice < n ? begin + kSlice : n;
    widen_rows(w, begin, end, rows);
    pack(rows, k, end - begin, k, 0, 1, dst + s * kSlice * words);
  });
}

inline void expect_weight(const char* op, const WeightView& w) {
  if (!widens(w.dtype)) fail(Code::kUnsupported, op, "weights are f32, f16 or bf16");
  if (w.extent[1] > 1 && w.stride[1] != 1) fail(Code::kBadStride, op, "the last dimension must be contiguous");
  if (w.space != Space::host) fail(Code::kBadArgument, op, "a weight of another device");
  if (!packs(w.packed)) fail(Code::kUnsupported, op, "weights are packed as f32, bf16 or int8");
}

inline std::size_t slice_bytes(index_t n, index_t words) {
  return static_cast<std::size_t>((n + kSlice - 1) / kSlice * kSlice * words) * sizeof(float);
}

/// What a store has for the parts, if it is of the right size; else what make(dtype) packs, which the store is then told.
template <class Make>
PackedWeight stored_or_made(Context& ctx, const WeightView* parts, int count, bool gated, index_t n, const Make& make) {
  const WeightView& first = parts[0];
  const index_t k = first.extent[1];
  PackedStore* const store = first.store;
  if (store) {
    PackedWeight found = store->find(parts, count, gated);
    const bool may_be = found.dtype() == first.packed || (found.dtype() == DType::bf16 && first.packed == DType::i8);
    const index_t rows = gated ? (n / 2 + kPanel - 1) / kPanel * 2 * kPanel : n;
    if (found.n() == n && found.k() == k && may_be && found.gated() == gated &&
        found.bytes() == slice_bytes(rows, packed_words(found.dtype(), k)))
      return found;
  }
  const bool too_long = first.packed == DType::i8 && k > kernels::kInt8MostK;
  PackedWeight made = make(too_long ? DType::bf16 : first.packed);
  if (made.dtype() == DType::i8 && int8_rounding(ctx, made) > static_cast<double>(first.most_rounding))
    made = make(DType::bf16);
  if (store) store->keep(parts, count, made);
  return made;
}

/// Numbers of GemmArgs::sums for all lanes: none for short k; of any k few rows leave room for the panels in L2.
inline index_t sums_scratch(Context& ctx, index_t rows, index_t words, bool glu) {
  constexpr index_t kFewRows = 48;
  return glu || words <= kernels::kDepth || rows <= kFewRows ? 0 : kernels::kGemmSums * ctx.threads();
}
inline std::size_t product_scratch(Context& ctx, index_t rows, index_t k, DType weight, bool glu) {
  Arena need = Arena::counting();
  (void)carve_rounded(ctx, need, weight, rows, k, glu);
  need.carve<float>(sums_scratch(ctx, rows, product_words(weight, k), glu));
  return need.peak();
}
}  // namespace detail

inline std::size_t linear_scratch(Context& ctx, index_t rows, index_t k, DType weight, bool glu) {
  return detail::product_scratch(ctx, rows, k, weight, glu);
}

inline std::size_t packed_bytes(index_t n, index_t k, DType packed) {
  using namespace detail;
  constexpr const char* kOp = "packed_bytes";
  if (!packs(packed)) fail(Code::kUnsupported, kOp, "weights are packed as f32, bf16 or int8");
  if (n < 0 || k < 0) fail(Code::kBadArgument, kOp, "negative sizes");
  index_t bytes = 0;
  if (k > index_t{1} << 48 || n > index_t{1} << 61 ||
      __builtin_mul_overflow(n + kSlice, (packed_words(packed, k) + 1) * index_t{sizeof(float)}, &bytes))
    fail(Code::kLimit, kOp, "beyond the address space");
  return slice_bytes(n, packed_words(packed, k));
}

inline PackedWeight packed_prefix(const PackedWeight& w, index_t k) {
  using namespace detail;
  constexpr const char* kOp = "packed_prefix";
  if (!packs(w.dtype()) || w.dtype() == DType::i8)
    fail(Code::kUnsupported, kOp, "rows are f32 or bf16; pack cut rows as int8");
  if (w.gated()) fail(Code::kUnsupported, kOp, "a weight of pack_weight_glu");
  if (k < 1 || k > w.k()) fail(Code::kBadArgument, kOp, "a prefix has at least one channel, and at most all");
  if (w.dtype() == DType::bf16 && k % 2 != 0 && k != w.k()) fail(Code::kBadArgument, kOp, "prefixes of bf16 are even");
  return w.part(0, w.bytes(), w.n(), k);
}

inline PackedWeight pack_weight(Context& ctx, const WeightView& w) { return pack_weight(ctx, &w, 1); }

inline PackedWeight pack_weight(Context& ctx, const WeightView* parts, int count) {
  using namespace detail;
  constexpr const char* kOp = "pack_weight";
  if (count < 1) fail(Code::kBadArgument, kOp, "no matrix");
  const index_t k = parts[0].extent[1];
  index_t n = 0;
  bool whole = true;  // every part but the last ends on a slice
  for (int i = 0; i < count; ++i) {
    expect(kOp, "input channels", parts[i].extent[1], k);
    expect_weight(kOp, parts[i]);
    if (parts[i].packed != parts[0].packed) fail(Code::kBadArgument, kOp, "parts are packed as one type");
    whole = whole && n % kSlice == 0;
    n += parts[i].extent[0];
  }
  if (n == 0 || k == 0) fail(Code::kShapeMismatch, kOp, "an empty matrix");
  return stored_or_made(ctx, parts, count, false, n, [&](DType as) {
    const index_t words = packed_words(as, k);
    Buffer packed(slice_bytes(n, words));
    float* dst = packed.as<float>();
    if (whole) {
      for (int i = 0; i < count; ++i) {
        pack_into(ctx, parts[i], as, dst);
        dst += parts[i].extent[0] * words;
      }
    } else {  // a slice would hold rows of two parts
      const Buffer stacked(static_cast<std::size_t>(n * k) * sizeof(float));
      float* at = stacked.as<float>();
      for (int i = 0; i < count; at += parts[i].extent[0] * k, ++i) widen_rows(parts[i], 0, parts[i].extent[0], at);
      pack_into(ctx, View<const float, 2>(stacked.as<const float>(), n, k), as, dst);
    }
    return PackedWeight(n, k, as, std::move(packed));
  });
}

inline double int8_rounding(Context& ctx, const PackedWeight& w) {
  using namespace detail;
  if (w.dtype() != DType::i8) return 0;
  const auto rounding = table<kernels::Int8GemmTable>(ctx).rounding;
  const auto* const slices = reinterpret_cast<const float*>(w.data());
  const index_t words = packed_words(DType::i8, w.k()),
                count = static_cast<index_t>(w.bytes() / sizeof(float)) / (words * kSlice);
  const Buffer sums(static_cast<std::size_t>(2 * count) * sizeof(double));
  double* const of = sums.as<double>();
  for_rows(ctx, count, 4, [&](index_t s0, index_t s1) { rounding(slices, w.k(), s0, s1, of); });
  const FpModeScope mode;
  double off = 0, all = 0;
  for (index_t s = 0; s < count; ++s) off += of[2 * s], all += of[2 * s + 1];
  return all > 0 ? std::sqrt(off / all) : 0;
}

inline PackedWeight pack_weight_glu(Context& ctx, const WeightView& gate, const WeightView& up) {
  using namespace detail;
  constexpr const char* kOp = "pack_weight_glu";
  expect(kOp, "rows", up.extent[0], gate.extent[0]);
  expect(kOp, "channels", up.extent[1], gate.extent[1]);
  expect_weight(kOp, gate);
  expect_weight(kOp, up);
  const index_t n = gate.extent[0], k = gate.extent[1], panels = (n + kPanel - 1) / kPanel;
  if (n == 0 || k == 0) fail(Code::kShapeMismatch, kOp, "an empty matrix");
  if (gate.packed != up.packed) fail(Code::kBadArgument, kOp, "gate and up are packed as one type");
  const WeightView parts[] = {gate, up};
  return stored_or_made(ctx, parts, 2, true, 2 * n, [&](DType as) {
    const index_t words = packed_words(as, k);
    Buffer packed(slice_bytes(2 * panels * kPanel, words));
    for (index_t p = 0; p < panels; ++p) {
      const index_t end = (p + 1) * kPanel < n ? (p + 1) * kPanel : n;
      float* const dst = packed.as<float>() + 2 * p * kPanel * words;
      if (end % kPanel != 0) __builtin_memset(dst, 0, static_cast<std::size_t>(2 * kPanel * words) * sizeof(float));
      pack_into(ctx, gate.slice(p * kPanel, end), as, dst);
      pack_into(ctx, up.slice(p * kPanel, end), as, dst + kPanel * words);
    }
    return PackedWeight(2 * n, k, as, std::move(packed), true);
  });
}

inline void linear(Context& ctx, View<const float, 2> x, const PackedWeight& w, const Epilogue& e, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "linear";
  if (!packs(w.dtype())) fail(Code::kUnsupported, kOp, "weights are f32, bf16 or int8");
  if (w.space() != Space::host) fail(Code::kBadArgument, kOp, "a weight of another device");
  if (w.gated() != e.glu) fail(Code::kShapeMismatch, kOp, "glu wants a weight of pack_weight_glu, and only glu takes it");
  const index_t m = x.extent[0], n = e.glu ? w.n() / 2 : w.n();
  expect(kOp, "input channels", x.extent[1], w.k());
  expect(kOp, "rows of out", out.extent[0], m);
  expect(kOp, "channels of out", out.extent[1], n);
  expect_rows(kOp, x);
  expect_rows(kOp, out);
  if (e.bias.data) expect(kOp, "channels of bias", e.bias.extent[0], w.n()), expect_rows(kOp, e.bias);
  if (e.channel_scale.data)
    expect(kOp, "channels of channel_scale", e.channel_scale.extent[0], n), expect_rows(kOp, e.channel_scale);
  if (e.residual.data) expect_same(kOp, out, e.residual);
  if (m == 0) return;

  kernels::GemmArgs g{x.data, x.stride[0], w.k(), reinterpret_cast<const float*>(w.data()), n, out.data, out.stride[0]};
  g.bias = e.bias.data;
  g.channel_scale = e.channel_scale.data;
  g.row_words = row_words_of(w);
  g.residual = e.residual.data;
  g.ldr = e.residual.stride[0];
  g.act = e.act;
  g.glu = e.glu;
  const auto gemm = gemm_for(ctx, w.dtype());
  const index_t panels = (n + kPanel - 1) / kPanel, lanes = ctx.threads();
  Arena& arena = ctx.arena();
  const index_t waiting = sums_scratch(ctx, m, product_words(w.dtype(), w.k()), e.glu);
  if (arena.used() == 0) arena.reserve(product_scratch(ctx, m, w.k(), w.dtype(), e.glu));
  const ArenaScope scope(arena);
  kernels::RoundedRows* const rounded = carve_rounded(ctx, arena, w.dtype(), m, w.k(), e.glu);
  // The sums of a product whose k falls into parts wait in scratch. Without room for it k stays whole: slower, the same
  // bits.
  const bool fits = arena.capacity() - arena.used() >= static_cast<std::size_t>(waiting) * sizeof(float);
  float* const sums = waiting > 0 && fits ? arena.carve<float>(waiting) : nullptr;
  const auto run = [&](int lane, index_t m0, index_t m1, index_t p0, index_t p1) {
    kernels::GemmArgs mine = g;
    if (sums) mine.sums = sums + kernels::kGemmSums * lane;
    if (rounded) mine.rows = rounded + lane;
    gemm(mine, m0, m1, p0, p1);
  };
  // Where every lane finds rows enough, rows: what a lane wrote is in its own cache when the next product reads it. Many go
  // in blocks; few in one part a lane, its panels in two halves, so that a lane which is held up leaves the second one to
  // others. Else panels, each with all rows, halved while a core could be left without work at the end. No choice here can
  // change a bit.
  // Shared out as panels, rows are rounded by every lane; to bytes, that takes a tenth of a small model's time.
  constexpr index_t kTaskRows = 120;
  const index_t least_rows = w.dtype() == DType::i8 ? 32 : 96;
  const index_t blocks = (m + kTaskRows - 1) / kTaskRows;
  if (lanes == 1 || m >= least_rows * lanes) {
    const bool many = lanes > 1 && blocks >= 4 * lanes;
    const index_t parts = many ? blocks : lanes, cuts = many || lanes == 1 || panels < 8 ? 1 : 2;
    // Of many blocks all but the last are whole tiles; few parts are of one size, to a row.
    const index_t unit = many ? table<kernels::GemmTable>(ctx).tile_rows : 1, units = m / unit;
    const auto begin = [&](index_t r) { return r < parts ? units * r / parts * unit : m; };
    ctx.parallel_for(parts * cuts, [&](index_t i, int lane) {
      const index_t r = i % parts, c = i / parts;
      run(lane, begin(r), begin(r + 1), panels * c / cuts, panels * (c + 1) / cuts);
    });
    return;
  }
  index_t rows = 1;
  while (rows * panels < 8 * lanes && rows * panels % lanes != 0 && m / (rows * 2) >= 24) rows *= 2;
  while (rows * panels < 2 * lanes && m / (rows * 2) >= 12) rows *= 2;
  // Panels that share a part of k go together, as long as every lane finds at least two such groups.
  const index_t most = sums ? panels / (2 * lanes) : 1;
  const index_t width = most < 1 ? 1 : most < kernels::kGroupPanels ? most : kernels::kGroupPanels;
  const index_t groups = (panels + width - 1) / width;
  g.stride = rows == 1 ? (lanes - 1) * width + 1 : 1;
  ctx.parallel_for(rows * groups, [&](index_t i, int lane) {
    const index_t r = i % rows, p = i / rows * width;
    run(lane, m * r / rows, m * (r + 1) / rows, p, p + width < panels ? p + width : panels);
  });
}

}  // namespace tessera::ops
