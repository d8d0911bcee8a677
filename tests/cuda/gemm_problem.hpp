// Matrix products for the tests of GEMM kernels: inputs, the reference in double precision, and the error allowed.
#pragma once
#include <cmath>
#include <memory>
#include <optional>

#include <tessera/cuda/gemm.cuh>

#include "cuda/simt/block.hpp"

namespace tessera::test {

using kernels::cuda::Epilogue;
using kernels::cuda::GemmArgs;
using simt::Tensor;

struct GemmShape {
  int m, n, k;
  index_t pad = 8;  ///< after each row of A and W, beside what aligns the next one
  Activation act = Activation::identity;
  bool bias = false, scale = false, residual = false, gated = false;
  index_t pad_c = 3;
  index_t pad_residual = 1;  ///< more than C has
  int residual_rows = 0;     ///< above 0: so many rows, repeated
};

inline double activated(Activation a, double x) {
  switch (a) {
    case Activation::identity: return x;
    case Activation::gelu_erf: return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh: return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::tanh: return std::tanh(x);
  }
  return NAN;
}

/// A product of random numbers of about 1, and room for its result.
template <class Out>
class GemmProblem {
 public:
  explicit GemmProblem(const GemmShape& s, std::uint64_t seed = 1)
      : shape(s),
        a(simt::Use<bf16>::input, s.m, s.k, s.pad + (8 - s.k % 8) % 8),
        w(simt::Use<bf16>::input, s.gated ? 2 * s.n : s.n, s.k, s.pad + (8 - s.k % 8) % 8),
        c(simt::Use<Out>::output, s.m, s.n, s.pad_c),
        residual(simt::Use<Out>::input, s.residual_rows > 0 ? s.residual_rows : s.m, s.n, s.pad_c + s.pad_residual),
        bias(simt::Use<float>::input, 1, s.gated ? 2 * s.n : s.n),
        scale(simt::Use<float>::input, 1, s.n) {
    Random random(seed);
    const auto any = [&](index_t, index_t) { return 2 * random.unit(); };
    const float of_w = 1.5f / std::sqrt(static_cast<float>(s.k + 1));
    a.fill(any);
    w.fill([&](index_t, index_t) { return of_w * random.unit(); });
    residual.fill(any), bias.fill(any), scale.fill(any);
  }

  GemmArgs<Out> args() {
    GemmArgs<Out> g{a.data(), a.ld(), w.data(), w.ld(), c.data(), c.ld(), shape.m, shape.n, shape.k};
    if (shape.residual) g.residual = residual.data(), g.ldr = residual.ld();
    g.residual_rows = shape.residual_rows;
    g.epilogue = {shape.bias ? bias.data() : nullptr, shape.scale ? scale.data() : nullptr, shape.act};
    return g;
  }

  /// What C [row, column] is, and the sum of the magnitudes that went into it.
  struct Exact {
    double value, magnitude;
  };
  Exact exact(index_t row, index_t column) const {
    const auto product = [&](index_t of_w) {
      Exact sum = {0, 0};
      for (index_t k = 0; k < shape.k; ++k) {
        const double p = static_cast<double>(a.at(row, k)) * w.at(of_w, k);
        sum.value += p, sum.magnitude += std::fabs(p);
      }
      if (shape.bias) sum.value += bias.at(0, of_w), sum.magnitude += std::fabs(bias.at(0, of_w));
      return sum;
    };
    Exact e = product(column);
    e.value = activated(shape.act, e.value);
    if (shape.gated) {
      const Exact up = product(shape.n + column);
      e.magnitude = e.magnitude * (1 + up.magnitude) + std::fabs(e.value) * up.magnitude;
      e.value *= up.value;
    }
    if (shape.scale) e.value *= scale.at(0, column), e.magnitude *= std::fabs(scale.at(0, column));
    if (shape.residual) {
      const float r = residual.at(shape.residual_rows > 0 ? row % shape.residual_rows : row, column);
      e.value += r, e.magnitude += std::fabs(r);
    }
    return e;
  }
  /// Every element as exact as f32 sums allow, each written once and nothing beside them.
  testing::AssertionResult right() const {
    const testing::AssertionResult written = c.written_exactly();
    if (!written) return written;
    const double rounding = sizeof(Out) == 2 ? 0x1p-8 : 0;
    for (index_t r = 0; r < shape.m; ++r)
      for (index_t j = 0; j < shape.n; ++j) {
        const Exact e = exact(r, j);
        const double allowed = rounding * std::fabs(e.value) + 4e-7 * (4 + std::sqrt(shape.k)) * e.magnitude + 1e-7;
        if (!(std::fabs(c.at(r, j) - e.value) <= allowed))
          return testing::AssertionFailure() << "row " << r << " column " << j << ": " << c.at(r, j) << ", not " << e.value;
      }
    return testing::AssertionSuccess();
  }

  GemmShape shape;
  Tensor<bf16> a, w;
  Tensor<Out> c, residual;
  Tensor<float> bias, scale;
};

/// Runs the kernel of a tile over all of C.
template <class Tile, class Out>
std::string run_tile(GemmProblem<Out>& p, std::uint64_t seed) {
  const GemmArgs<Out> g = p.args();
  const int columns = Tile::columns_of_c(p.shape.gated);
  const simt::Launch launch{(g.m + Tile::kRows - 1) / Tile::kRows * ((g.n + columns - 1) / columns), Tile::kThreads,
                            Tile::kSharedBytes, seed};
  return simt::run(launch, [&] {
    if (p.shape.gated) {
      kernels::cuda::gemm_kernel<Tile, true>(g);
    } else {
      kernels::cuda::gemm_kernel<Tile, false>(g);
    }
  });
}

}  // namespace tessera::test
