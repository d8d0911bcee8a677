#pragma once
#include <algorithm>
#include <bit>
#include <utility>

#include <tessera/core/buffer.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/retrieval/detail/hit_lists.hpp>
#include <tessera/retrieval/detail/late_interaction_file.hpp>
#include <tessera/retrieval/late_interaction.hpp>

namespace tessera::retrieval {

namespace detail {

/// Tokens that are worked on at once: enough for all lanes, and what is made of them stays in the cache.
inline constexpr index_t kBlockTokens = 8192;

/// The `count` best of some documents, ascending.
inline std::vector<index_t> keep_best_documents(Context& ctx, const std::vector<index_t>& documents,
                                                const std::vector<float>& scores, index_t count) {
  HitLists best(1, count);
  ops::select_k(ctx, View<const float, 2>(scores.data(), index_t{1}, static_cast<index_t>(scores.size())), best.lists);
  std::vector<index_t> kept(best.ids.begin(), best.ids.begin() + best.counts[0]);
  for (index_t& id : kept) id = documents[static_cast<std::size_t>(id)];
  std::sort(kept.begin(), kept.end());
  return kept;
}

/// Products of centroids and the tokens of a query, [K, width]: what each token needs of one centroid lies together.
struct CentroidScores {
  index_t width;
  std::vector<float> scores, peaks;

