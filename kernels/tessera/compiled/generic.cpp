// The generic kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_GENERIC
#include <tessera/cpu/generic.hpp>

namespace tessera::kernels {
template <class Table>
const Table& generic_table() noexcept {
  return generic::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& generic_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
