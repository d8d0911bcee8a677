#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <new>
#include <numeric>

#include <tessera/core/fp_mode.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/hamming.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/range_search.hpp>
#include <tessera/ops/similarity.hpp>
#include <tessera/ops/topk.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/detail/corpus_files.hpp>
#include <tessera/retrieval/detail/hit_lists.hpp>

namespace tessera::retrieval {

namespace detail {

/// Bits [first, first + count) of some, from bit 0 of word 0 on, and 0 behind them. Returns whether any is set.
inline bool take_bits(std::span<const std::uint64_t> bits, index_t first, index_t count, std::uint64_t* to) {
  const auto shift = static_cast<unsigned>(first % 64);
  std::uint64_t any = 0;
  for (index_t i = 0; i * 64 < count; ++i) {
    const auto at = static_cast<std::size_t>(first / 64 + i);
    std::uint64_t word = bits[at] >> shift;
    if (shift != 0 && at + 1 < bits.size()) word |= bits[at + 1] << (64 - shift);
    if (count - i * 64 < 64) word &= (std::uint64_t{1} << (count - i * 64)) - 1;
    any |= to[i] = word;
  }
  return any != 0;
}

}  // namespace detail

inline Corpus Corpus::open(const std::string& path) {
  // A part may go away between the file that names it and its own opening, when the corpus is replaced as a whole.
  for (int tries = 0;; ++tries) {
    const detail::Root root = detail::Root::read(path);
    Corpus c;
    c.format_ = root.format;
    try {
      for (const auto& part : root.parts) {
        auto s = root.alone ? root.alone
                            : detail::Segment::read(std::make_shared<const io::SafeTensors>(
                                  io::SafeTensors::open(detail::part_path(path, part.name))));
        if (s->id != part.id || s->rows != part.rows || !(s->format == root.format))
          throw Error(Code::kFormat, {s->file->name(), ": another part of a corpus than ", path, " names"});
        c.first_.push_back(c.rows_), c.rows_ += s->rows;
        c.segments_.push_back(std::move(s));
      }
    } catch (const Error& e) {
      if (e.code() == Code::kNotFound && tries < 3) continue;
      throw;
    }
    if (!root.removed.empty()) c.removed_ = std::make_shared<const std::vector<std::uint64_t>>(root.removed);
    return c;
  }
}

inline index_t Corpus::removed() const noexcept {
  index_t n = 0;
  if (removed_)
    for (const std::uint64_t word : *removed_) n += std::popcount(word);
  return n;
}

inline bool Corpus::has(index_t id) const noexcept {
  return id >= 0 && id < rows_ && !(removed_ && (*removed_)[static_cast<std::size_t>(id / 64)] >> (id % 64) & 1);
}

inline std::string_view Corpus::document(index_t id) const {
  if (id < 0 || id >= rows_)
    throw Error(Code::kBadArgument, {"corpus: no row ", std::to_string(id), ", it has ", std::to_string(rows_)});
  const auto s = static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), id) - first_.begin() - 1);
  const detail::Segment& segment = *segments_[s];
  if (segment.documents.empty()) return {};
  const index_t row = id - first_[s], begin = row == 0 ? 0 : segment.ends(row - 1);
  return segment.documents.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(segment.ends(row) - begin));
}

inline void Corpus::expect_queries(View<const float, 2> queries, const SearchOptions& o) const {
  if (queries.extent[1] != format_.dim)
    throw Error(Code::kShapeMismatch, {"corpus: queries of ", std::to_string(queries.extent[1]), " numbers, its rows have ",
                                       std::to_string(format_.dim)});
  if (queries.extent[1] > 1 && queries.stride[1] != 1)
    throw Error(Code::kBadStride, "corpus: the last dimension of the queries must be contiguous");
  if (!o.allowed.empty() && static_cast<index_t>(o.allowed.size()) != (rows_ + 63) / 64)
    throw Error(Code::kShapeMismatch, {"corpus: ", std::to_string(o.allowed.size()), " words of allowed, its rows ask for ",
                                       std::to_string((rows_ + 63) / 64)});
}

