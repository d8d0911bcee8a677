// The instruction sets that tests and benchmarks run on.
#pragma once
#include <algorithm>
#include <set>
#include <vector>

#include <tessera/ops/detail/tables.hpp>

namespace tessera::test {

/// Those of this machine that have a table of their own: of several with the same one, the fastest. Slowest first.
template <class Table>
const std::vector<Isa>& isas_of() {
  static const std::vector<Isa> list = [] {
    std::vector<Isa> own;
    std::set<const Table*> seen;
    const IsaList all = available_isas();
    for (int i = all.count - 1; i >= 0; --i) {
      Context ctx(all.isa[i], 1);
      if (seen.insert(&ops::detail::table<Table>(ctx)).second) own.push_back(all.isa[i]);
    }
    std::reverse(own.begin(), own.end());
    return own;
  }();
  return list;
}
/// The same for linear layers with weights of this type; of f32, for everything else too.
inline const std::vector<Isa>& isas(DType weights = DType::f32) {
  return weights == DType::i8     ? isas_of<kernels::Int8GemmTable>()
         : weights == DType::bf16 ? isas_of<kernels::Bf16GemmTable>()
                                  : isas_of<kernels::GemmTable>();
}

}  // namespace tessera::test
