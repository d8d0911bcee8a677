// The generic kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_GENERIC
#include <tessera/cpu/generic.hpp>

namespace tessera::kernels {
const Tables& generic_tables() noexcept;
const Tables& generic_tables() noexcept { return generic::kTables; }
}  // namespace tessera::kernels
#endif
