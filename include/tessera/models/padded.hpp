// The door for padded input: [B, T] arrays with a mask become a ragged batch, and results go back to their places.
#pragma once
#include <string>
#include <vector>

#include <tessera/models/transformer.hpp>

namespace tessera::models {

/// The unmasked tokens of a padded batch, packed. Holes and left padding are just tokens that are not there; a token keeps
/// its column, as transformers has it, and the position that the model counts in the whole row, unless positions are given.
class PaddedBatch {
 public:
  /// \param ids  [B, T].  \param mask, segments, positions  [B, T], or empty: all 1, all 0, default_positions().
  /// \throws Error kShapeMismatch.
  PaddedBatch(const TransformerConfig& config, View<const std::int32_t, 2> ids, View<const std::int32_t, 2> mask = {},
              View<const std::int32_t, 2> segments = {}, View<const std::int32_t, 2> positions = {});

  TokenInputs inputs() const;
  index_t tokens() const noexcept { return static_cast<index_t>(ids_.size()); }
  /// Copies packed rows [tokens(), C] to out [B * T, C]; the rows of masked positions become 0.
  void scatter(View<const float, 2> packed, View<float, 2> out) const;
  /// Row b is true where the token at column 0 of sequence b is there: what cls pooling of a padded model reads.
  bool has_first(index_t b) const noexcept {
    const index_t at = cu_[static_cast<std::size_t>(b)];
    return at < cu_[static_cast<std::size_t>(b) + 1] && place_[static_cast<std::size_t>(at)] == b * columns_;
  }
  View<const index_t, 1> cu_seqlens() const { return View<const index_t, 1>(cu_.data(), static_cast<index_t>(cu_.size())); }

 private:
  std::vector<std::int32_t> ids_, segments_, positions_, columns_of_;
  std::vector<index_t> cu_{0}, place_;  // place: row of the padded array
  index_t columns_ = 0;
};

inline PaddedBatch::PaddedBatch(const TransformerConfig& config, View<const std::int32_t, 2> ids,
                                View<const std::int32_t, 2> mask, View<const std::int32_t, 2> segments,
                                View<const std::int32_t, 2> positions)
    : columns_(ids.extent[1]) {
  for (const auto& v : {mask, segments, positions})
    if (v.data && (v.extent[0] != ids.extent[0] || v.extent[1] != ids.extent[1]))
      throw Error(Code::kShapeMismatch, {"padded batch: mask, token types and positions must have the shape of the ids, [",
                                         std::to_string(ids.extent[0]), ", ", std::to_string(ids.extent[1]), "]"});
  std::vector<std::int32_t> counted(static_cast<std::size_t>(columns_));
  for (index_t b = 0; b < ids.extent[0]; ++b) {
    default_positions(config, ids[b], counted.data());
    const std::size_t first = ids_.size();
    for (index_t t = 0; t < columns_; ++t) {
      if (mask.data && mask(b, t) == 0) continue;
      const index_t own = config.counts_masked ? t : static_cast<index_t>(ids_.size() - first);
      ids_.push_back(ids(b, t));
      segments_.push_back(segments.data ? segments(b, t) : 0);
      positions_.push_back(positions.data ? positions(b, t) : counted[static_cast<std::size_t>(own)]);
      columns_of_.push_back(static_cast<std::int32_t>(t));
      place_.push_back(b * columns_ + t);
    }
    cu_.push_back(static_cast<index_t>(ids_.size()));
  }
}

inline TokenInputs PaddedBatch::inputs() const {
  TokenInputs in;
  in.ids = View<const std::int32_t, 1>(ids_.data(), tokens());
  in.batch.cu_seqlens = cu_seqlens();
  in.batch.segment_ids = View<const std::int32_t, 1>(segments_.data(), tokens());
  in.batch.columns = View<const std::int32_t, 1>(columns_of_.data(), tokens());
  in.batch.positions = View<const std::int32_t, 2>(positions_.data(), index_t{1}, tokens());
  return in;
}

inline void PaddedBatch::scatter(View<const float, 2> packed, View<float, 2> out) const {
  const index_t c = packed.extent[1];
  for (index_t r = 0; r < out.extent[0]; ++r)
    for (index_t j = 0; j < c; ++j) out(r, j) = 0.f;
  for (index_t t = 0; t < tokens(); ++t)
    __builtin_memcpy(out.data + place_[static_cast<std::size_t>(t)] * out.stride[0], packed.data + t * packed.stride[0],
                     static_cast<std::size_t>(c) * sizeof(float));
}

}  // namespace tessera::models
