// What the kernels that find the best rows of a corpus are asked: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/gemm.hpp>

namespace tessera::kernels::cuda {

/// A score and its row, so that a larger key is a better one: of equal scores that of the lower row; -0 and 0 are one. That
/// of the CPU, selection_key(). Not of NaN, so no key is 0 or all ones.
TESSERA_HOST_DEVICE std::uint64_t topk_key(float score, int row) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, add(score, 0.0f));
  const std::uint32_t turned = bits >> 31 ? ~bits : bits | 0x80000000U;
  return static_cast<std::uint64_t>(turned) << 32 | (0xffffffffU - static_cast<std::uint32_t>(row));
}
TESSERA_HOST_DEVICE float score_of_key(std::uint64_t key) noexcept {
  const auto turned = static_cast<std::uint32_t>(key >> 32);
  return __builtin_bit_cast(float, turned >> 31 ? turned & 0x7fffffffU : ~turned);
}
TESSERA_HOST_DEVICE int row_of_key(std::uint64_t key) noexcept {
  return static_cast<int>(0xffffffffU - static_cast<std::uint32_t>(key));
}

inline constexpr int kTopKMost = 128;

/// lists[chunk, q] = the k largest keys of rows [chunk * g.chunk, ...) for query q, in descending order, 0 where there are
/// fewer. score = (query . row + bias[row]) * scale[row], as the CPU's top_k() has it; NaN is never found. Rows are 16-byte
/// aligned. A score does not depend on other rows or queries, and which keys are the largest not on how rows are cut into
/// chunks.
struct TopKArgs {
  const bf16* queries;  ///< [batch, e]
  index_t ldq;
  const bf16* corpus;  ///< [n, e]
  index_t ldc;
  int batch, n, e, k;
  int chunk;                                      ///< rows of a chunk, a multiple of 128
  std::uint64_t* lists;                           ///< [chunks, batch, k]
  const float *bias = nullptr, *scale = nullptr;  ///< [n]
  const std::uint64_t* allowed = nullptr;         ///< [ceil(n / 64)]: bit r % 64 of word r / 64: whether row r may be found
  float least = -__builtin_inff();                ///< lower scores are not found

  constexpr int chunks() const noexcept { return (n + chunk - 1) / chunk; }
};
/// The best of all lists, the best first; id -1 and score -infinity where there are fewer than k.
struct TopKMergeArgs {
  const std::uint64_t* lists;
  int chunks, batch, k;
  float* scores;  ///< [batch, k]
  index_t lds;
  index_t* ids;  ///< [batch, k]
  index_t ldi;
  index_t* counts;  ///< [batch]: how many were found
};

/// A list of 32 leaves room for wider tiles than one of 128: both within the 99 KB that a block of sm_86 may have.
template <int kList>
struct TopKTile;
template <>
struct TopKTile<32> : GemmTile64x128 {};
template <>
struct TopKTile<128> : GemmTile<64, 64, 2, 2, 2> {};
template <int kList>
inline constexpr int kTopKSharedBytes = TopKTile<kList>::kSharedBytes + TopKTile<kList>::kRows* kList * 8;
inline constexpr int kTopKMergeQueries = 4;  ///< of a block: a warp each

/// Rows of a chunk: as few chunks as give every SM two blocks.
constexpr int topk_chunk(int n, int batch, int multiprocessors) noexcept {
  const int queries = (batch + 63) / 64, tiles = (n + 127) / 128, wanted = (2 * multiprocessors + queries - 1) / queries;
  return (wanted < tiles ? (tiles + wanted - 1) / wanted : 1) * 128;
}

}  // namespace tessera::kernels::cuda
