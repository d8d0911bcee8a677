// The neon kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_NEON
#include <tessera/cpu/neon.hpp>

namespace tessera::kernels {
const Tables& neon_tables() noexcept;
const Tables& neon_tables() noexcept { return neon::kTables; }
}  // namespace tessera::kernels
#endif
