// The best k in f32, found by products of fewer bits and proved.
#pragma once
#include <memory>

#include <tessera/core/buffer.hpp>
#include <tessera/ops/topk.hpp>

namespace tessera::ops {

/// What packed rows from `first` on stand for, to [n, w.k()]. \throws Error kShapeMismatch, kBadArgument beyond the last
/// row, kUnsupported for gated ones.
void unpack_rows(const PackedWeight& w, index_t first, View<float, 2> out);

/// Rows [N, E] in bf16 or int8, and how far each of them is from what it stands for.
struct CoarseRows {
  PackedWeight rows;
  View<const float, 1> error;   ///< [N]: |x - x~|, not below it
  View<const float, 1> length;  ///< [N]: |x|, not below it
  float longest = 0;            ///< of all of them
  std::shared_ptr<const void> owner;

  CoarseRows() = default;
  /// What pack() made before, in another process even. `owner` keeps the numbers.
  /// \throws Error kShapeMismatch, kUnsupported, kNonFinite for a length or an error that is no number from 0 up.
  CoarseRows(PackedWeight rows, View<const float, 1> error, View<const float, 1> length, std::shared_ptr<const void> owner);
  /// \throws Error kUnsupported for another type, kNonFinite for a row that holds NaN or infinity, as pack_weight().
  static CoarseRows pack(Context& ctx, View<const float, 2> rows, DType as);
};

/// What a search took.
struct CertifiedStats {
  index_t rescored = 0;   ///< rows whose score was computed in f32, of all queries together
  index_t exhausted = 0;  ///< queries for which that were all rows: more of them than there is room for were near
};

/// Ids and scores of top_k(queries, rows in f32), bit for bit, for less than its traffic and arithmetic: by Cauchy and
/// Schwarz a product of what was rounded is within |q~| |x - x~| + |q - q~| |x| of that of what was not (and what f32
/// rounds), and only rows that this leaves in question are computed in f32. \param rows   [N, E] f32, those that `coarse`
/// was packed from. Few are read. \param options scale must not be negative. \throws Error as top_k(). Scratch:
/// certified_topk_scratch() bytes of the context's arena, which grows to them if nothing is carved from it.
void certified_top_k(Context& ctx, View<const float, 2> queries, View<const float, 2> rows, const CoarseRows& coarse,
                     const TopKOptions& options, const TopK& out, CertifiedStats* stats = nullptr);
std::size_t certified_topk_scratch(Context& ctx, index_t batch, index_t k, const CoarseRows& coarse);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/certified_topk-inl.hpp>
#endif
