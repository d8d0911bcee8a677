// The neon kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_NEON
#include <tessera/cpu/neon.hpp>

namespace tessera::kernels {
template <class Table>
const Table& neon_table() noexcept {
  return neon::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& neon_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
