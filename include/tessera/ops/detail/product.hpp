// What the operations that multiply by packed weights share.
#pragma once
#include <tessera/core/packed_weight.hpp>
#include <tessera/ops/detail/tables.hpp>

namespace tessera::ops::detail {

constexpr bool packs(DType t) noexcept { return t == DType::f32 || t == DType::bf16 || t == DType::i8; }

/// Words of k numbers of a packed row: floats, pairs of bf16, or four int8.
inline index_t product_words(DType packed, index_t k) {
  const index_t numbers = packed == DType::bf16 ? 2 : packed == DType::i8 ? 4 : 1;
  return (k + numbers - 1) / numbers;
}
/// Words of a packed row.
inline index_t packed_words(DType packed, index_t k) {
  return product_words(packed, k) + (packed == DType::i8 ? kernels::kInt8Head : 0);
}

/// GemmArgs::row_words.
inline index_t row_words_of(const PackedWeight& w) {
  return w.stored_k() == w.k() ? 0 : packed_words(w.dtype(), w.stored_k());
}

/// Rows [first, last) of a packed matrix that is not gated; first on a slice.
inline PackedWeight packed_rows(const PackedWeight& w, index_t first, index_t last) {
  const index_t row = packed_words(w.dtype(), w.stored_k()) * index_t{sizeof(float)};
  const index_t end = (last + kernels::kSlice - 1) / kernels::kSlice * kernels::kSlice;
  return w.part(static_cast<std::size_t>(first * row), static_cast<std::size_t>((end - first) * row), last - first, w.k());
}

/// Kernels for weights of a type other than f32, for which null.
inline const kernels::RoundedGemm* rounded_gemm(Context& ctx, DType weight) {
  if (weight == DType::i8) return &table<kernels::Int8GemmTable>(ctx);
  if (weight != DType::bf16) return nullptr;
  if (ctx.fast()) return &table<kernels::FastBf16GemmTable>(ctx);
  return &table<kernels::Bf16GemmTable>(ctx);
}
inline auto gemm_for(Context& ctx, DType weight) {
  const kernels::RoundedGemm* const rounded = rounded_gemm(ctx, weight);
  return rounded ? rounded->gemm : table<kernels::GemmTable>(ctx).gemm;
}

/// Where each lane rounds rows of A for weights that are not f32, and takes panels apart; else null.
inline kernels::RoundedRows* carve_rounded(Context& ctx, Arena& arena, DType weight, index_t rows, index_t k,
                                           bool glu = false) {
  const kernels::RoundedGemm* const product = rounded_gemm(ctx, weight);
  if (!product) return nullptr;
  const index_t most = kernels::rows_of_block(product_words(weight, k)), lanes = ctx.threads();
  constexpr index_t kGroup = kernels::kRowGroup;
  const index_t held = ((rows < most ? rows : most) + kGroup - 1) / kGroup * kGroup, words = held * product->row_ld(k);
  auto* const rounded = arena.carve<kernels::RoundedRows>(lanes);
  float* const data = arena.carve<float>(lanes * words);
  auto* const rounding = arena.carve<kernels::RowRounding>(lanes * held);
  const index_t of_k = product_words(weight, k), most_words = of_k < kernels::kDepth ? of_k : kernels::kDepth;
  const index_t wide_words = product->widens && rows >= kernels::kWidenRows ? most_words : 0;
  const index_t room = (glu ? 4 : 2) * kernels::kPanel * wide_words;
  float* const wide = arena.carve<float>(lanes * room);
  for (index_t i = 0; i < lanes && !arena.is_counting(); ++i)
    rounded[i] = {data + i * words, rounding + i * held, 0, 0, wide + i * room, wide_words};
  return rounded;
}

}  // namespace tessera::ops::detail
