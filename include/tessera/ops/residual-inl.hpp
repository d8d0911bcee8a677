#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/residual.hpp>

namespace tessera::ops {

namespace detail {

inline void expect_ids(const char* op, View<const std::int32_t, 1> ids, index_t centroids) {
  expect_rows(op, ids);
  std::uint32_t most = 0;  // of negative ones too
  for (index_t t = 0; t < ids.extent[0]; ++t) most = std::max(most, static_cast<std::uint32_t>(ids(t)));
  if (ids.extent[0] > 0 && static_cast<index_t>(most) >= centroids)
    fail(Code::kBadArgument, op, "an id that is no centroid");
}

inline void expect_codec(const char* op, const ResidualCodec& codec, View<const std::int32_t, 1> ids,
                         const View<const std::uint8_t, 2>& codes) {
  const index_t cutoffs = codec.cutoffs.extent[0];
  if (cutoffs != 3 && cutoffs != 15) fail(Code::kUnsupported, op, "codes have 2 or 4 bits: 3 or 15 cutoffs");
  expect(op, "weights", codec.weights.extent[0], cutoffs + 1);
  expect_rows(op, codec.cutoffs), expect_rows(op, codec.weights), expect_rows(op, codec.centroids), expect_rows(op, codes);
  if (!codec.centroids.packed()) fail(Code::kBadStride, op, "centroids with gaps between them");
  if (codec.centroids.extent[1] * codec.bits() % 8 != 0)
    fail(Code::kUnsupported, op, "codes of a token that do not fill whole bytes");
  expect(op, "rows of codes", codes.extent[0], ids.extent[0]);
  expect(op, "bytes of codes", codes.extent[1], codec.bytes());
  if (!codes.packed()) fail(Code::kBadStride, op, "codes with gaps between them");
  expect_ids(op, ids, codec.centroids.extent[0]);
}

/// What the codes in each byte stand for.
struct ByteValues {
  float of[256 * 4];
  explicit ByteValues(const ResidualCodec& codec) noexcept {
    const int bits = codec.bits();
    float* to = of;
    for (int byte = 0; byte < 256; ++byte)
      for (int left = 8; left > 0; left -= bits) {
        int code = 0;
        for (int b = 0; b < bits; ++b) code |= (byte >> (left - 1 - b) & 1) << b;
        *to++ = codec.weights(code);
      }
  }
};

inline kernels::ResidualArgs residual_args(const ResidualCodec& codec, const float* values) noexcept {
  return {codec.centroids.data, codec.centroids.extent[1], codec.bits(), codec.cutoffs.data, values};
}

/// The q-quantile, 0 <= q <= 1, of numbers whose order is lost.
inline float quantile(std::vector<float>& numbers, double q) {
  const double place = q * static_cast<double>(numbers.size() - 1), below = std::floor(place);
  const auto at = numbers.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(numbers.begin(), at, numbers.end());
  const double low = static_cast<double>(*at);
  if (place == below) return *at;
  const double high = static_cast<double>(*std::min_element(at + 1, numbers.end())), rise = (high - low) * (place - below);
  return static_cast<float>(low + rise);
}

}  // namespace detail

inline void residual_buckets(Context& ctx, View<const float, 2> x, View<const float, 2> centroids,
                             View<const std::int32_t, 1> ids, View<float, 1> cutoffs, View<float, 1> weights) {
  using namespace detail;
  constexpr const char* kOp = "residual_buckets";
  const index_t rows = x.extent[0], channels = x.extent[1], buckets = weights.extent[0];
  expect(kOp, "channels of the centroids", centroids.extent[1], channels);
  expect(kOp, "ids", ids.extent[0], rows);
  expect(kOp, "cutoffs", cutoffs.extent[0], buckets - 1);
  expect_rows(kOp, x), expect_rows(kOp, centroids), expect_rows(kOp, cutoffs), expect_rows(kOp, weights);
  if (buckets != 4 && buckets != 16) fail(Code::kUnsupported, kOp, "codes have 2 or 4 bits: 4 or 16 weights");
  if (x.empty()) fail(Code::kBadArgument, kOp, "no rows to take quantiles of");
  expect_ids(kOp, ids, centroids.extent[0]);
  std::vector<float> rest(static_cast<std::size_t>(rows * channels));
  std::atomic<bool> ordered{true};
  for_rows(ctx, rows, 64, [&](index_t a, index_t b) {
    for (index_t t = a; t < b; ++t)
      for (index_t c = 0; c < channels; ++c) {
        const float r = x(t, c) - centroids(ids(t), c);
        rest[static_cast<std::size_t>(t * channels + c)] = r;
        if (!(r - r == 0)) ordered.store(false, std::memory_order_relaxed);
      }
  });
  if (!ordered.load()) fail(Code::kBadArgument, kOp, "NaN or infinity in x");
  const FpModeScope mode;
  for (index_t i = 0; i < buckets; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(buckets);
    if (i > 0) cutoffs(i - 1) = quantile(rest, share);
    weights(i) = quantile(rest, share + 0.5 / static_cast<double>(buckets));
  }
}

inline void residual_encode(Context& ctx, const ResidualCodec& codec, View<const float, 2> x,
                            View<const std::int32_t, 1> ids, View<std::uint8_t, 2> codes) {
  using namespace detail;
  constexpr const char* kOp = "residual_encode";
  expect_codec(kOp, codec, ids, codes);
  expect(kOp, "rows", x.extent[0], ids.extent[0]);
  expect(kOp, "channels", x.extent[1], codec.centroids.extent[1]);
  expect_rows(kOp, x);
  const auto encode = table<kernels::ResidualTable>(ctx).encode;
  for_rows(ctx, x.extent[0], 64, [&](index_t a, index_t b) {
    encode(residual_args(codec, nullptr), x.data, x.stride[0], ids.data, a, b, codes.data + a * codec.bytes());
  });
}

inline void residual_decode(Context& ctx, const ResidualCodec& codec, View<const std::int32_t, 1> ids,
                            View<const std::uint8_t, 2> codes, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "residual_decode";
  expect_codec(kOp, codec, ids, codes);
  expect(kOp, "rows", out.extent[0], ids.extent[0]);
  expect(kOp, "channels", out.extent[1], codec.centroids.extent[1]);
  expect_rows(kOp, out);
  const ByteValues values(codec);
  const auto decode = table<kernels::ResidualTable>(ctx).decode;
  for_rows(ctx, out.extent[0], 64, [&](index_t a, index_t b) {
    decode(residual_args(codec, values.of), ids.data + a, codes.data + a * codec.bytes(), b - a,
           out.data + a * out.stride[0], out.stride[0]);
  });
}

inline PackedWeight residual_decode_packed(Context& ctx, const ResidualCodec& codec, View<const std::int32_t, 1> ids,
                                           View<const std::uint8_t, 2> codes, std::span<std::byte> to) {
  using namespace detail;
  constexpr const char* kOp = "residual_decode_packed";
  constexpr index_t kRows = kernels::kSlice;
  expect_codec(kOp, codec, ids, codes);
  const index_t rows = ids.extent[0], channels = codec.centroids.extent[1];
  const std::size_t bytes = packed_bytes(rows, channels, DType::f32);
  if (to.size() < bytes || reinterpret_cast<std::size_t>(to.data()) % kAlignment != 0)
    fail(Code::kBadArgument, kOp, "memory that is too small or not aligned to 64 bytes");
  const ByteValues values(codec);
  const auto decode = table<kernels::ResidualTable>(ctx).decode;
  const auto pack = table<kernels::GemmTable>(ctx).pack;
  auto* const panels = reinterpret_cast<float*>(to.data());
  Arena& arena = ctx.arena();
  const index_t lanes = ctx.threads(), slices = (rows + kRows - 1) / kRows;
  if (arena.used() == 0) arena.reserve(static_cast<std::size_t>(lanes * kRows * channels) * sizeof(float));
  const ArenaScope scope(arena);
  float* const decoded = arena.carve<float>(lanes * kRows * channels);  // a slice each, which stays in L1
  constexpr index_t kGrain = 8;
  ctx.parallel_for((slices + kGrain - 1) / kGrain, [&](index_t i, int lane) {
    float* const mine = decoded + lane * kRows * channels;
    for (index_t s = i * kGrain; s < std::min(slices, (i + 1) * kGrain); ++s) {
      const index_t first = s * kRows, some = std::min(kRows, rows - first);
      decode(residual_args(codec, values.of), ids.data + first, codes.data + first * codec.bytes(), some, mine, channels);
      pack(mine, channels, some, channels, 0, 1, panels + s * kRows * channels);
    }
  });
  return PackedWeight(rows, channels, DType::f32, to.first(bytes), nullptr);
}

inline void centroid_interaction(Context& ctx, View<const float, 2> scores, index_t query_tokens, View<const float, 1> peaks,
                                 float threshold, View<const std::int32_t, 1> ids, View<const index_t, 1> cu_d,
                                 View<const index_t, 1> documents, View<float, 1> out) {
  using namespace detail;
  constexpr const char* kOp = "centroid_interaction";
  const index_t centroids = scores.extent[0], count = cu_d.extent[0] - 1, width = (query_tokens + 15) / 16 * 16;
  if (query_tokens < 0 || scores.extent[1] < width)
    shape_error(kOp, "columns of scores, in whole sixteens", scores.extent[1], width);
  expect(kOp, "peaks", peaks.extent[0], centroids);
  expect(kOp, "out", out.extent[0], documents.extent[0]);
  expect_rows(kOp, scores), expect_rows(kOp, peaks), expect_rows(kOp, documents), expect_rows(kOp, out);
  expect_offsets(kOp, "ids", cu_d, ids.extent[0]);
  expect_rows(kOp, ids);
  for (index_t i = 0; i < documents.extent[0]; ++i) {
    if (documents(i) < 0 || documents(i) >= count) fail(Code::kBadArgument, kOp, "a document that is none");
    const index_t begin = cu_d(documents(i));
    expect_ids(kOp, View<const std::int32_t, 1>(ids.data + begin, cu_d(documents(i) + 1) - begin), centroids);
  }
  const auto interact = table<kernels::ResidualTable>(ctx).interact;
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(static_cast<std::size_t>(ctx.threads() * width) * sizeof(float) + kAlignment);
  const ArenaScope scope(arena);
  float* const room = arena.carve<float>(ctx.threads() * width);
  constexpr index_t kGrain = 64;
  ctx.parallel_for((documents.extent[0] + kGrain - 1) / kGrain, [&](index_t task, int lane) {
    float* const most = room + lane * width;
    for (index_t i = task * kGrain; i < std::min(documents.extent[0], (task + 1) * kGrain); ++i) {
      const index_t begin = cu_d(documents(i)), end = cu_d(documents(i) + 1);
      std::fill_n(most, width, -__builtin_inff());
      interact(scores.data, scores.stride[0], width, peaks.data, threshold, ids.data + begin, end - begin, most);
      float sum = 0;
      for (index_t q = 0; q < query_tokens; ++q) sum += most[q];
      out(i) = sum;
    }
  });
}

}  // namespace tessera::ops
