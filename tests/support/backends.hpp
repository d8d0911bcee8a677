// Every operation's tests run once per instruction set that this machine has.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/isas.hpp"

namespace tessera::test {

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
