// What the attention kernel is asked: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/tiles.hpp>

namespace tessera::kernels::cuda {

/// out[t, h] = sum over keys s of softmax_s(scale * q[t, h] . k[s, h']) v[s, h'], s in t's own sequence, causal: s <= t;
/// heads of q share those of k and v in groups, h' = h * kv_heads / heads. Tokens of all sequences lie one after the other;
/// rows have D numbers a head, side by side. Strides are multiples of 8, pointers 16-byte aligned; q, k and v may be parts
/// of one row.
struct AttentionArgs {
  const bf16* q;  ///< [T, heads, D]
  index_t ldq;
  const bf16* k;  ///< [T, kv_heads, D]
  index_t ldk;
  const bf16* v;  ///< [T, kv_heads, D]
  index_t ldv;
  bf16* out;  ///< [T, heads, D]
  index_t ldo;
  const std::int32_t* cu_seqlens;  ///< [sequences + 1], ascending from 0
  int heads, kv_heads;
  float scale;  ///< above 0
  bool causal;
  const float* key_weights = nullptr;  ///< [T] > 0: log added to a key's scores (proportional attention); null: all 1
};

/// Queries of a block, 16 a warp, and keys that pass at a time.
inline constexpr int kAttentionQueries = 64, kAttentionKeys = 64, kAttentionThreads = kAttentionQueries / 16 * 32;

/// Tiles of shared memory for heads of kHead numbers, a multiple of 8: queries, keys, values. Products take 16 numbers at a
/// time; those beyond kHead are zeros.
template <int kHead>
struct AttentionTile {
  static_assert(kHead % 8 == 0);
  static constexpr int kWidth = (kHead + 15) / 16 * 16;
  using Rows = PaddedTile<kWidth * 2>;
  static constexpr int kBytes = kAttentionKeys * Rows::kPitch;
  static constexpr int kSharedBytes = 3 * kBytes;
};

}  // namespace tessera::kernels::cuda
