#pragma once
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include <cstdlib>
#include <cstring>
#include <string>

#include <tessera/core/isa.hpp>

namespace tessera {

namespace detail {

#if defined(__x86_64__) && !defined(TESSERA_STATIC_ISA)
inline bool machine_has_amx() noexcept {
  constexpr unsigned kTile = 1U << 24, kTileBf16 = 1U << 22, kTileInt8 = 1U << 25, kAll = kTile | kTileBf16 | kTileInt8;
  constexpr unsigned kTileState = 3U << 17;  // the system saves it
  unsigned a = 0, b = 0, c = 0, d = 0, low = 0, high = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kAll) != kAll) return false;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState;
}
#endif

#if defined(__aarch64__) && !defined(TESSERA_STATIC_ISA)
inline bool machine_has_dotprod() noexcept {
#if defined(__linux__)
  constexpr unsigned long kAsimdDp = 1UL << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kAsimdDp) != 0;
#else
  return true;   // every Apple processor of this architecture
#endif
}
inline bool machine_has_bf16() noexcept {
#if defined(__linux__)
  constexpr unsigned long kBf16 = 1UL << 14;  // HWCAP2_BF16: BFMMLA among them
  return (getauxval(AT_HWCAP2) & kBf16) != 0;
#else
  return false;  // Apple's have it from the M2 on, and another way to ask
#endif
}
#endif

inline bool permit_amx() noexcept {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  static const bool permitted = syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return permitted;
#else
  return false;
#endif
}

}  // namespace detail

inline IsaList available_isas() noexcept {
#if defined(TESSERA_STATIC_ISA) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
#if defined(__AVX512BF16__) && defined(__AVX512VNNI__) && defined(__AVX512BITALG__)
  return {{Isa::avx512_bf16_vnni}, 1};
#elif defined(__AVX512VNNI__)
  return {{Isa::avx512_vnni}, 1};
#else
  return {{Isa::avx512}, 1};
#endif
#elif defined(TESSERA_STATIC_ISA) && defined(__AVX2__) && defined(__FMA__)
  return {{Isa::avx2}, 1};
#elif defined(TESSERA_STATIC_ISA) && defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  return {{Isa::neon_bf16}, 1};
#elif defined(TESSERA_STATIC_ISA) && defined(__ARM_FEATURE_DOTPROD)
  return {{Isa::neon_dotprod}, 1};
#elif defined(TESSERA_STATIC_ISA) && defined(__aarch64__)
  return {{Isa::neon}, 1};
#elif defined(TESSERA_STATIC_ISA)
  return {{Isa::generic}, 1};
#elif defined(__x86_64__)
  IsaList list{{Isa::generic}, 1};
  const auto add = [&](Isa isa) { list.isa[list.count++] = isa; };
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return list;
  add(Isa::avx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return list;
  const bool vnni = __builtin_cpu_supports("avx512vnni"),
             bf16 = vnni && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bitalg");
  // Intel's cores multiply bf16 in vectors at half the rate of f32: slower than by multiply-adds (ViT-B/16 on a Xeon with
  // AMX: 356 ms against 248).
  const bool slow_bf16 = bf16 && __builtin_cpu_is("intel");
  if (slow_bf16) add(Isa::avx512_bf16_vnni);
  add(Isa::avx512);
  if (vnni) add(Isa::avx512_vnni);
  if (bf16 && !slow_bf16) add(Isa::avx512_bf16_vnni);
  if (bf16 && detail::machine_has_amx()) add(Isa::amx);
  return list;
#elif defined(__aarch64__)
  const bool dotprod = detail::machine_has_dotprod(), bf16 = dotprod && detail::machine_has_bf16();
  return {{Isa::generic, Isa::neon, Isa::neon_dotprod, Isa::neon_bf16}, bf16 ? 4 : dotprod ? 3 : 2};
#else
  return {{Isa::generic}, 1};
#endif
}

inline Isa isa_from_name(const char* name) {
  std::string known;
  for (const Isa isa : available_isas()) {
    if (std::strcmp(isa_name(isa), name) == 0) return isa;
    known += known.empty() ? "" : ", ";
    known += isa_name(isa);
  }
  throw Error(Code::kUnsupported, {"instruction set '", name, "': this build on this machine has ", known});
}

inline bool has_matrix_unit(Isa isa) noexcept { return isa == Isa::neon_bf16 || (isa == Isa::amx && detail::permit_amx()); }

inline Isa default_isa() {
  const char* forced = std::getenv("TESSERA_ISA");  // NOLINT(concurrency-mt-unsafe): read once per Context, before threads
  if (forced && *forced) try {
      return isa_from_name(forced);
    } catch (const Error& e) {
      throw Error(e.code(), {"TESSERA_ISA: ", e.what()});
    }
  const IsaList list = available_isas();
  return list.isa[list.count - 1];
}

}  // namespace tessera
