// Kernels for NEON: f32x16 is four q registers.
#pragma once
#include <tessera/cpu/region.hpp>

#if defined(__aarch64__)
namespace tessera::kernels::inline TESSERA_BASE::neon {
TESSERA_PUSH_BITS
#define TESSERA_ELEMENTARY TESSERA_INLINE
// The order matters.
// clang-format off
#include <tessera/cpu/simd_neon.inl>
#include <tessera/cpu/simd_lanes.inl>
#include <tessera/cpu/kernels.inl>
// clang-format on
#undef TESSERA_ELEMENTARY
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::neon
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& neon_table() noexcept {
  return neon::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
