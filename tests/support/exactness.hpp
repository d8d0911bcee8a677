// Whether a search is exact: beside scores in double, and beside itself on other instruction sets, threads, batches, shards.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/hamming.hpp>
#include "support/found.hpp"
#include "support/isas.hpp"

namespace tessera::test {

/// What makes exact search hard.
enum class Rows { random, clustered, duplicated, zero, nan, adversarial };
inline constexpr Rows kAllRows[] = {Rows::random, Rows::clustered, Rows::duplicated,
                                    Rows::zero,   Rows::nan,       Rows::adversarial};
inline const char* name_of(Rows kind) {
  constexpr const char* kNames[] = {"random", "clustered", "duplicated", "zero", "NaN", "adversarial"};
  return kNames[static_cast<int>(kind)];
}

/// \param q the queries, for what is to be near them.
inline Matrix rows_of(Rows kind, index_t n, index_t e, const Matrix& q, std::uint64_t seed) {
  Matrix rows = filled(n, e, {.seed = seed});
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (index_t r = 0; r < n; ++r) switch (kind) {
      case Rows::random: break;
      case Rows::clustered:  // around seven rows, as near as a millionth
        for (index_t c = 0; r >= 7 && c < e; ++c) rows(r, c) = rows(r % 7, c) + (r % 2 ? 1e-3f : 1e-6f) * rows(r, c);
        break;
      case Rows::duplicated:  // of a hundred, none alone
        for (index_t c = 0; r >= 100 && c < e; ++c) rows(r, c) = rows(r % 100, c);
        break;
      case Rows::zero:  // nine of ten, of both signs
        for (index_t c = 0; r % 10 != 3 && c < e; ++c) rows(r, c) = (r + c) % 2 ? 0.f : -0.f;
        break;
      case Rows::nan:
        if (r % 5 == 1) rows(r, r % e) = nan;
        if (r % 50 == 2) rows(r, r % e) = r % 100 == 2 ? inf : -inf;
        break;
      case Rows::adversarial:
        for (index_t c = 0; c < e; ++c) {
          const float x = q.rows > 0 ? q(r % q.rows, c) : 1.f;
          // A query times what grows by one unit in the last place; numbers that cancel; one far above the rest.
          if (r % 3 == 0) rows(r, c) = x * (0.5f + static_cast<float>(r % 1000) * 0x1p-24f);
          if (r % 3 == 1) rows(r, c) = (c % 2 ? 1.f : -1.f) * 1024.f + rows(r, c);
          if (r % 3 == 2 && c == r % e) rows(r, c) *= 300.f;
        }
    }
  return rows;
}

/// A way to search, and what it reads.
struct Way {
  DType as;
  bool certified;
  PackedWeight packed;
  ops::CoarseRows coarse;
  ops::BitRows bits;
  View<const float, 2> rows;

  Way(Context& ctx, View<const float, 2> r, DType type, bool proves) : as(type), certified(proves), rows(r) {
    if (as == DType::boolean) {
      bits = ops::BitRows::pack(ctx, rows);
    } else if (rows.extent[0] == 0) {  // of which there is nothing to pack
      packed = PackedWeight(0, rows.extent[1], as, Buffer(0));
      if (certified) coarse.rows = packed;
    } else if (certified) {
      coarse = ops::CoarseRows::pack(ctx, rows, as);
    } else {
      WeightView w = rows;
      w.packed = as, w.most_rounding = std::numeric_limits<float>::infinity();
      packed = ops::pack_weight(ctx, w);
    }
  }
  std::string name() const { return std::string(certified ? "certified " : "") + dtype_name(as); }
  Found search(Context& ctx, View<const float, 2> q, index_t k) const {
    Found found(q.extent[0], k);
    if (as == DType::boolean) {
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(q.extent[0] * ops::bit_bytes(q.extent[1])));
      const View<std::uint8_t, 2> signs(bytes.data(), q.extent[0], ops::bit_bytes(q.extent[1]));
      ops::pack_bits(ctx, q, signs);
      ops::hamming_top_k(ctx, signs, bits, {}, found.out());
    } else if (certified) {
      ops::certified_top_k(ctx, q, rows, coarse, {}, found.out());
    } else {
      ops::top_k(ctx, q, packed, {}, found.out());
    }
    return found;
  }
};

