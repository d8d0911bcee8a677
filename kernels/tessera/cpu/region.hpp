// Target regions: how one header compiles kernels for instruction sets that the compiler was not told about.
//
// Every header that a kernel needs is included here, before the first region, so that nothing of them gets a target.
// In a region the compiler must not contract a*b+c (g++ does, at plain -O2, even over intrinsics): every fused
// multiply-add is written, or bits would depend on compiler and options.
#pragma once
#include <cstdint>
#include <limits>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#include <tessera/cpu/tile_args.hpp>
#include <tessera/tables/tables.hpp>

#if defined(__FAST_MATH__)
#error "tessera promises the same bits everywhere: build without -ffast-math"
#endif

// The baseline is part of every name, so that two translation units built with different -march do not merge.
#if defined(__AVX512F__)
#define TESSERA_BASE base_avx512
#elif defined(__AVX2__)
#define TESSERA_BASE base_avx2
#else
#define TESSERA_BASE base
#endif

#define TESSERA_INLINE [[gnu::always_inline]] inline
#define TESSERA_NOINLINE [[gnu::noinline]] inline
#define TESSERA_PRAGMA(x) _Pragma(#x)
// The compiler may not look through the pointer x: what hangs from it is addressed from it and not worked out anew.
#define TESSERA_OPAQUE(x) __asm__("" : "+r"(x))
#if defined(__clang__)
#define TESSERA_UNROLL _Pragma("clang loop unroll(full)")
#define TESSERA_PUSH_TARGET(isa) TESSERA_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define TESSERA_POP_TARGET _Pragma("clang attribute pop")
#define TESSERA_PUSH_BITS _Pragma("clang fp contract(off)")
#define TESSERA_POP_BITS
#else
#define TESSERA_UNROLL _Pragma("GCC unroll 16")
#define TESSERA_PUSH_TARGET(isa) _Pragma("GCC push_options") TESSERA_PRAGMA(GCC target(isa))
#define TESSERA_POP_TARGET _Pragma("GCC pop_options")
// g++ 12 warns about its own intrinsics' deliberately undefined operands.
#define TESSERA_PUSH_BITS                                                                                 \
  _Pragma("GCC push_options") _Pragma("GCC optimize(\"fp-contract=off\")") _Pragma("GCC diagnostic push") \
      _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"") _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")
#define TESSERA_POP_BITS _Pragma("GCC pop_options") _Pragma("GCC diagnostic pop")
#endif
