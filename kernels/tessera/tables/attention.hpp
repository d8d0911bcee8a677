// Scaled dot-product attention of one head over one sequence.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels {

struct AttentionArgs {
  const float *q, *k, *v;  ///< rows of this sequence and head: q [tq, d], k [tk, d], v [tk, dv]
  index_t ldq, ldk, ldv;
  float* out;  ///< [tq, dv]
  index_t ldo;
  index_t tq, tk, d, dv;
  float scale = 0.f;         ///< > 0; 0: 1 / sqrt(d)
  float softcap = 0.f;       ///< > 0: scaled scores become softcap * tanh(score / softcap); 0: they stay
  bool causal = false;       ///< query i sees keys up to i + tk - tq
  index_t window_left = -1;  ///< keys before the query's own that it sees; -1: all
  index_t window_right = -1;
  const float* key_weights = nullptr;  ///< [tk] > 0
  /// Added to scaled scores, if there: by_distance[place of key - place of query].
  const float* by_distance = nullptr;
  const std::int32_t* places = nullptr;  ///< [tk = tq], rising; else key j stands at j, query i at i + tk - tq
  /// Tables of places [position_rows, d], or null. With r = row_of[place of key - place of query], q . position_keys[r] and
  /// k . position_queries[r] are added to q . k, in this order, before the scale. row_of is null where there is neither.
  const float *position_keys = nullptr, *position_queries = nullptr;
  index_t ld_position_keys = 0, ld_position_queries = 0, position_rows = 0;
  const std::int32_t* row_of = nullptr;
  float* probabilities = nullptr;  ///< out [tq, columns >= tk], zeros where a query does not see
  index_t ldp = 0, columns = 0;
};

struct AttentionTable {
  /// Query rows [q0, q1); `scratch` holds scratch_floats() numbers on a 64-byte boundary.
  void (*head)(const AttentionArgs& args, index_t q0, index_t q1, float* scratch) noexcept;
  index_t (*scratch_floats)(index_t tk, index_t d, index_t dv, index_t position_rows) noexcept;
};
/// The same by products of bf16: q, k, v, tables of places and the exponentials are rounded (to nearest even), the sum of
/// the exponentials is that before rounding. All products are chains as Bf16GemmTable has them, pairs of k counted from
/// channel 0 and key 0.
struct Bf16AttentionTable : AttentionTable {};

}  // namespace tessera::kernels
