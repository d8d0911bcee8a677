#pragma once
#include <cmath>
#include <limits>

#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/topk-inl.hpp>

namespace tessera::ops {

namespace detail {

constexpr const char* kCertified = "certified_top_k";

/// As products of bf16 see it: to nearest even, subnormal numbers as 0.
inline float as_bf16(float x) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const float rounded = __builtin_bit_cast(float, (bits + (bits >> 16 & 1U) + 0x7fffU) & 0xffff0000U);
  return std::fabs(rounded) < std::numeric_limits<float>::min() ? 0.0f : rounded;
}
/// The next larger float but one: not below what `x` stands for.
inline float not_below(double x) noexcept { return static_cast<float>(x * (1 + 0x1p-22)); }

/// Number `at` of row `row`, as its packed form has it.
inline float packed_number(const PackedWeight& w, index_t row, index_t at) noexcept {
  const index_t words = packed_words(w.dtype(), w.stored_k()), lane = row % kernels::kSlice;
  const std::byte* const slice =
      w.data() + (row / kernels::kSlice * words * kernels::kSlice + lane) * index_t{sizeof(float)};
  const auto word = [&](index_t i, auto value) {
    __builtin_memcpy(&value, slice + i * kernels::kSlice * index_t{sizeof(float)}, sizeof value);
    return value;
  };
  if (w.dtype() == DType::f32) return word(at, float{});
  if (w.dtype() == DType::bf16) {
    const auto pair = word(at / 2, std::uint32_t{});
    return as_bf16(__builtin_bit_cast(float, at % 2 ? pair & 0xffff0000U : pair << 16));
  }
  const auto four = word(kernels::kInt8Head + at / 4, std::uint32_t{});
  std::int32_t steps = static_cast<std::int32_t>(four << (24 - at % 4 * 8)) >> 24;
  if (word(kernels::kInt8Outlier, std::int32_t{}) == at) steps += word(kernels::kInt8Excess, std::int32_t{});
  return word(kernels::kInt8Scale, float{}) * static_cast<float>(steps);
}

/// |q| and by how much products with rows of that type move it at most.
struct QueryBound {
  double length = 0, error = 0;

  QueryBound(const float* q, index_t e, DType rows) {
    double most = 0, least = 0;
    for (index_t i = 0; i < e; ++i) {
      const double x = static_cast<double>(q[i]), off = x - static_cast<double>(as_bf16(q[i]));
      length += x * x, error += off * off;
      most = std::max(most, x), least = std::min(least, x);
    }
    length = std::sqrt(length), error = std::sqrt(error);
    // Of int8 half a step for each number, and a little for how that is computed.
    const double range = most - least;
    if (rows == DType::i8) error = range < 0x1p-90 ? length : std::sqrt(static_cast<double>(e)) * range / 255 * 0.51;
  }
};

/// Lists of certified_top_k(): keys are of upper bounds of scores.
struct CertifiedLists {
  SharedFloors shared;  ///< infinity: all rows are computed
  const TopKOptions& options;
  const float* slack_of;
  float* lower;  ///< [lanes, capacity]

