#pragma once
#include <cmath>
#include <string>

#include <tessera/core/error.hpp>
#include <tessera/core/fp_mode.hpp>
#include <tessera/models/embeddings.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::models {

inline float cosine(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size())
    throw Error(Code::kShapeMismatch, {"cosine: lengths ", std::to_string(a.size()), " and ", std::to_string(b.size())});
  // No region, and none needed: products of two floats are exact in double, so a compiler that fuses them into the sums
  // changes nothing. The mode is another matter; volatile, so that the last division stays inside its scope.
  const FpModeScope mode;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    ab += x * y, aa += x * x, bb += y * y;
  }
  const volatile float result = aa == 0 || bb == 0 ? 0.f : static_cast<float>(ab / std::sqrt(aa * bb));
  return result;
}

inline void detail::expect_finite(Context& ctx, const Embeddings& e, const char* what) {
  for (index_t i = 0; i < e.rows; ++i)
    if (!ops::all_finite(ctx, View<const float, 1>(e.values.data() + i * e.dim, e.dim)))
      throw Error(Code::kNonFinite, {"embed: the embedding of ", what, " ", std::to_string(i), " is not finite"});
}

}  // namespace tessera::models