template <class F>
void Corpus::for_segments(Context& ctx, View<const float, 2> queries, const SearchOptions& o, const F& f) const {
  const index_t batch = queries.extent[0];
  std::vector<float> unit;
  if (format_.normalized) {
    unit.resize(static_cast<std::size_t>(batch * format_.dim));
    const View<float, 2> to(unit.data(), batch, format_.dim);
    ops::l2_normalize(ctx, queries, to);
    queries = to;
  }
  std::vector<std::uint8_t> bits;
  View<const std::uint8_t, 2> signs;
  if (format_.dtype == DType::boolean) {
    bits.resize(static_cast<std::size_t>(batch * ops::bit_bytes(format_.dim)));
    const View<std::uint8_t, 2> to(bits.data(), batch, ops::bit_bytes(format_.dim));
    ops::pack_bits(ctx, queries, to);
    signs = to;
  }
  std::vector<std::uint64_t> may = {o.allowed.begin(), o.allowed.end()}, words;
  if (removed_) {
    may.resize(removed_->size(), ~std::uint64_t{0});
    for (std::size_t i = 0; i < may.size(); ++i) may[i] &= ~(*removed_)[i];
  }
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    const detail::Segment& segment = *segments_[s];
    ops::TopKOptions options{.least = o.least};
    options.scale = View<const float, 1>(segment.scale.data(), static_cast<index_t>(segment.scale.size()));
    if (!may.empty()) {
      words.resize(static_cast<std::size_t>((segment.rows + 63) / 64));
      if (!detail::take_bits(may, first_[s], segment.rows, words.data())) continue;
      options.allowed = View<const std::uint64_t, 1>(words.data(), static_cast<index_t>(words.size()));
    }
    f(segment, first_[s], queries, signs, options);
  }
}

inline void Corpus::search(Context& ctx, View<const float, 2> queries, const SearchOptions& o, const ops::TopK& out,
                           ops::CertifiedStats* stats) const {
  try {
    search_all(ctx, queries, o, out, stats);
  } catch (const std::bad_alloc&) {
    throw Error(Code::kLimit, "corpus: out of memory; ask for fewer rows, or fewer queries at once");
  }
}

inline void Corpus::search_all(Context& ctx, View<const float, 2> queries, const SearchOptions& o, const ops::TopK& out,
                               ops::CertifiedStats* stats) const {
  const index_t batch = queries.extent[0], k = out.ids.extent[1];
  expect_queries(queries, o);
  if (out.ids.extent[0] != batch || out.scores.extent[0] != batch || out.scores.extent[1] != k ||
      out.counts.extent[0] != batch)
    throw Error(Code::kShapeMismatch, "corpus: ids and scores [B, k] and counts [B] do not fit the queries");
  if (k < 1) throw Error(Code::kBadArgument, "corpus: k must be positive");
  detail::HitLists part(batch, k), all(batch, k);  // `out` stays as it is until all is found
  ops::CertifiedStats taken;
  Ranking together;
  for_segments(ctx, queries, o,
               [&](const detail::Segment& segment, index_t first, View<const float, 2> q, View<const std::uint8_t, 2> signs,
                   const ops::TopKOptions& options) {
                 ops::CertifiedStats took;
                 if (format_.dtype == DType::boolean)
                   ops::hamming_top_k(ctx, signs, segment.bits, {options.allowed, o.least}, part.lists);
                 else if (format_.dtype == DType::f32)
                   ops::certified_top_k(ctx, q, segment.embeddings, segment.coarse, options, part.lists, &took);
                 else
                   ops::top_k(ctx, q, segment.packed, options, part.lists);
                 taken.rescored += took.rescored, taken.exhausted += took.exhausted;
                 detail::merge_hits(part.lists, first, all.lists, together);
               });
  if (stats) *stats = taken;
  for (index_t b = 0; b < batch; ++b) {
    const index_t found = out.counts(b) = all.lists.counts(b);
    for (index_t i = 0; i < k; ++i) {
      out.ids(b, i) = i < found ? all.lists.ids(b, i) : -1;
      out.scores(b, i) = i < found ? all.lists.scores(b, i) : -__builtin_inff();
    }
  }
}

