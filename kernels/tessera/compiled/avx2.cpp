// The avx2 kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_AVX2
#include <tessera/cpu/avx2.hpp>

namespace tessera::kernels {
const Tables& avx2_tables() noexcept;
const Tables& avx2_tables() noexcept { return avx2::kTables; }
}  // namespace tessera::kernels
#endif
