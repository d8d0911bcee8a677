// The avx512_vnni kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_AVX512_VNNI
#include <tessera/cpu/avx512_vnni.hpp>

namespace tessera::kernels {
template <class Table>
const Table& avx512_vnni_table() noexcept {
  return avx512_vnni::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& avx512_vnni_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
