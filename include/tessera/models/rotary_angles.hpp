// By what the places of tokens turn their queries and keys, and the tables of it for the places of one batch.
#pragma once
#include <cstdint>
#include <vector>

#include <tessera/core/ragged_batch.hpp>
#include <tessera/ops/rotary.hpp>

namespace tessera::models {

/// Rotary positions of one kind of layers: pair i of a head turns by place * frequencies[i].
struct RotaryAngles {
  std::vector<float> frequencies = {};  ///< [R / 2] radians a place; the first R numbers of a head turn. Empty: nothing does
  float scale = 1.f;                    ///< of sines and cosines (YaRN, arXiv:2309.00071; LongRoPE, arXiv:2402.13753)
  /// Sequences of more places turn by long_frequencies instead, and are refused where there are none. 0: there is no limit.
  index_t most_places = 0;
  std::vector<float> long_frequencies = {};  ///< [R / 2], or empty
};

/// Tables for the places that occur in a batch, of several kinds of layers: made once a pass, read by all layers.
class RotaryTables {
 public:
  RotaryTables() = default;
  /// \param kinds those of the stack; some of them may turn nothing.  \param batch its offsets are read.
  /// \param places [sum T] of the tokens; how many a sequence has is its last one + 1. Each sequence goes by its own,
  /// whatever others there are. \throws Error kUnsupported for a sequence longer than its angles allow, kBadArgument for a
  /// place beyond 2^20 / the highest frequency.
  RotaryTables(const std::vector<const RotaryAngles*>& kinds, const RaggedBatch& batch, View<const std::int32_t, 1> places);

  bool empty() const noexcept { return rows_.empty(); }
  /// [sum T] rows of the tables, for ops::rotary.
  const std::vector<std::int32_t>& rows() const noexcept { return rows_; }
  /// Those of a kind; of one that turns nothing, empty.
  ops::Rotary of(std::size_t kind) const noexcept { return kind < tables_.size() ? tables_[kind].view() : ops::Rotary{}; }

 private:
  struct Table {
    std::vector<float> cos, sin;
    index_t rows = 0, half = 0;
    ops::Rotary view() const noexcept {
      return half == 0
                 ? ops::Rotary{}
                 : ops::Rotary{View<const float, 2>(cos.data(), rows, half), View<const float, 2>(sin.data(), rows, half)};
    }
  };
  std::vector<std::int32_t> rows_;
  std::vector<Table> tables_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/rotary_angles-inl.hpp>
#endif
