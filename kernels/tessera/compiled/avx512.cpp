// The avx512 kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_AVX512
#include <tessera/cpu/avx512.hpp>

namespace tessera::kernels {
const Tables& avx512_tables() noexcept;
const Tables& avx512_tables() noexcept { return avx512::kTables; }
}  // namespace tessera::kernels
#endif
