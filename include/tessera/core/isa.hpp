// The instruction sets that kernels exist for, and which of them this machine has.
#pragma once
#include <tessera/core/error.hpp>

namespace tessera {

/// Every one gives the same bits, but amx: with weights of bf16 its sums have an order of their own.
/// avx512_bf16_vnni is avx512 with instructions for bf16 and int8; amx is that with the matrix unit.
enum class Isa : unsigned char { generic, avx2, avx512, avx512_bf16_vnni, amx, neon };

constexpr const char* isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::generic: return "generic";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512_bf16_vnni: return "avx512_bf16_vnni";
    case Isa::amx: return "amx";
    case Isa::neon: return "neon";
  }
  return "unknown";
}

/// Some of them, slowest first.
struct IsaList {
  Isa isa[4];
  int count;
  const Isa* begin() const noexcept { return isa; }
  const Isa* end() const noexcept { return isa + count; }
};

/// Those that this build and this machine share and that give the same bits.
inline IsaList available_isas() noexcept {
#if defined(TESSERA_STATIC_ISA) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)
  return {{Isa::avx512_bf16_vnni}, 1};
#else
  return {{Isa::avx512}, 1};
#endif
#elif defined(TESSERA_STATIC_ISA) && defined(__AVX2__) && defined(__FMA__)
  return {{Isa::avx2}, 1};
#elif defined(TESSERA_STATIC_ISA) && defined(__aarch64__)
  return {{Isa::neon}, 1};
#elif defined(TESSERA_STATIC_ISA)
  return {{Isa::generic}, 1};
#elif defined(__x86_64__)
  IsaList list{{Isa::generic}, 1};
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return list;
  list.isa[list.count++] = Isa::avx2;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return list;
  list.isa[list.count++] = Isa::avx512;
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vnni")) return list;
  list.isa[list.count++] = Isa::avx512_bf16_vnni;
  // Intel's cores multiply bf16 in vectors at half the rate of f32: slower than by multiply-adds (ViT-B/16 on a Xeon with
  // AMX: 356 ms against 248).
  if (__builtin_cpu_is("intel")) list.isa[2] = Isa::avx512_bf16_vnni, list.isa[3] = Isa::avx512;
  return list;
#elif defined(__aarch64__)
  return {{Isa::generic, Isa::neon}, 2};
#else
  return {{Isa::generic}, 1};
#endif
}

/// Those that it has beside them.
IsaList fast_isas() noexcept;

/// The fastest of available_isas(), or, if `fast`, of fast_isas() where there are any; or the one that the environment
/// variable TESSERA_ISA names. \throws Error kUnsupported when that one is unknown or this machine lacks it.
Isa default_isa(bool fast = false);

/// The ISA of that name. \throws Error kUnsupported for a name that is none, or one that this machine cannot run.
Isa isa_from_name(const char* name);

}  // namespace tessera

#ifndef TESSERA_COMPILED
#include <tessera/core/isa-inl.hpp>
#endif
