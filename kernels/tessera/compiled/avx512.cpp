// The avx512 kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_AVX512
#include <tessera/cpu/avx512.hpp>

namespace tessera::kernels {
template <class Table>
const Table& avx512_table() noexcept {
  return avx512::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& avx512_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
