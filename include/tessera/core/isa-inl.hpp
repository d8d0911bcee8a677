#pragma once
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <cstdlib>
#include <cstring>
#include <string>

#include <tessera/core/isa.hpp>

namespace tessera {

inline IsaList fast_isas() noexcept {
#if defined(__x86_64__) && !defined(TESSERA_STATIC_ISA)
  bool bf16 = false;
  for (const Isa isa : available_isas()) bf16 = bf16 || isa == Isa::avx512_bf16_vnni;
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kTile = 1U << 24, kTileBf16 = 1U << 22;
  if (bf16 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kTile) && (d & kTileBf16)) {
    unsigned low = 0, high = 0;
    asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    constexpr unsigned kTileState = 3U << 17;  // the system saves it
    if ((low & kTileState) == kTileState) return {{Isa::amx}, 1};
  }
#endif
  return {{}, 0};
}

inline Isa isa_from_name(const char* name) {
  std::string known;
  for (const auto list : {available_isas, fast_isas})  // the second one is only asked for what the first has not
    for (const Isa isa : list()) {
      if (std::strcmp(isa_name(isa), name) == 0) return isa;
      known += known.empty() ? "" : ", ";
      known += isa_name(isa);
    }
  throw Error(Code::kUnsupported, {"instruction set '", name, "': this build on this machine has ", known});
}

inline Isa default_isa(bool fast) {
  const char* forced = std::getenv("TESSERA_ISA");  // NOLINT(concurrency-mt-unsafe): read once per Context, before threads
  if (forced && *forced) try {
      return isa_from_name(forced);
    } catch (const Error& e) {
      throw Error(e.code(), {"TESSERA_ISA: ", e.what()});
    }
  IsaList list = available_isas();
  if (fast)
    if (const IsaList quick = fast_isas(); quick.count > 0) list = quick;
  return list.isa[list.count - 1];
}

}  // namespace tessera
