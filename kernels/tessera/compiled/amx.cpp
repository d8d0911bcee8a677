// The amx kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_AMX
#include <tessera/cpu/amx.hpp>

namespace tessera::kernels {
template <class Table>
const Table& amx_table() noexcept {
  return amx::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& amx_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
