// The CPU tables: one function template per instruction set that this build has, declared or, headers only, with its
// kernels.
#pragma once
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if !defined(TESSERA_COMPILED)
#if TESSERA_BUILT_GENERIC
#include <tessera/cpu/generic.hpp>
#endif
#if TESSERA_BUILT_AVX2
#include <tessera/cpu/avx2.hpp>
#endif
#if TESSERA_BUILT_AVX512
#include <tessera/cpu/avx512.hpp>
#endif
#if TESSERA_BUILT_AVX512_VNNI
#include <tessera/cpu/avx512_vnni.hpp>
#endif
#if TESSERA_BUILT_AVX512_BF16_VNNI
#include <tessera/cpu/avx512_bf16_vnni.hpp>
#endif
#if TESSERA_BUILT_AMX
#include <tessera/cpu/amx.hpp>
#endif
#if TESSERA_BUILT_NEON
#include <tessera/cpu/neon.hpp>
#endif
#if TESSERA_BUILT_NEON_DOTPROD
#include <tessera/cpu/neon_dotprod.hpp>
#endif
#if TESSERA_BUILT_NEON_BF16
#include <tessera/cpu/neon_bf16.hpp>
#endif
#else
namespace tessera::kernels {
template <class Table>
const Table& generic_table() noexcept;
template <class Table>
const Table& avx2_table() noexcept;
template <class Table>
const Table& avx512_table() noexcept;
template <class Table>
const Table& avx512_vnni_table() noexcept;
template <class Table>
const Table& avx512_bf16_vnni_table() noexcept;
template <class Table>
const Table& amx_table() noexcept;
template <class Table>
const Table& neon_table() noexcept;
template <class Table>
const Table& neon_dotprod_table() noexcept;
template <class Table>
const Table& neon_bf16_table() noexcept;
}  // namespace tessera::kernels
#endif
