#pragma once
#include <string>
#include <type_traits>

#include <tessera/cpu/cpu.hpp>
#include <tessera/ops/detail/tables.hpp>

namespace tessera::ops::detail {

template <class Table>
inline constexpr bool needs_matrix_unit =
    std::is_same_v<Table, kernels::Int8GemmTable> || std::is_same_v<Table, kernels::FastBf16GemmTable>;

template <class Table>
const Table& table(Context& ctx) noexcept {
  switch (ctx.isa()) {
#if TESSERA_BUILT_AMX
    case Isa::amx:
      if (needs_matrix_unit<Table> && !tessera::detail::permit_amx()) return kernels::avx512_vnni_table<Table>();
      return kernels::amx_table<Table>();
#endif
#if TESSERA_BUILT_AVX512_VNNI
    case Isa::avx512_vnni: return kernels::avx512_vnni_table<Table>();
#endif
#if TESSERA_BUILT_AVX512_BF16_VNNI
    case Isa::avx512_bf16_vnni: return kernels::avx512_bf16_vnni_table<Table>();
#endif
#if TESSERA_BUILT_AVX512
    case Isa::avx512: return kernels::avx512_table<Table>();
#endif
#if TESSERA_BUILT_AVX2
    case Isa::avx2: return kernels::avx2_table<Table>();
#endif
#if TESSERA_BUILT_NEON_BF16
    case Isa::neon_bf16: return kernels::neon_bf16_table<Table>();
#endif
#if TESSERA_BUILT_NEON_DOTPROD
    case Isa::neon_dotprod: return kernels::neon_dotprod_table<Table>();
#endif
#if TESSERA_BUILT_NEON
    case Isa::neon: return kernels::neon_table<Table>();
#endif
#if TESSERA_BUILT_GENERIC
    case Isa::generic: return kernels::generic_table<Table>();
#endif
    default: break;
  }
  __builtin_unreachable();  // a Context refuses an ISA that is not built
}
#ifdef TESSERA_COMPILED
#define TESSERA_INSTANTIATE(Table) template const kernels::Table& table<kernels::Table>(Context&) noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
#undef TESSERA_INSTANTIATE
#endif

inline void shape_error(const char* op, const char* what, index_t found, index_t expected) {
  throw Error(Code::kShapeMismatch,
              {op, ": ", what, " is ", std::to_string(found), ", expected ", std::to_string(expected)});
}
inline void fail(Code code, const char* op, const char* sentence) { throw Error(code, {op, ": ", sentence}); }

}  // namespace tessera::ops::detail
