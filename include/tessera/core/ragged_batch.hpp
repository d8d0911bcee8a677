// Sequences packed end to end. Padding does not exist inside the library; a padded input is converted at the door.
#pragma once
#include <tessera/core/view.hpp>

namespace tessera {

/// B sequences of T_b tokens in `cu_seqlens[B]` rows: sequence b is rows [cu_seqlens[b], cu_seqlens[b+1]).
/// Left padding, holes in a mask and merged tokens are just positions and lengths. Views borrow the caller's memory.
struct RaggedBatch {
  View<const index_t, 1> cu_seqlens = {};      ///< [B + 1], starts at 0, never decreases
  View<const std::int32_t, 2> positions = {};  ///< [axes, sum T], or empty: 0, 1, ... within each sequence on one axis
  /// [sum T], or empty: 0, 1, ... within each sequence. Rising within a sequence: where a token stands when those between
  /// that a mask leaves out are counted. Windows and biases by distance go by them.
  View<const std::int32_t, 1> columns = {};
  View<const std::int32_t, 1> segment_ids = {};  ///< [sum T], or empty: all 0 (BERT's token types)
  View<const float, 1> key_weights = {};         ///< [sum T] > 0, or empty: all 1. How many tokens a merged key stands for.

  index_t sequences() const noexcept { return cu_seqlens.extent[0] > 0 ? cu_seqlens.extent[0] - 1 : 0; }
  index_t tokens() const noexcept { return sequences() > 0 ? cu_seqlens(sequences()) : 0; }
  index_t begin(index_t b) const noexcept { return cu_seqlens(b); }
  index_t length(index_t b) const noexcept { return cu_seqlens(b + 1) - cu_seqlens(b); }
  index_t max_length() const noexcept {
    index_t longest = 0;
    for (index_t b = 0; b < sequences(); ++b) longest = length(b) > longest ? length(b) : longest;
    return longest;
  }
  /// \throws Error kShapeMismatch when cu_seqlens is not a partition, or a given view has another length.
  void check() const {
    if (cu_seqlens.extent[0] < 1 || cu_seqlens(0) != 0)
      throw Error(Code::kShapeMismatch, "ragged batch: cu_seqlens must start with 0");
    for (index_t b = 0; b < sequences(); ++b)
      if (length(b) < 0) throw Error(Code::kShapeMismatch, "ragged batch: cu_seqlens decreases");
    if (positions.data && positions.extent[1] != tokens())
      throw Error(Code::kShapeMismatch, "ragged batch: positions are not [axes, tokens]");
    if (columns.data && columns.extent[0] != tokens())
      throw Error(Code::kShapeMismatch, "ragged batch: columns are not [tokens]");
    if (segment_ids.data && segment_ids.extent[0] != tokens())
      throw Error(Code::kShapeMismatch, "ragged batch: segment_ids are not [tokens]");
    if (key_weights.data && key_weights.extent[0] != tokens())
      throw Error(Code::kShapeMismatch, "ragged batch: key_weights are not [tokens]");
  }
};

}  // namespace tessera
