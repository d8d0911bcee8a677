// A call of an operation that any context may run, and what its inputs are drawn of.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <tessera/core/context.hpp>
#include "support/random.hpp"

namespace tessera::test {

/// One call of an operation; the inputs are its own.
struct Job {
  std::string name;
  std::function<Matrix(Context&)> run;
};

inline View<const index_t, 1> offsets(const std::vector<index_t>& cu) {
  return View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
}
/// A few sequences, some of them empty, of `most` tokens together or less.
inline std::vector<index_t> drawn_offsets(Random& random, index_t most) {
  std::vector<index_t> cu{0};
  while (cu.back() < most && cu.size() < 7) cu.push_back(cu.back() + random.in(0, most / 2));
  return cu;
}

}  // namespace tessera::test
