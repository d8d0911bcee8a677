// What encoders return.
#pragma once
#include <span>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/core/view.hpp>

namespace tessera::models {

/// Rows of a packed [rows, dim] array.
struct Embeddings {
  std::vector<float> values;
  index_t rows = 0, dim = 0;
  std::span<const float> row(index_t i) const {
    return std::span<const float>(values).subspan(static_cast<std::size_t>(i * dim), static_cast<std::size_t>(dim));
  }
  View<const float, 2> view() const { return View<const float, 2>(values.data(), rows, dim); }
};

/// Cosine of two embeddings; 0 when either is all zeros. \throws Error kShapeMismatch for different lengths.
float cosine(std::span<const float> a, std::span<const float> b);

namespace detail {
/// Throws kNonFinite naming the first row, of a `what`, that holds NaN or infinity.
void expect_finite(Context& ctx, const Embeddings& e, const char* what);
}  // namespace detail

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/embeddings-inl.hpp>
#endif