  struct OfLane {
    const CertifiedLists* all;
    float* lower;
  };
  /// Below the score of which `upper` is the upper bound.
  float lower_bound(float upper, float slack, index_t row) const noexcept {
    const double scale = options.scale.data ? static_cast<double>(options.scale(row)) : 1;
    const double bias = options.bias.data ? std::fabs(static_cast<double>(options.bias(row)) * scale) : 0;
    const double width = 2 * static_cast<double>(slack) * static_cast<double>(slack_of[row]) * scale;
    const double u = static_cast<double>(upper);
    return static_cast<float>(u - width - 0x1p-20 * (std::fabs(u) + width + bias) - 1e-37);
  }
  /// Drops what the k best lower bounds rule out, and gives what is left room for as much again; what cannot be held is
  /// left to f32.
  static void shrink(const kernels::Selection& list, index_t row) noexcept {
    const OfLane& lane = *static_cast<const OfLane*>(list.state);
    const CertifiedLists& all = *lane.all;
    std::uint64_t* const keys = list.keys + row * list.capacity;
    index_t& count = list.counts[row];
    for (index_t i = 0; i < count; ++i)
      lane.lower[i] = all.lower_bound(score_of(keys[i]), list.slack[row], column_of(keys[i]));
    std::nth_element(lane.lower, lane.lower + (all.shared.k - 1), lane.lower + count, std::greater<>());
    float& floor = list.floors[row];
    floor = std::max(floor, lane.lower[all.shared.k - 1]);
    all.shared.raise(row, floor);
    count = std::remove_if(keys, keys + count, [&](std::uint64_t key) { return score_of(key) < floor; }) - keys;
    if (count <= list.capacity - list.capacity / 4) {
      list.limits[row] = std::min(list.capacity, std::max(list.limits[row], 2 * count));
      return;
    }
    floor = std::numeric_limits<float>::infinity();
    all.shared.raise(row, floor);
    count = 0;
  }
};

inline index_t certified_capacity(index_t k) noexcept { return 2 * k + 1024; }

struct CertifiedScratch {
  TopKScratch lists;
  float *slack, *slack_of, *lower;
  CertifiedScratch(Context& ctx, Arena& arena, index_t batch, index_t capacity, const PackedWeight& rows)
      : lists(ctx, arena, batch, capacity, rows),
        slack(arena.carve<float>(batch)),
        slack_of(arena.carve<float>(rows.n())),
        lower(arena.carve<float>(ctx.threads() * capacity)) {}
};

/// Scores in f32 of some rows, as top_k() has them.
struct ExactScores {
  View<const float, 2> rows;
  const TopKOptions& options;
  void (*chains)(const float* a, const float* const* rows, index_t n, index_t c, float* out) noexcept;

  /// Those of keys[0, n), n <= 16, replace their bounds; returns how many may be found.
  index_t rescore(const float* query, std::uint64_t* keys, index_t n, std::uint64_t* to) const noexcept {
    const float* from[16] = {};
    float scores[16];
    index_t ids[16], found = 0;
    for (index_t i = 0; i < n; ++i) ids[i] = column_of(keys[i]), from[i] = rows.data + ids[i] * rows.stride[0];
    chains(query, from, n, rows.extent[1], scores);
    for (index_t i = 0; i < n; ++i) {
      float s = scores[i];
      if (options.bias.data) s += options.bias(ids[i]);
      if (options.scale.data) s *= options.scale(ids[i]);
      if (s >= options.least) to[found++] = kernels::selection_key(s, ids[i]);
    }
    return found;
  }
};

/// Of the scores by coarse rows, how far they may be from those in f32: slack[b] * slack_of[r], of rows that may be found.
/// |q.x - q~.x~| <= (|q| + |q - q~|) * (|x - x~| + ratio * |x|), and what sums of f32 add to either product. Calls
/// unbounded(b) for a query of which this says nothing.
template <class F>
void bound_products(Context& ctx, View<const float, 2> queries, const CoarseRows& coarse,
                    View<const std::uint64_t, 1> allowed, float* slack, float* slack_of, const F& unbounded) {
  const index_t e = coarse.rows.k();
  const double rounding = (1.01 * static_cast<double>(e) + 16) * 0x1p-24;
  double ratio = 0;
  for (index_t b = 0; b < queries.extent[0]; ++b) {
    const QueryBound q(queries.data + b * queries.stride[0], e, coarse.rows.dtype());
    const double reach = q.length + q.error, most = reach * static_cast<double>(coarse.longest);
    slack[b] = 0;
    if (most > 1e-20 && most < 1e36) {  // nothing underflows to matter, nothing overflows
      ratio = std::max(ratio, q.error / reach);
      slack[b] = not_below(reach);
    } else {
      unbounded(b);
    }
  }
  for_rows(ctx, coarse.rows.n(), 4096, [&](index_t begin, index_t end) {
    const float *const error = coarse.error.data, *const length = coarse.length.data;
    for (index_t r = begin; r < end; ++r) {
      if (allowed.data && allowed(r / 64) == 0) {
        r |= 63;
        continue;
      }
      slack_of[r] =
          not_below(static_cast<double>(error[r]) * (1 + rounding) +
                    static_cast<double>(length[r]) * (ratio + 2 * rounding) + 1e-12 * static_cast<double>(coarse.longest));
    }
  });
}

/// f(lane, keys, count) for all rows that may be found, 16 at a time, as keys without a score.
template <class F>
void scan_rows(Context& ctx, index_t n, View<const std::uint64_t, 1> allowed, const F& f) {
  constexpr index_t kBlock = 1024;
  ctx.parallel_for((n + kBlock - 1) / kBlock, [&](index_t block, int lane) {
    std::uint64_t keys[16];
    index_t held = 0;
    for (index_t r = block * kBlock; r < std::min(n, (block + 1) * kBlock); ++r) {
      if (allowed.data && !(allowed(r / 64) >> (r % 64) & 1)) continue;
      keys[held++] = kernels::selection_key(0.0f, r);
      if (held == 16) f(lane, keys, held), held = 0;
    }
    if (held > 0) f(lane, keys, held);
  });
}

inline void expect_certified(View<const float, 2> rows, const CoarseRows& coarse, const TopKOptions& o) {
  const index_t n = coarse.rows.n();
  expect(kCertified, "rows", rows.extent[0], n);
  expect(kCertified, "channels of the rows", rows.extent[1], coarse.rows.k());
  expect_rows(kCertified, rows);
  for (index_t r = 0; o.scale.data && r < n; ++r) {
    if (o.allowed.data && o.allowed(r / 64) == 0)
      r |= 63;  // a range of a few rows costs no pass over all
    else if (!(o.scale(r) >= 0))
      fail(Code::kBadArgument, kCertified, "scales must not be negative");
  }
}

}  // namespace detail

