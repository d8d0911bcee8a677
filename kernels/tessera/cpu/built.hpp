// Which instruction sets this build has kernels for: all of the architecture, or, under TESSERA_STATIC_ISA, the best that
// the compiler was told to build for. core/isa.hpp states the same choice for the machine.
#pragma once

#define TESSERA_BUILT_GENERIC 0
#define TESSERA_BUILT_AVX2 0
#define TESSERA_BUILT_AVX512 0
#define TESSERA_BUILT_AVX512_VNNI 0
#define TESSERA_BUILT_AVX512_BF16_VNNI 0
#define TESSERA_BUILT_AMX 0
#define TESSERA_BUILT_NEON 0
#define TESSERA_BUILT_NEON_DOTPROD 0
#define TESSERA_BUILT_NEON_BF16 0

#if !defined(TESSERA_STATIC_ISA)
#undef TESSERA_BUILT_GENERIC
#define TESSERA_BUILT_GENERIC 1
#if defined(__x86_64__)
#undef TESSERA_BUILT_AVX2
#define TESSERA_BUILT_AVX2 1
#undef TESSERA_BUILT_AVX512
#define TESSERA_BUILT_AVX512 1
#undef TESSERA_BUILT_AVX512_VNNI
#define TESSERA_BUILT_AVX512_VNNI 1
#undef TESSERA_BUILT_AVX512_BF16_VNNI
#define TESSERA_BUILT_AVX512_BF16_VNNI 1
#undef TESSERA_BUILT_AMX
#define TESSERA_BUILT_AMX 1
#elif defined(__aarch64__)
#undef TESSERA_BUILT_NEON
#define TESSERA_BUILT_NEON 1
#undef TESSERA_BUILT_NEON_DOTPROD
#define TESSERA_BUILT_NEON_DOTPROD 1
#undef TESSERA_BUILT_NEON_BF16
#define TESSERA_BUILT_NEON_BF16 1
#endif
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#undef TESSERA_BUILT_AVX512
#define TESSERA_BUILT_AVX512 1
#if defined(__AVX512VNNI__)
#undef TESSERA_BUILT_AVX512_VNNI
#define TESSERA_BUILT_AVX512_VNNI 1
#if defined(__AVX512BF16__) && defined(__AVX512BITALG__)
#undef TESSERA_BUILT_AVX512_BF16_VNNI
#define TESSERA_BUILT_AVX512_BF16_VNNI 1
#endif
#endif
#elif defined(__AVX2__) && defined(__FMA__)
#undef TESSERA_BUILT_AVX2
#define TESSERA_BUILT_AVX2 1
#elif defined(__aarch64__)
#undef TESSERA_BUILT_NEON
#define TESSERA_BUILT_NEON 1
#if defined(__ARM_FEATURE_DOTPROD)
#undef TESSERA_BUILT_NEON_DOTPROD
#define TESSERA_BUILT_NEON_DOTPROD 1
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#undef TESSERA_BUILT_NEON_BF16
#define TESSERA_BUILT_NEON_BF16 1
#endif
#endif
#else
#undef TESSERA_BUILT_GENERIC
#define TESSERA_BUILT_GENERIC 1
#endif
