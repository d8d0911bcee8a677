#pragma once
#include <algorithm>
#include <bit>
#include <numeric>

#include <tessera/ops/norm.hpp>
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

inline void Corpus::search(Context& ctx, View<const float, 2> queries, const SearchOptions& o, const ops::TopK& out,
                           ops::CertifiedStats* stats) const {
  const index_t batch = queries.extent[0], k = out.ids.extent[1];
  if (queries.extent[1] != format_.dim)
    throw Error(Code::kShapeMismatch, {"corpus: queries of ", std::to_string(queries.extent[1]), " numbers, its rows have ",
                                       std::to_string(format_.dim)});
  if (out.ids.extent[0] != batch || out.scores.extent[0] != batch || out.scores.extent[1] != k ||
      out.counts.extent[0] != batch)
    throw Error(Code::kShapeMismatch, "corpus: ids and scores [B, k] and counts [B] do not fit the queries");
  if (k < 1) throw Error(Code::kBadArgument, "corpus: k must be positive");
  if (queries.extent[1] > 1 && queries.stride[1] != 1)
    throw Error(Code::kBadStride, "corpus: the last dimension of the queries must be contiguous");
  if (!o.allowed.empty() && static_cast<index_t>(o.allowed.size()) != (rows_ + 63) / 64)
    throw Error(Code::kShapeMismatch, {"corpus: ", std::to_string(o.allowed.size()), " words of allowed, its rows ask for ",
                                       std::to_string((rows_ + 63) / 64)});
  if (stats) *stats = {};
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
  for (index_t b = 0; b < batch; ++b) out.counts(b) = 0;
  detail::HitLists part(batch, k);
  Ranking together;
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    const detail::Segment& segment = *segments_[s];
    ops::TopKOptions options{.least = o.least};
    if (!may.empty()) {
      words.resize(static_cast<std::size_t>((segment.rows + 63) / 64));
      if (!detail::take_bits(may, first_[s], segment.rows, words.data())) continue;
      options.allowed = View<const std::uint64_t, 1>(words.data(), static_cast<index_t>(words.size()));
    }
    ops::CertifiedStats took;
    if (format_.dtype == DType::boolean)
      ops::hamming_top_k(ctx, signs, segment.bits, {options.allowed, o.least}, part.lists);
    else if (format_.dtype == DType::f32)
      ops::certified_top_k(ctx, queries, segment.embeddings, segment.coarse, options, part.lists, &took);
    else
      ops::top_k(ctx, queries, segment.packed, options, part.lists);
    if (stats) stats->rescored += took.rescored, stats->exhausted += took.exhausted;
    detail::merge_hits(part.lists, first_[s], out, together);
  }
  for (index_t b = 0; b < batch; ++b)
    for (index_t i = out.counts(b); i < k; ++i) out.ids(b, i) = -1, out.scores(b, i) = -__builtin_inff();
}

}  // namespace tessera::retrieval
