// Documents of many token embeddings, in 2 or 4 bits a number, searched by late interaction: ColBERTv2's compression and
// PLAID's search.
//
// An index is one safetensors file with "tessera.late_interaction" in its metadata: "centroids" F32 [K, E], "cutoffs" F32
// [2^bits - 1], "weights" F32 [2^bits], "token_centroids" I32 [T], "codes" U8 [T, E * bits / 8] (ops/residual.hpp says how
// bits lie), "document_offsets" I64 [N + 1], and of each centroid the documents that have a token of it, ascending:
// "list_documents" I32, "list_offsets" I64 [K + 1].
// Sources: Santhanam et al., "ColBERTv2", NAACL 2022, arXiv:2112.01488, section 3.3; "PLAID", CIKM 2022, arXiv:2205.09707.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/ops/residual.hpp>
#include <tessera/ops/topk.hpp>

namespace tessera::retrieval {

/// What PLAID leaves out: only documents of the cells that are nearest to a token of the query are looked at, by their
/// centroids alone first. Fewer than k documents are found where less than k are left.
struct PlaidPruning {
  index_t n_probe = 2;     ///< cells for each token of the query
  float threshold = 0.5f;  ///< in the first look, centroids less near to every token of the query do not count
  index_t n_docs = 1024;   ///< so many stay after the first look, a quarter after the second one, with all centroids

  /// The paper's for k results.
  static PlaidPruning of(index_t k) noexcept {
    if (k <= 10) return {1, 0.5f, 256};
    if (k <= 100) return {2, 0.45f, 1024};
    return {4, 0.4f, 4 * k > 4096 ? 4 * k : 4096};
  }
};

struct LateInteractionOptions {
  std::optional<PlaidPruning> pruning = {};  ///< none: all documents are scored
  /// [ceil(N / 64)], or empty: bit d % 64 of word d / 64 says whether document d may be found.
  View<const std::uint64_t, 1> allowed = {};
  float least = -__builtin_inff();  ///< lower scores are not found
};

/// The documents that are left after each of PLAID's stages, ascending.
struct PlaidStages {
  std::vector<index_t> probed;    ///< those of the cells, section 4.1
  std::vector<index_t> pruned;    ///< the best n_docs of them by pruned centroids, 4.3
  std::vector<index_t> centroid;  ///< the best n_docs / 4 of them by all centroids, 4.2: these are decoded and scored
};

/// An index, mapped. Copies share the file.
class LateInteractionIndex {
 public:
  /// \throws Error kNotFound, kIo, kFormat saying what is wrong where, kUnsupported for what a later version wrote.
  static LateInteractionIndex open(Context& ctx, const std::string& path);

  index_t documents() const noexcept { return cu_d_.extent[0] - 1; }
  index_t tokens() const noexcept { return ids_.extent[0]; }
  index_t dim() const noexcept { return codec_.centroids.extent[1]; }
  const ops::ResidualCodec& codec() const noexcept { return codec_; }
  View<const index_t, 1> document_offsets() const noexcept { return cu_d_; }
  View<const std::int32_t, 1> token_centroids() const noexcept { return ids_; }
  View<const std::uint8_t, 2> codes() const noexcept { return codes_; }
  View<const index_t, 1> list_offsets() const noexcept { return list_offsets_; }
  View<const std::int32_t, 1> list_documents() const noexcept { return list_documents_; }

  /// The best documents for each query by maxsim() of its tokens with residual_decode()'s: the larger score first, of equal
  /// ones the lower id. A document without tokens is never found, and a query without tokens finds nothing.
  /// \param queries [sum Tq, E] f32, rows may be padded.  \param cu_q [B + 1] offsets.
  /// \throws Error kShapeMismatch, kBadStride, kBadArgument, with `out` untouched.
  /// Determinism: same ids and bits for any batch, thread count, ISA.
  void search(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const LateInteractionOptions& options,
              const ops::TopK& out) const;

  /// What pruning leaves of the documents for one query [Tq, E]. \throws Error as search().
  PlaidStages stages(Context& ctx, View<const float, 2> query, const PlaidPruning& pruning,
                     View<const std::uint64_t, 1> allowed = {}) const;

 private:
  void score(Context& ctx, View<const float, 2> queries, View<const index_t, 1> cu_q, const std::vector<index_t>& documents,
             float least, const ops::TopK& out) const;
  void expect_options(const std::optional<PlaidPruning>& pruning, View<const std::uint64_t, 1> allowed) const;

  std::shared_ptr<const io::SafeTensors> file_;
  ops::ResidualCodec codec_;
  PackedWeight packed_;  // the centroids
  View<const std::int32_t, 1> ids_, list_documents_;
  View<const std::uint8_t, 2> codes_;
  View<const index_t, 1> cu_d_, list_offsets_;
};

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/late_interaction-inl.hpp>
#endif
