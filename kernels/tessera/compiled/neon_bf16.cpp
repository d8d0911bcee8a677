// The neon_bf16 kernels, instantiated once for tessera::compiled.
#include <tessera/cpu/built.hpp>
#include <tessera/tables/tables.hpp>

#if TESSERA_BUILT_NEON_BF16
#include <tessera/cpu/neon_bf16.hpp>

namespace tessera::kernels {
template <class Table>
const Table& neon_bf16_table() noexcept {
  return neon_bf16::Family<Table>::kTable;
}
#define TESSERA_INSTANTIATE(Table) template const Table& neon_bf16_table<Table>() noexcept;
TESSERA_EACH_TABLE(TESSERA_INSTANTIATE)
}  // namespace tessera::kernels
#endif