inline std::vector<Ranking> Corpus::within(Context& ctx, View<const float, 2> queries, const SearchOptions& o,
                                           ops::CertifiedStats* stats) const {
  const index_t batch = queries.extent[0];
  expect_queries(queries, o);
  if (stats) *stats = {};
  std::vector<Ranking> found(static_cast<std::size_t>(batch));
  std::vector<float> scores(1024);
  std::vector<index_t> ids(scores.size()), offsets(static_cast<std::size_t>(batch) + 1);
  for_segments(ctx, queries, o,
               [&](const detail::Segment& segment, index_t first, View<const float, 2> q, View<const std::uint8_t, 2> signs,
                   const ops::TopKOptions& options) {
                 ops::CertifiedStats took;
                 const auto search = [&] {
                   const auto room = static_cast<index_t>(ids.size());
                   const ops::InRange out{View<float, 1>(scores.data(), room), View<index_t, 1>(ids.data(), room),
                                          View<index_t, 1>(offsets.data(), batch + 1)};
                   if (format_.dtype == DType::boolean)
                     return ops::hamming_range_search(ctx, signs, segment.bits, {options.allowed, o.least}, out);
                   if (format_.dtype == DType::f32)
                     return ops::certified_range_search(ctx, q, segment.embeddings, segment.coarse, options, out, &took);
                   return ops::range_search(ctx, q, segment.packed, options, out);
                 };
                 if (const auto all = static_cast<std::size_t>(search()); all > ids.size()) {
                   scores.resize(all), ids.resize(all);
                   search();
                 }
                 if (stats) stats->rescored += took.rescored, stats->exhausted += took.exhausted;
                 for (std::size_t b = 0; b < found.size(); ++b)
                   for (auto i = static_cast<std::size_t>(offsets[b]); i < static_cast<std::size_t>(offsets[b + 1]); ++i)
                     found[b].push_back({ids[i] + first, static_cast<double>(scores[i])});
               });
  if (segments_.size() > 1)
    for (Ranking& r : found) std::sort(r.begin(), r.end(), before);
  return found;
}

inline Corpus Corpus::prefix(Context& ctx, index_t dims) const {
  if (dims < 1 || dims > format_.dim)
    throw Error(Code::kBadArgument,
                {"corpus: a prefix of ", std::to_string(dims), " numbers of rows that have ", std::to_string(format_.dim)});
  if (format_.dtype == DType::i8)
    throw Error(Code::kUnsupported, "corpus: rows of int8 have no prefix of their own; index them cut, with --dims");
  Corpus cut = *this;
  cut.format_.dim = dims;
  for (auto& whole : cut.segments_) {
    auto s = std::make_shared<detail::Segment>(*whole);
    s->format = cut.format_;
    const index_t n = s->rows;
    if (format_.normalized && format_.dtype != DType::boolean) s->scale.resize(static_cast<std::size_t>(n));
    const auto renormalize = [&](index_t first, View<const float, 2> rows) {
      if (s->scale.empty()) return;
      const FpModeScope mode;
      const View<float, 1> scale(s->scale.data() + first, rows.extent[0]);
      ops::negative_half_squared_norms(ctx, rows, scale);
      for (index_t r = 0; r < rows.extent[0]; ++r) scale(r) = scale(r) < 0 ? 1.0f / std::sqrt(-2.0f * scale(r)) : 0.0f;
    };
    if (format_.dtype == DType::f32) {
      s->embeddings.extent[1] = dims;
      s->coarse = ops::CoarseRows::pack(ctx, s->embeddings, DType::i8);
      renormalize(0, s->embeddings);
    } else if (format_.dtype == DType::bf16) {
      s->packed = ops::packed_prefix(s->packed, dims);
      constexpr index_t kBlock = 1024;
      std::vector<float> numbers(s->scale.empty() ? 0 : static_cast<std::size_t>(kBlock * dims));
      for (index_t first = 0; !numbers.empty() && first < n; first += kBlock) {
        const View<float, 2> rows(numbers.data(), std::min(kBlock, n - first), dims);
        ops::unpack_rows(s->packed, first, rows);
        renormalize(first, rows);
      }
    } else {
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n * ops::bit_bytes(s->bits.panels.k())));
      View<std::uint8_t, 2> rows(bytes.data(), n, ops::bit_bytes(s->bits.panels.k()));
      s->bits.unpack(ctx, rows);
      rows.extent[1] = ops::bit_bytes(dims);
      s->bits = ops::BitRows::pack(ctx, rows, dims);
    }
    whole = std::move(s);
  }
  return cut;
}

}  // namespace tessera::retrieval
