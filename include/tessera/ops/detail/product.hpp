// What the operations that multiply by packed weights share.
#pragma once
#include <tessera/ops/detail/tables.hpp>

namespace tessera::ops::detail {

/// Words of a packed row of k numbers: floats, or pairs of bf16.
inline index_t packed_words(DType packed, index_t k) { return packed == DType::bf16 ? (k + 1) / 2 : k; }

inline auto gemm_for(Context& ctx, DType weight) {
  return weight == DType::bf16 ? table<kernels::Bf16GemmTable>(ctx).gemm : table<kernels::GemmTable>(ctx).gemm;
}

/// Where each lane rounds rows of A for weights of bf16; null for f32.
inline kernels::RoundedRows* carve_rounded(Arena& arena, DType weight, int lanes, index_t rows, index_t k) {
  if (weight != DType::bf16) return nullptr;
  const index_t most = kernels::rows_of_block(packed_words(weight, k));
  constexpr index_t kGroup = kernels::kRowGroup;
  const index_t words = ((rows < most ? rows : most) + kGroup - 1) / kGroup * kGroup * kernels::row_words(k);
  auto* const rounded = arena.carve<kernels::RoundedRows>(lanes);
  float* const data = arena.carve<float>(lanes * words);
  for (index_t i = 0; i < lanes && !arena.is_counting(); ++i) rounded[i] = {data + i * words, 0, 0};
  return rounded;
}

}  // namespace tessera::ops::detail
