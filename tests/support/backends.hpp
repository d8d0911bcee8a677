// Every operation's tests run once per instruction set that this machine has.
#pragma once
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include <tessera/ops/detail/tables.hpp>
#include "support/errors.hpp"

namespace tessera::test {

/// Those of this machine that have a table of their own, and not that of another one.
template <class Table>
const std::vector<Isa>& isas_of() {
  static const std::vector<Isa> list = [] {
    std::vector<Isa> own;
    std::set<const Table*> seen;
    for (const Isa isa : available_isas()) {
      Context ctx(isa, 1);
      if (seen.insert(&ops::detail::table<Table>(ctx)).second) own.push_back(isa);
    }
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
inline std::string isa_of(const testing::TestParamInfo<Isa>& info) { return isa_name(info.param); }

/// `ctx` has one thread on the instruction set of the instance.
struct OpsTest : testing::TestWithParam<Isa> {
  Context ctx{GetParam(), 1};

  /// f(context) for 2 to 5 threads.
  template <class F>
  void with_threads(const F& f) const {
    for (int threads = 2; threads <= 5; ++threads) {
      Context many(GetParam(), threads);
      SCOPED_TRACE(threads);
      f(many);
    }
  }
};

#define TESSERA_ON_EVERY_ISA_OF(suite, table) \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::ValuesIn(::tessera::test::isas_of<table>()), ::tessera::test::isa_of)
#define TESSERA_ON_EVERY_ISA(suite) TESSERA_ON_EVERY_ISA_OF(suite, ::tessera::kernels::GemmTable)

}  // namespace tessera::test
