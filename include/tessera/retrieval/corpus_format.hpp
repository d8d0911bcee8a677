// What the rows of a corpus are.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::retrieval {

/// What all rows of a corpus have in common.
struct CorpusFormat {
  index_t dim = 0;
  /// f32: searched by int8, answers proved to be those of f32; bf16 or i8: only these are kept; boolean: only whether
  /// numbers are above 0, and a score is -(numbers of the query of which that differs)
  DType dtype = DType::f32;
  bool normalized = false;  ///< rows and queries are made to have length 1: scores are cosines, 0 for a row of zeros

  friend bool operator==(const CorpusFormat&, const CorpusFormat&) = default;
};
inline constexpr index_t kMostDim = 1 << 15;

}  // namespace tessera::retrieval
