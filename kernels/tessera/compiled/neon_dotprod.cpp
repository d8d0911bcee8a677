// The neon_dotprod kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_NEON_DOTPROD
#include <tessera/cpu/neon_dotprod.hpp>

namespace tessera::kernels {
template <class Table>
const Table& neon_dotprod_table() noexcept {
  return neon_dotprod::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& neon_dotprod_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