inline CoarseRows::CoarseRows(PackedWeight packed, View<const float, 1> errors, View<const float, 1> lengths,
                              std::shared_ptr<const void> keeper)
    : rows(std::move(packed)), error(errors), length(lengths), owner(std::move(keeper)) {
  using namespace detail;
  if (rows.dtype() != DType::bf16 && rows.dtype() != DType::i8)
    fail(Code::kUnsupported, kCertified, "coarse rows are bf16 or int8");
  expect(kCertified, "errors", error.extent[0], rows.n());
  expect(kCertified, "lengths", length.extent[0], rows.n());
  expect_rows(kCertified, error), expect_rows(kCertified, length);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (index_t r = 0; r < rows.n(); ++r) {
    if (!(error(r) >= 0 && length(r) >= 0))
      throw Error(Code::kNonFinite, {kCertified, ": the bounds of row ", std::to_string(r), " are none"});
    longest = std::max(longest, error(r) < kInfinity ? length(r) : kInfinity);  // too large for bf16: all queries are exact
  }
}

inline void unpack_rows(const PackedWeight& w, index_t first, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "unpack_rows";
  if (!packs(w.dtype()) || w.gated()) fail(Code::kUnsupported, kOp, "rows are those of pack_weight(), not gated");
  expect(kOp, "channels", out.extent[1], w.k());
  expect_rows(kOp, out);
  if (first < 0 || out.extent[0] > w.n() - first) fail(Code::kBadArgument, kOp, "rows beyond the last one");
  const FpModeScope mode;
  for (index_t r = 0; r < out.extent[0]; ++r)
    for (index_t c = 0; c < w.k(); ++c) out(r, c) = packed_number(w, first + r, c);
}

inline CoarseRows CoarseRows::pack(Context& ctx, View<const float, 2> rows, DType as) {
  using namespace detail;
  if (as != DType::bf16 && as != DType::i8) fail(Code::kUnsupported, kCertified, "coarse rows are bf16 or int8");
  expect_rows(kCertified, rows);
  const index_t n = rows.extent[0], e = rows.extent[1];
  const auto finite = table<kernels::NormTable>(ctx).all_finite;
  for_rows(ctx, n, 256, [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r)
      if (!finite(rows.data + r * rows.stride[0], e))
        throw Error(Code::kNonFinite, {kCertified, ": row ", std::to_string(r), " holds NaN or infinity"});
  });
  WeightView w = rows;
  w.packed = as, w.most_rounding = std::numeric_limits<float>::infinity();
  PackedWeight packed = pack_weight(ctx, w);
  const auto numbers = std::make_shared<const Buffer>(static_cast<std::size_t>(2 * n) * sizeof(float));
  float *const error = numbers->as<float>(), *const length = error + n;
  for_rows(ctx, n, 16, [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      double off = 0, all = 0;
      for (index_t i = 0; i < e; ++i) {
        const double x = static_cast<double>(rows(r, i)), lost = x - static_cast<double>(packed_number(packed, r, i));
        off += lost * lost, all += x * x;
      }
      error[r] = not_below(std::sqrt(off)), length[r] = not_below(std::sqrt(all));
    }
  });
  return {std::move(packed), View<const float, 1>(error, n), View<const float, 1>(length, n), numbers};
}

