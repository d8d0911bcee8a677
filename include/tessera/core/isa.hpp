// The instruction sets that kernels exist for, and which of them this machine has.
#pragma once
#include <tessera/core/error.hpp>

namespace tessera {

/// Every one gives the same bits. avx512_vnni is avx512 with an instruction for int8, avx512_bf16_vnni that with one for
/// bf16 and one that counts bits, amx is avx512_vnni with the matrix unit; neon_dotprod is neon with an instruction for
/// int8, neon_bf16 that with one that multiplies matrices of bf16 (BFMMLA).
enum class Isa : unsigned char { generic, avx2, avx512, avx512_vnni, avx512_bf16_vnni, amx, neon, neon_dotprod, neon_bf16 };

constexpr const char* isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::generic: return "generic";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512_vnni: return "avx512_vnni";
    case Isa::avx512_bf16_vnni: return "avx512_bf16_vnni";
    case Isa::amx: return "amx";
    case Isa::neon: return "neon";
    case Isa::neon_dotprod: return "neon_dotprod";
    case Isa::neon_bf16: return "neon_bf16";
  }
  return "unknown";
}

/// Some of them, slowest first.
struct IsaList {
  Isa isa[6];
  int count;
  const Isa* begin() const noexcept { return isa; }
  const Isa* end() const noexcept { return isa + count; }
};

/// Those that this build and this machine share.
IsaList available_isas() noexcept;

/// The fastest of available_isas(), or the one that the environment variable TESSERA_ISA names. \throws Error kUnsupported
/// when that one is unknown or this machine lacks it.
Isa default_isa();

/// The ISA of that name. \throws Error kUnsupported for a name that is none, or one that this machine cannot run.
Isa isa_from_name(const char* name);

/// Whether it multiplies bf16 by matrices, which ContextOptions::fast asks for: amx does, where the system lets this process
/// use the unit, and neon_bf16.
bool has_matrix_unit(Isa isa) noexcept;

namespace detail {
/// Whether this process may use the matrix unit of Isa::amx; asks the system, once. Linux gives a process its registers on
/// request: the saved state of its threads grows by 8 KB.
bool permit_amx() noexcept;
}  // namespace detail

}  // namespace tessera

#ifndef TESSERA_COMPILED
#include <tessera/core/isa-inl.hpp>
#endif