/// How the ids of a search in f32 differ from those of scores in double.
struct Differences {
  index_t queries = 0, ids = 0;
  index_t ties = 0;    ///< other ids, whose scores in double differ by less than f32 is proved to round
  index_t wrong = 0;   ///< other ids beyond that, orders that no rounding explains, rows passed over
  double closest = 0;  ///< the largest share of the proved bound that a score is off by

  void add(const Differences& o) {
    queries += o.queries, ids += o.ids, ties += o.ties, wrong += o.wrong, closest = std::max(closest, o.closest);
  }
};
inline Differences beside_double(const Matrix& q, View<const float, 2> rows, Found found) {
  const index_t n = rows.extent[0], e = rows.extent[1], k = found.k;
  const auto o = found.out();
  Differences d;
  std::vector<double> score(static_cast<std::size_t>(n)), bound(score.size());
  for (index_t b = 0; b < q.rows; ++b, ++d.queries) {
    std::vector<std::pair<double, index_t>> order;
    for (index_t r = 0; r < n; ++r) {
      const float *const x = rows.data + r * rows.stride[0], *const y = q.data() + b * q.ld;
      double sum = 0, size = 0;
      for (index_t c = 0; c < e; ++c) {
        const double term = static_cast<double>(x[c]) * static_cast<double>(y[c]);
        sum += term, size += std::abs(term);
      }
      const auto i = static_cast<std::size_t>(r);
      // A chain of e multiply-adds of f32 is off by less than e (1 + small) 2^-24 of the sum of sizes (Higham, Accuracy and
      // Stability, 3.1), and by what underflows.
      score[i] = sum;
      bound[i] = std::isfinite(size) ? 1.001 * static_cast<double>(e) * (0x1p-24 * size + 0x1p-149) : 0;
      if (!std::isnan(sum)) order.emplace_back(sum, r);
    }
    const auto better = [](const auto& x, const auto& y) {
      return x.first != y.first ? x.first > y.first : x.second < y.second;
    };
    const index_t count = std::min(k, static_cast<index_t>(order.size()));
    std::partial_sort(order.begin(), order.begin() + count, order.end(), better);
    d.wrong += o.counts(b) != count;
    std::vector<bool> taken(static_cast<std::size_t>(n));
    const auto may_be_above = [&](index_t i, index_t j) {
      const auto x = static_cast<std::size_t>(i), y = static_cast<std::size_t>(j);
      return score[x] == score[y] || score[x] + bound[x] >= score[y] - bound[y];
    };
    for (index_t i = 0; i < k; ++i) {
      const index_t id = o.ids(b, i);
      if (i >= o.counts(b)) {
        d.wrong += id != -1 || o.scores(b, i) != -std::numeric_limits<float>::infinity();
        continue;
      }
      ++d.ids;
      if (id < 0 || id >= n || taken[static_cast<std::size_t>(id)]) {
        ++d.wrong;
        continue;
      }
      const auto at = static_cast<std::size_t>(id);
      taken[at] = true;
      const double off = std::abs(static_cast<double>(o.scores(b, i)) - score[at]);
      if (bound[at] > 0) d.closest = std::max(d.closest, off / bound[at]);
      d.wrong += !(static_cast<double>(o.scores(b, i)) == score[at] || off <= bound[at]);
      if (i > 0 && o.ids(b, i - 1) >= 0 && o.ids(b, i - 1) < n) {
        d.wrong += !may_be_above(o.ids(b, i - 1), id);
        d.wrong += o.scores(b, i - 1) < o.scores(b, i) || (o.scores(b, i - 1) == o.scores(b, i) && o.ids(b, i - 1) > id);
      }
      const index_t there = i < count ? order[static_cast<std::size_t>(i)].second : -1;
      if (there == id) continue;
      if (there >= 0 && may_be_above(id, there) && may_be_above(there, id))
        ++d.ties;
      else
        ++d.wrong;
    }
    const index_t last = count > 0 && o.counts(b) == count ? o.ids(b, count - 1) : -1;
    for (const auto& [s, r] : order)
      if (!taken[static_cast<std::size_t>(r)] && last >= 0) d.wrong += !may_be_above(last, r);
  }
  return d;
}

