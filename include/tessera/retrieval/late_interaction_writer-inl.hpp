#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/kmeans.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/residual.hpp>
#include <tessera/retrieval/detail/late_interaction_file.hpp>
#include <tessera/retrieval/late_interaction_writer.hpp>

namespace tessera::retrieval {

namespace detail {

/// Of each centroid the documents that have a token of it.
struct InvertedLists {
  std::vector<index_t> offsets;
  std::vector<std::int32_t> documents;

  InvertedLists(View<const std::int32_t, 1> ids, View<const index_t, 1> cu_d, index_t centroids)
      : offsets(static_cast<std::size_t>(centroids) + 1) {
    const auto each = [&](const auto& f) {
      std::vector<index_t> last(static_cast<std::size_t>(centroids), -1);
      for (index_t d = 0; d + 1 < cu_d.extent[0]; ++d)
        for (index_t t = cu_d(d); t < cu_d(d + 1); ++t)
          if (const auto c = static_cast<std::size_t>(ids(t)); std::exchange(last[c], d) != d)
            f(c, static_cast<std::int32_t>(d));
    };
    each([&](std::size_t c, std::int32_t) { ++offsets[c + 1]; });
    for (std::size_t c = 0; c + 1 < offsets.size(); ++c) offsets[c + 1] += offsets[c];
    documents.resize(static_cast<std::size_t>(offsets.back()));
    std::vector<index_t> at(offsets.begin(), offsets.end() - 1);
    each([&](std::size_t c, std::int32_t d) { documents[static_cast<std::size_t>(at[c]++)] = d; });
  }
};

/// The nearest centroid of each row.
inline void assign(Context& ctx, View<const float, 2> x, const PackedWeight& centroids, std::int32_t* ids) {
  constexpr index_t kBlock = 1024;
  std::vector<index_t> nearest(static_cast<std::size_t>(kBlock));
  for (index_t t = 0; t < x.extent[0]; t += kBlock) {
    const index_t some = std::min(kBlock, x.extent[0] - t);
    ops::nearest_rows(ctx, x.slice(t, t + some), centroids, View<index_t, 1>(nearest.data(), some));
    for (index_t i = 0; i < some; ++i) ids[t + i] = static_cast<std::int32_t>(nearest[static_cast<std::size_t>(i)]);
  }
}

/// The power of two at or below 16 sqrt(T), but not more than T.
inline index_t usual_centroids(index_t tokens) noexcept {
  index_t count = 1;
  while (count <= tokens / 2 && 4 * count * count <= 256 * tokens) count *= 2;
  return count;
}

}  // namespace detail

inline void write_late_interaction_index(Context& ctx, const std::string& path, View<const float, 2> tokens,
                                         View<const index_t, 1> cu_d, const LateInteractionFormat& f) {
  const index_t count = tokens.extent[0], dim = tokens.extent[1], documents = cu_d.extent[0] - 1;
  const auto refuse = [](Code code, const char* why) { throw Error(code, {"late interaction: ", why}); };
  if (documents < 0 || cu_d(0) != 0 || cu_d(documents) != count || !std::is_sorted(cu_d.data, cu_d.data + documents + 1))
    refuse(Code::kShapeMismatch, "offsets that do not divide the tokens into documents");
  if (documents >= index_t{1} << 31) refuse(Code::kLimit, "ids of documents have 31 bits");
  if (dim > 1 && tokens.stride[1] != 1) refuse(Code::kBadStride, "the last dimension must be contiguous");
  if (count == 0 || dim == 0) refuse(Code::kBadArgument, "no tokens to learn centroids of");
  if (f.bits != 2 && f.bits != 4) refuse(Code::kBadArgument, "codes have 2 or 4 bits");
  if (dim * f.bits % 8 != 0) refuse(Code::kBadArgument, "codes of a token must fill whole bytes");
  const index_t centroids = f.centroids == 0 ? detail::usual_centroids(count) : f.centroids;
  if (centroids < 1 || centroids > count || centroids >= index_t{1} << 31)
    refuse(Code::kBadArgument, "as many centroids as tokens at most");
  if (f.sample < 1 || f.iterations < 0) refuse(Code::kBadArgument, "a sample and iterations must not be negative or none");
  for (index_t t = 0; t < count; ++t)
    if (!ops::all_finite(ctx, tokens[t])) refuse(Code::kBadArgument, "tokens with NaN or infinity");

  const index_t sampled = f.sample > count / centroids ? count : f.sample * centroids;
  std::vector<index_t> rows(static_cast<std::size_t>(sampled));
  ops::draw_rows(f.seed, count, detail::view_of(rows));
  std::vector<float> sample(static_cast<std::size_t>(sampled * dim));
  for (index_t i = 0; i < sampled; ++i)
    std::copy_n(&tokens(rows[static_cast<std::size_t>(i)], 0), dim, sample.data() + i * dim);
  const View<const float, 2> seen(sample.data(), sampled, dim);
  std::vector<float> centers(static_cast<std::size_t>(centroids * dim)), cutoffs((std::size_t{1} << f.bits) - 1),
      weights(std::size_t{1} << f.bits);
  const View<float, 2> of(centers.data(), centroids, dim);
  ops::spherical_kmeans(ctx, seen, {f.iterations, f.seed}, of);
  const PackedWeight packed = ops::pack_weight(ctx, of);
  // Quantiles of millions of numbers need not more.
  const View<const float, 2> some = seen.slice(0, std::min(sampled, index_t{1} << 16));
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  detail::assign(ctx, some, packed, ids.data());
  ops::residual_buckets(ctx, some, of, View<const std::int32_t, 1>(ids.data(), some.extent[0]), detail::view_of(cutoffs),
                        detail::view_of(weights));

  const ops::ResidualCodec codec{of, detail::view_of(cutoffs), detail::view_of(weights)};
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(count * codec.bytes()));
  const View<std::uint8_t, 2> to(codes.data(), count, codec.bytes());
  detail::assign(ctx, tokens, packed, ids.data());
  ops::residual_encode(ctx, codec, tokens, detail::view_of(std::as_const(ids)), to);
  const detail::InvertedLists lists(detail::view_of(std::as_const(ids)), cu_d, centroids);
  io::write_safetensors(path,
                        {{"centroids", io::any_view(of)},
                         {"cutoffs", io::any_view(detail::view_of(cutoffs))},
                         {"weights", io::any_view(detail::view_of(weights))},
                         {"token_centroids", io::any_view(detail::view_of(ids))},
                         {"codes", io::any_view(to)},
                         {"document_offsets", io::any_view(cu_d)},
                         {"list_offsets", io::any_view(detail::view_of(lists.offsets))},
                         {"list_documents", io::any_view(detail::view_of(lists.documents))}},
                        {{detail::kLateInteraction, detail::kLateInteractionVersion}}, kAlignment);
}

}  // namespace tessera::retrieval
