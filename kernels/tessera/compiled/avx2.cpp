// The avx2 kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_AVX2
#include <tessera/cpu/avx2.hpp>

namespace tessera::kernels {
template <class Table>
const Table& avx2_table() noexcept {
  return avx2::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& avx2_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
