// Kernels for AVX-512 (F, BW, DQ, VL): f32x16 is one zmm register.
#pragma once
#include <tessera/cpu/region.hpp>

#if defined(__x86_64__)
TESSERA_PUSH_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
namespace tessera::kernels::inline TESSERA_BASE::avx512 {
TESSERA_PUSH_BITS
#define TESSERA_ELEMENTARY TESSERA_INLINE
// The order matters.
// clang-format off
#include <tessera/cpu/simd_x86.inl>
#include <tessera/cpu/simd_avx512.inl>
#include <tessera/cpu/kernels.inl>
// clang-format on
#undef TESSERA_ELEMENTARY
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::avx512
TESSERA_POP_TARGET
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& avx512_table() noexcept {
  return avx512::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