/// Searches of parts of the rows, put together by score and id.
inline Found by_shards(Context& ctx, View<const float, 2> q, View<const float, 2> rows, DType as, bool certified, index_t k,
                       index_t shards) {
  const index_t n = rows.extent[0], batch = q.extent[0];
  std::vector<std::vector<std::pair<float, index_t>>> all(static_cast<std::size_t>(batch));
  for (index_t s = 0; s < shards; ++s) {
    const index_t begin = n * s / shards, end = n * (s + 1) / shards;
    Found part = Way(ctx, rows.slice(begin, end), as, certified).search(ctx, q, k);
    for (index_t b = 0; b < batch; ++b)
      for (index_t i = 0; i < part.out().counts(b); ++i)
        all[static_cast<std::size_t>(b)].emplace_back(part.out().scores(b, i), part.out().ids(b, i) + begin);
  }
  Found found(batch, k);
  const auto o = found.out();
  for (index_t b = 0; b < batch; ++b) {
    auto& hits = all[static_cast<std::size_t>(b)];
    std::sort(hits.begin(), hits.end(),
              [](const auto& x, const auto& y) { return x.first != y.first ? x.first > y.first : x.second < y.second; });
    o.counts(b) = std::min(k, static_cast<index_t>(hits.size()));
    for (index_t i = 0; i < k; ++i) {
      const bool there = i < o.counts(b);
      o.scores(b, i) = there ? hits[static_cast<std::size_t>(i)].first : -std::numeric_limits<float>::infinity();
      o.ids(b, i) = there ? hits[static_cast<std::size_t>(i)].second : -1;
    }
  }
  return found;
}

/// One corpus by every way to search it.
struct Exactness {
  Differences differences;  ///< of those in f32, certified or not
  index_t comparisons = 0;  ///< with the same search elsewhere
  std::vector<std::string> unequal;

  void expect(bool same, const std::string& what) {
    ++comparisons;
    if (!same) unequal.push_back(what);
  }
  /// \param threads to compare with one.
  void check(Rows kind, index_t n, index_t e, index_t k, index_t batch, const std::vector<int>& threads,
             const std::vector<index_t>& shards) {
    const Matrix q = filled(batch, e, {.seed = 3, .pad = 1}), rows = rows_of(kind, n, e, q, 4);
    const std::string at = std::string(name_of(kind)) + ", " + std::to_string(n) + " x " + std::to_string(e) + ", k " +
                           std::to_string(k) + ": ";
    Context first(isas().back(), 1);
    Found f32(0, k);
    for (const auto& [as, certified] : {std::pair(DType::f32, false),
                                        {DType::bf16, true},
                                        {DType::i8, true},
                                        {DType::bf16, false},
                                        {DType::i8, false},
                                        {DType::boolean, false}}) {
      if (certified && (kind == Rows::nan || n == 0)) continue;  // refused, as is documented
      const Way way(first, rows.in(), as, certified);
      const std::string of = at + way.name();
      const Found want = way.search(first, q.in(), k);
      if (as == DType::f32) differences.add(beside_double(q, rows.in(), want)), f32 = want;
      if (certified) expect(want == f32, of + " is not f32");
      for (const Isa isa : isas(as)) {
        Context one(isa, 1);
        expect(way.search(one, q.in(), k) == want, of + " on " + isa_name(isa));
      }
      for (const int t : threads) {
        Context many(isas().back(), t);
        expect(way.search(many, q.in(), k) == want, of + " on " + std::to_string(t) + " threads");
      }
      for (index_t b = 0; b < batch; b += std::max<index_t>(1, batch / 3)) {
        Found alone = way.search(first, q.in().slice(b, b + 1), k), all = want;
        bool same = alone.counts[0] == all.out().counts(b);
        for (index_t i = 0; i < k; ++i)
          same = same && alone.out().ids(0, i) == all.out().ids(b, i) &&
                 std::memcmp(&alone.out().scores(0, i), &all.out().scores(b, i), sizeof(float)) == 0;
        expect(same, of + ", a query alone");
      }
      for (const index_t s : shards)
        if (s <= n)
          expect(by_shards(first, q.in(), rows.in(), as, certified, k, s) == want,
                 of + " in " + std::to_string(s) + " shards");
    }
  }
};

}  // namespace tessera::test