  CentroidScores(Context& ctx, View<const float, 2> by_token)
      : width((by_token.extent[0] + 15) / 16 * 16),
        scores(static_cast<std::size_t>(by_token.extent[1] * width)),
        peaks(static_cast<std::size_t>(by_token.extent[1]), -__builtin_inff()) {
    const index_t tokens = by_token.extent[0], centroids = by_token.extent[1];
    constexpr index_t kBlock = 64;
    ctx.parallel_for((centroids + kBlock - 1) / kBlock, [&](index_t i, int) {
      const index_t begin = i * kBlock, end = std::min(centroids, begin + kBlock);
      for (index_t q = 0; q < tokens; ++q)
        for (index_t c = begin; c < end; ++c) {
          const float s = by_token(q, c);
          scores[static_cast<std::size_t>(c * width + q)] = s;
          float& peak = peaks[static_cast<std::size_t>(c)];
          peak = s > peak ? s : peak;
        }
    });
  }
  View<const float, 2> view() const {
    return View<const float, 2>(scores.data(), static_cast<index_t>(peaks.size()), width);
  }
};

}  // namespace detail

inline LateInteractionIndex LateInteractionIndex::open(Context& ctx, const std::string& path) {
  LateInteractionIndex index;
  index.file_ = std::make_shared<const io::SafeTensors>(io::SafeTensors::open(path));
  const detail::LateInteractionReader reader(*index.file_);
  ops::ResidualCodec& codec = index.codec_;
  codec.centroids = reader.tensor<float, 2>("centroids");
  const index_t centroids = codec.centroids.extent[0], dim = codec.centroids.extent[1];
  if (centroids < 1 || dim < 1) reader.refuse("centroids", "is empty");
  for (index_t c = 0; c < centroids; ++c)
    if (!ops::all_finite(ctx, codec.centroids[c])) reader.refuse("centroids", "holds NaN or infinity");
  const index_t buckets = reader.tensor<float, 1>("weights").extent[0];
  if (buckets != 4 && buckets != 16) reader.refuse("weights", "is not of 2 or 4 bits");
  codec.weights = reader.numbers(ctx, "weights", buckets), codec.cutoffs = reader.numbers(ctx, "cutoffs", buckets - 1);
  if (dim * codec.bits() % 8 != 0) reader.refuse("centroids", "has rows whose codes fill no whole bytes");
  index.ids_ = reader.ids("token_centroids", centroids);
  index.codes_ = reader.tensor<std::uint8_t, 2>("codes");
  if (index.codes_.extent[0] != index.tokens() || index.codes_.extent[1] != codec.bytes())
    reader.refuse("codes", "has another shape than its tokens ask for");
  index.cu_d_ = reader.offsets("document_offsets", index.tokens());
  index.list_documents_ = reader.ids("list_documents", index.documents());
  index.list_offsets_ = reader.offsets("list_offsets", index.list_documents_.extent[0]);
  if (index.list_offsets_.extent[0] != centroids + 1) reader.refuse("list_offsets", "has not a list a centroid");
  index.packed_ = ops::pack_weight(ctx, codec.centroids);
  return index;
}

inline PlaidStages LateInteractionIndex::stages(Context& ctx, View<const float, 2> query, const PlaidPruning& pruning,
                                                View<const std::uint64_t, 1> allowed) const {
  const index_t tokens = query.extent[0], centroids = codec_.centroids.extent[0];
  expect_options(pruning, allowed);
  PlaidStages left;
  if (tokens == 0 || documents() == 0) return left;
  std::vector<float> products(static_cast<std::size_t>(tokens * centroids));
  const View<float, 2> by_token(products.data(), tokens, centroids);
  ops::linear(ctx, query, packed_, {}, by_token);
  detail::HitLists cells(tokens, std::min(pruning.n_probe, centroids));
  ops::select_k(ctx, by_token, cells.lists);
  std::vector<std::uint64_t> found(static_cast<std::size_t>((documents() + 63) / 64));
  std::vector<index_t> probed = cells.ids;
  std::sort(probed.begin(), probed.end());
  probed.erase(std::unique(probed.begin(), probed.end()), probed.end());
  for (const index_t c : probed)
    for (index_t i = c < 0 ? 0 : list_offsets_(c); i < (c < 0 ? 0 : list_offsets_(c + 1)); ++i)
      found[static_cast<std::size_t>(list_documents_(i) / 64)] |= std::uint64_t{1} << (list_documents_(i) % 64);
  for (std::size_t w = 0; w < found.size(); ++w)
    for (std::uint64_t word = allowed.data ? found[w] & allowed(static_cast<index_t>(w)) : found[w]; word;
         word &= word - 1) {
      const index_t d = static_cast<index_t>(w) * 64 + std::countr_zero(word);
      if (cu_d_(d) < cu_d_(d + 1)) left.probed.push_back(d);
    }
  const auto count = [](const std::vector<index_t>& v) { return static_cast<index_t>(v.size()); };
  const index_t quarter = std::max<index_t>(1, pruning.n_docs / 4);
  left.pruned = left.probed;
  left.centroid = left.probed;
  if (count(left.probed) <= quarter) return left;
  const detail::CentroidScores scores(ctx, by_token);
  const auto best = [&](const std::vector<index_t>& documents, float threshold, index_t most) {
    if (count(documents) <= most) return documents;
    std::vector<float> found_scores(documents.size());
    ops::centroid_interaction(ctx, scores.view(), tokens, detail::view_of(scores.peaks), threshold, ids_, cu_d_,
                              detail::view_of(documents), detail::view_of(found_scores));
    return detail::keep_best_documents(ctx, documents, found_scores, most);
  };
  left.pruned = best(left.probed, pruning.threshold, pruning.n_docs);
  left.centroid = best(left.pruned, -__builtin_inff(), quarter);
  return left;
}

inline void LateInteractionIndex::score(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q,
                                        const std::vector<index_t>& documents, float least, const ops::TopK& out) const {
  const index_t batch = cu_q.extent[0] - 1;
  detail::HitLists part(batch, out.ids.extent[1]);
  Ranking together;
  std::vector<index_t> cu;
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> codes;
  Buffer panels;
  const index_t bytes = codec_.bytes();
  for (std::size_t first = 0, past = 0; first < documents.size(); first = past) {
    cu.assign(1, 0), ids.clear(), codes.clear();
    for (; past < documents.size(); ++past) {
      const index_t begin = cu_d_(documents[past]), end = cu_d_(documents[past] + 1);
      if (past > first && cu.back() + end - begin > detail::kBlockTokens) break;
      ids.insert(ids.end(), ids_.data + begin, ids_.data + end);
      codes.insert(codes.end(), codes_.data + begin * bytes, codes_.data + end * bytes);
      cu.push_back(cu.back() + end - begin);
    }
    if (const std::size_t need = ops::packed_bytes(cu.back(), dim(), DType::f32); panels.bytes() < need)
      panels = Buffer(need);
    const PackedWeight decoded = ops::residual_decode_packed(ctx, codec_, detail::view_of(std::as_const(ids)),
                                                             View<const std::uint8_t, 2>(codes.data(), cu.back(), bytes),
                                                             {panels.data(), panels.bytes()});
    ops::maxsim_top_k(ctx, queries, cu_q, decoded, detail::view_of(std::as_const(cu)), {.least = least}, part.lists);
    for (index_t& id : part.ids)
      if (id >= 0) id = documents[first + static_cast<std::size_t>(id)];
    detail::merge_hits(part.lists, 0, out, together);
  }
}

inline void LateInteractionIndex::search(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q,
                                         const LateInteractionOptions& o, const ops::TopK& out) const {
  const index_t batch = cu_q.extent[0] - 1, k = out.ids.extent[1];
  if (queries.extent[1] != dim())
    throw Error(Code::kShapeMismatch, {"late interaction: queries of ", std::to_string(queries.extent[1]),
                                       " numbers, its tokens have ", std::to_string(dim())});
  if (batch < 0 || cu_q(0) != 0 || cu_q(batch) != queries.extent[0] ||
      !std::is_sorted(cu_q.data, cu_q.data + cu_q.extent[0]))
    throw Error(Code::kShapeMismatch, "late interaction: offsets that do not divide the queries' tokens");
  if (queries.extent[1] > 1 && queries.stride[1] != 1)
    throw Error(Code::kBadStride, "late interaction: the last dimension of the queries must be contiguous");
  if (out.ids.extent[0] != batch || out.scores.extent[0] != batch || out.scores.extent[1] != k ||
      out.counts.extent[0] != batch)
    throw Error(Code::kShapeMismatch, "late interaction: ids and scores [B, k] and counts [B] do not fit the queries");
  if (k < 1) throw Error(Code::kBadArgument, "late interaction: k must be positive");
  expect_options(o.pruning, o.allowed);
  for (index_t b = 0; b < batch; ++b) out.counts(b) = 0;
  if (o.pruning) {
    for (index_t b = 0; b < batch; ++b) {
      const auto query = queries.slice(cu_q(b), cu_q(b + 1));
      const index_t offsets[] = {0, query.extent[0]};
      score(ctx, query, View<const index_t, 1>(offsets, index_t{2}), stages(ctx, query, *o.pruning, o.allowed).centroid,
            o.least, {out.scores.slice(b, b + 1), out.ids.slice(b, b + 1), out.counts.slice(b, b + 1)});
    }
  } else if (queries.extent[0] > 0) {
    std::vector<index_t> all;
    for (index_t d = 0; d < documents(); ++d)
      if (cu_d_(d) < cu_d_(d + 1) && (!o.allowed.data || (o.allowed(d / 64) >> (d % 64) & 1) != 0)) all.push_back(d);
    score(ctx, queries, cu_q, all, o.least, out);
  }
  for (index_t b = 0; b < batch; ++b) {
    if (cu_q(b) == cu_q(b + 1)) out.counts(b) = 0;
    for (index_t i = out.counts(b); i < k; ++i) out.ids(b, i) = -1, out.scores(b, i) = -__builtin_inff();
  }
}

inline void LateInteractionIndex::expect_options(const std::optional<PlaidPruning>& pruning,
                                                 View<const std::uint64_t, 1> allowed) const {
  if (pruning && (pruning->n_probe < 1 || pruning->n_docs < 1))
    throw Error(Code::kBadArgument, "late interaction: n_probe and n_docs must be positive");
  if (allowed.data && allowed.extent[0] != (documents() + 63) / 64)
    throw Error(Code::kShapeMismatch,
                {"late interaction: ", std::to_string(allowed.extent[0]), " words of allowed, its documents ask for ",
                 std::to_string((documents() + 63) / 64)});
}

}  // namespace tessera::retrieval
