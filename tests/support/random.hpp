// Matrices for tests: filled from a fixed generator, with rows that may be padded.
#pragma once
#include <cstring>
#include <vector>

#include <tessera/core/view.hpp>

namespace tessera::test {

/// What stands wherever no number was written: a NaN that no arithmetic makes.
inline constexpr std::uint32_t kPoison = 0x7fc0deadU;

/// The same numbers on every machine: integers only, and one exact division by a power of two.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 0x853c49e6748fea9bU) {}
  std::uint64_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return state_ ^ (state_ >> 33);
  }
  index_t in(index_t least, index_t most) {
    return least + static_cast<index_t>((next() >> 16) % static_cast<std::uint64_t>(most - least + 1));
  }
  /// In [-1, 1).
  float unit() {
    return static_cast<float>(static_cast<std::int64_t>(next() >> 40) - (1 << 23)) / static_cast<float>(1 << 23);
  }

 private:
  std::uint64_t state_;
};

/// Rows x columns of f32 with `pad` poisoned numbers after every row and before the first one.
struct Matrix {
  index_t rows = 0, columns = 0, ld = 0, front = 0;
  std::vector<float> memory;

  Matrix() = default;
  Matrix(index_t r, index_t c, index_t pad) : rows(r), columns(c), ld(c + pad), front(pad) {
    memory.assign(static_cast<std::size_t>(rows * ld + front), __builtin_bit_cast(float, kPoison));
  }
  float* data() { return memory.data() + front; }
  const float* data() const { return memory.data() + front; }
  float& operator()(index_t r, index_t c) { return data()[r * ld + c]; }
  float operator()(index_t r, index_t c) const { return data()[r * ld + c]; }
  View<float, 2> out() {
    View<float, 2> v(data(), rows, columns);
    v.stride[0] = ld;
    return v;
  }
  View<const float, 2> in() const {
    View<const float, 2> v(data(), rows, columns);
    v.stride[0] = ld;
    return v;
  }
  /// The first row as a vector.
  View<const float, 1> row() const { return View<const float, 1>(data(), columns); }
  /// [rows, heads, columns / heads]
  View<float, 3> heads_out(index_t heads) {
    View<float, 3> v(data(), rows, heads, columns / heads);
    v.stride[0] = ld;
    return v;
  }
  View<const float, 3> heads(index_t n) const { return const_cast<Matrix*>(this)->heads_out(n); }
  /// Everything, padding included, bit by bit.
  std::vector<std::uint32_t> bits() const {
    std::vector<std::uint32_t> b(memory.size());
    if (!b.empty()) std::memcpy(b.data(), memory.data(), b.size() * sizeof(float));
    return b;
  }
  std::vector<std::uint32_t> row_bits(index_t r) const {
    std::vector<std::uint32_t> b(static_cast<std::size_t>(columns));
    std::memcpy(b.data(), data() + r * ld, b.size() * sizeof(float));
    return b;
  }
};

struct Fill {
  std::uint64_t seed = 1;
  float scale = 1.f, shift = 0.f;
  index_t pad = 0;
};

/// shift + scale * [-1, 1), the same numbers from every compiler where scale is a power of two; the padding is poison, so
/// that reading it shows.
inline Matrix filled(index_t rows, index_t columns, Fill f = {}) {
  Matrix m(rows, columns, f.pad);
  Random random(f.seed);
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) m(r, c) = f.shift + f.scale * random.unit();
  return m;
}

/// Numbers of magnitudes from 2^-`spread` to 2^spread, and now and then a zero of either sign or a denormal.
inline Matrix wide(index_t rows, index_t columns, std::uint64_t seed, int spread = 20) {
  Matrix m(rows, columns, 3);
  Random random(seed);
  constexpr float kSpecial[] = {0.f, -0.f, 1e-40f, -3e-45f};
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) {
      const auto exponent = static_cast<std::uint32_t>(127 + random.in(-spread, spread)) << 23;
      const float x = random.unit() * __builtin_bit_cast(float, exponent);
      m(r, c) = random.in(0, 15) == 0 ? kSpecial[random.in(0, 3)] : x;
    }
  return m;
}

/// The bits of what was computed. Which NaN a result is may differ between instruction sets, that it is one may not.
inline std::vector<std::uint32_t> promised_bits(const Matrix& m) {
  std::vector<std::uint32_t> bits = m.bits();
  for (std::size_t i = 0; i < bits.size(); ++i)
    if (bits[i] != kPoison && m.memory[i] != m.memory[i]) bits[i] = 0x7fc00000U;
  return bits;
}

}  // namespace tessera::test
