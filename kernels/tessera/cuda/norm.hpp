// What a kernel of row normalisations is asked: plain C++.
#pragma once
#include <type_traits>

#include <tessera/core/dtype.hpp>
#include <tessera/cuda/host_device.hpp>

namespace tessera::kernels::cuda {

/// layer: gamma * (x - mean) / sqrt(var + eps) + beta; rms: gamma * x / sqrt(mean(x^2) + eps); l2: x / max(|x|_2, eps).
enum class Norm : unsigned char { layer, rms, l2 };

/// Rows of x [rows, c], or of the sum of x and residual, normalised. Pointers but x and y may be null; y and sum may be x or
/// residual, in the same rows, but not each other. X is the type of x, residual and sum, Y that of y. c and the strides are
/// multiples of 8, and all pointers 16-byte aligned.
template <class X, class Y>
struct NormArgs {
  const X* x;
  index_t ldx;
  Y* y;
  index_t ldy;
  int rows, c;
  float eps;
  const float* gamma = nullptr;  ///< [c]; not l2
  const float* beta = nullptr;   ///< [c]; layer only
  const X* residual = nullptr;   ///< [rows, c]
  index_t ldr = 0;
  X* sum = nullptr;  ///< [rows, c]: x + residual, rounded to X; what is normalised is the rounded sum
  index_t lds = 0;
};

/// A warp has a row, a lane eight neighbours of every 256 columns, in registers: how often, at most.
inline constexpr int kNormMostPieces = 8;
inline constexpr int kNormMostColumns = kNormMostPieces * 256;
/// Rows of a block.
inline constexpr int kNormRows = 4;

/// The smallest instantiation that has room for c columns, of 2, 4 and 8 pieces; 0 where none has.
constexpr int norm_pieces(int c) noexcept {
  for (int pieces = 2; pieces <= kNormMostPieces; pieces *= 2)
    if (c <= pieces * 256) return pieces;
  return 0;
}
/// f(std::integral_constant) of these pieces. False, and f is not called, where none has room.
template <class F>
constexpr bool with_norm_pieces(int c, const F& f) {
  switch (norm_pieces(c)) {
    case 2: return f(std::integral_constant<int, 2>{}), true;
    case 4: return f(std::integral_constant<int, 4>{}), true;
    case 8: return f(std::integral_constant<int, 8>{}), true;
    default: return false;
  }
}

}  // namespace tessera::kernels::cuda
