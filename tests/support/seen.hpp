// What taps hand out, by name.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <tessera/core/taps.hpp>
#include "support/random.hpp"

namespace tessera::test {

struct Seen {
  std::map<std::string, Matrix> values;
  static void sink(void* self, const char* name, View<const float, 2> v) {
    Matrix m(v.extent[0], v.extent[1], 0);
    for (index_t r = 0; r < m.rows; ++r)
      for (index_t c = 0; c < m.columns; ++c) m(r, c) = v(r, c);
    EXPECT_TRUE(static_cast<Seen*>(self)->values.emplace(name, std::move(m)).second) << name << " came twice";
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, m] : values) all.push_back(name);
    return all;
  }
};

}  // namespace tessera::test
