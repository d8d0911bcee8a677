// Kernels for any machine: sixteen floats in the compiler's vector extension.
#pragma once
#include <tessera/cpu/region.hpp>

namespace tessera::kernels::inline TESSERA_BASE::generic {
TESSERA_PUSH_BITS
#define TESSERA_ELEMENTARY TESSERA_NOINLINE  // four times as long as elsewhere: one copy
// The order matters.
// clang-format off
#include <tessera/cpu/simd_generic.inl>
#include <tessera/cpu/simd_lanes.inl>
#include <tessera/cpu/kernels.inl>
// clang-format on
#undef TESSERA_ELEMENTARY
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::generic

#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& generic_table() noexcept {
  return generic::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