inline std::size_t certified_topk_scratch(Context& ctx, index_t batch, index_t k, const CoarseRows& coarse) {
  Arena need = Arena::counting();
  (void)detail::CertifiedScratch(ctx, need, batch, detail::certified_capacity(std::min(k, coarse.rows.n())), coarse.rows);
  return need.peak();
}

inline void certified_top_k(Context& ctx, View<const float, 2> queries, View<const float, 2> rows, const CoarseRows& coarse,
                            const TopKOptions& o, const TopK& out, CertifiedStats* stats) {
  using namespace detail;
  const index_t batch = queries.extent[0], n = coarse.rows.n();
  expect_search(kCertified, queries, coarse.rows, o, out);
  expect_certified(rows, coarse, o);
  if (stats) *stats = {};
  if (batch == 0) return;

  const FpModeScope mode;
  const index_t k = std::min(out.ids.extent[1], n), capacity = certified_capacity(k), lanes = ctx.threads();
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(certified_topk_scratch(ctx, batch, k, coarse));
  const ArenaScope scope(arena);
  const CertifiedScratch s(ctx, arena, batch, capacity, coarse.rows);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  s.lists.begin(batch, lanes, std::min(capacity, 2 * k + 64), o.least);
  bound_products(ctx, queries, coarse, o.allowed, s.slack, s.slack_of,
                 [&](index_t b) { s.lists.shared[b].store(kInfinity); });
  const CertifiedLists all{{k, s.lists.shared}, o, s.slack_of, s.lower};
  search_panels(ctx, queries, coarse.rows, o, s.lists, all.shared, capacity,
                [&](kernels::Selection& list, int lane, const auto& run) {
                  const CertifiedLists::OfLane state{&all, s.lower + lane * capacity};
                  list.slack = s.slack, list.slack_of = s.slack_of;
                  list.shrink = CertifiedLists::shrink, list.state = &state;
                  run();
                });

  const ExactScores exact{rows, o, table<kernels::NormTable>(ctx).chains};
  std::atomic<index_t> rescored{0};
  ctx.parallel_for(batch, [&](index_t b, int lane) {
    const float floor = s.lists.shared[b].load(std::memory_order_relaxed);
    if (floor == kInfinity) return;
    std::uint64_t* const keys = s.lists.together + lane * lanes * capacity;
    const index_t count = s.lists.gather(keys, b, batch, lanes, capacity);
    std::sort(keys, keys + count, std::greater<>());
    index_t done = 0, found = 0;
    while (done < count) {
      if (found >= k && score_of(keys[done]) < keep_best(keys, found, k)) break;  // as are all behind it
      const index_t some = std::min<index_t>(16, count - done);
      found += exact.rescore(queries.data + b * queries.stride[0], keys + done, some, keys + found);
      done += some;
    }
    rescored += done;
    write_best(keys, found, out, b);
  });
  // What is left: parts of the rows on each lane, one query after the other.
  index_t exhausted = 0;
  for (index_t b = 0; b < batch; ++b) {
    if (s.lists.shared[b].load() != kInfinity) continue;
    ++exhausted;
    index_t* const counts = s.lists.counts;
    std::fill_n(counts, lanes, index_t{0});
    scan_rows(ctx, n, o.allowed, [&](int lane, std::uint64_t* ids, index_t held) {
      std::uint64_t* const keys = s.lists.together + lane * lanes * capacity;
      if (counts[lane] + held > capacity) (void)keep_best(keys, counts[lane], k), counts[lane] = k;
      counts[lane] += exact.rescore(queries.data + b * queries.stride[0], ids, held, keys + counts[lane]);
    });
    index_t count = 0;
    for (index_t lane = 0; lane < lanes; ++lane)
      count = std::copy_n(s.lists.together + lane * lanes * capacity, counts[lane], s.lists.keys + count) - s.lists.keys;
    rescored += n;
    write_best(s.lists.keys, count, out, b);
  }
  if (stats) *stats = {rescored.load(), exhausted};
}

}  // namespace tessera::ops
