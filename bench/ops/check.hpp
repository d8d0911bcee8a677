// Inputs, and the comparison of sampled results with plain loops in double precision.
#pragma once
#include <algorithm>
#include <cmath>
#include <utility>

#include <tessera/core/buffer.hpp>
#include <tessera/tables/activation.hpp>

namespace tessera::bench {

/// Owned numbers [rows, columns], uniform in (-scale, scale), the same in every run.
class Data {
 public:
  Data(index_t rows, index_t columns, std::uint64_t seed, float scale = 1.f)
      : rows_(rows), columns_(columns), buffer_(static_cast<std::size_t>(rows * columns) * sizeof(float)) {
    float* p = buffer_.as<float>();
    for (index_t i = 0; i < rows * columns; ++i) {
      std::uint64_t z = (static_cast<std::uint64_t>(i) + (seed << 40)) * 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9u;
      p[i] = scale * (static_cast<float>(static_cast<std::int32_t>(z >> 40) - (1 << 23)) / static_cast<float>(1 << 23));
    }
  }
  index_t rows() const { return rows_; }
  index_t columns() const { return columns_; }
  float* data() const { return buffer_.as<float>(); }
  float& operator()(index_t i, index_t j) const { return data()[i * columns_ + j]; }
  View<float, 2> view() const { return View<float, 2>(data(), rows_, columns_); }
  View<const float, 2> input() const { return view(); }
  View<const float, 1> flat() const { return View<const float, 1>(data(), rows_ * columns_); }

 private:
  index_t rows_, columns_;
  Buffer buffer_;
};

/// Whether got(i, j) is near want(i, j) on some 200 elements of [rows, columns], the corners among them. A NaN is never
/// near.
template <class Got, class Want>
bool near(index_t rows, index_t columns, double tolerance, const Got& got, const Want& want) {
  const index_t si = rows > 14 ? rows / 13 : 1, sj = columns > 14 ? columns / 13 : 1;
  for (index_t i = 0; i < rows; i = i < rows - 1 ? std::min(i + si, rows - 1) : rows)
    for (index_t j = 0; j < columns; j = j < columns - 1 ? std::min(j + sj, columns - 1) : columns) {
      const double w = want(i, j);
      if (!(std::abs(static_cast<double>(got(i, j)) - w) <= tolerance * std::max(1.0, std::abs(w)))) return false;
    }
  return true;
}

inline double dot(const float* a, const float* b, index_t n) {
  double sum = 0;
  for (index_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

inline double reference(Activation act, double x) {
  switch (act) {
    case Activation::identity: return x;
    case Activation::gelu_erf: return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::tanh: return std::tanh(x);
  }
  return x;
}

}  // namespace tessera::bench
