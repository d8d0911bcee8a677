// wgmma of the emulated device: where its operands lie, and the sums of one warp, 16 of the 64 rows. Written from the PTX
// ISA, not from the library's maps.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/simt/shared_memory.hpp"

namespace tessera::simt {

/// An operand of wgmma in shared memory, K-major, taken apart from its 64 bits.
struct Operand {
  std::uint32_t start, leading, stride, base, swizzle;

  explicit Operand(std::uint64_t bits)
      : start(static_cast<std::uint32_t>(bits & 0x3fff) * 16),
        leading(static_cast<std::uint32_t>(bits >> 16 & 0x3fff) * 16),
        stride(static_cast<std::uint32_t>(bits >> 32 & 0x3fff) * 16),
        base(static_cast<std::uint32_t>(bits >> 49 & 7)),
        swizzle(static_cast<std::uint32_t>(bits >> 62)) {}
  /// Where the 8 numbers of row `row` from k = 8 * half on lie.
  std::uint32_t at(std::uint32_t row, std::uint32_t half) const {
    if (swizzle == 0) return start + row / 8 * stride + half * leading + row % 8 * 16;
    const std::uint32_t span = 256U >> swizzle, plain = start + row / 8 * stride + row % 8 * span + half * 16;
    const std::uint32_t chunk = plain / 16, line = plain / 128;
    return (chunk ^ (line % (span / 16))) * 16 + plain % 16;
  }
};

/// Sums that a warp has given away: nobody may touch the registers at `places` until its products are waited for.
struct Sums {
  std::array<float*, 32> places{};
  std::array<std::vector<float>, 32> of;
};

/// One wgmma of one warp.
struct Product {
  using Rows = std::vector<std::array<float, 16>>;
  std::shared_ptr<Sums> sums;
  int columns = 0, warp = 0, thread = 0,
      group = -1;  ///< warp: of its warpgroup; thread: lane 0; group: -1 before its commit
  std::uint64_t of_a = 0, of_b = 0;
  std::array<const std::uint32_t*, 32> a{};
  bool a_in_registers = false, add = true, made = false;
  const Clock* clock = nullptr;  ///< of the thread

  /// f(whether of A, row, half of the 16 of k, address) of every chunk that is read.
  template <class F>
  void each_read(const F& f) const {
    const Operand from_a(of_a), from_b(of_b);
    for (std::uint32_t half = 0; half < 2; ++half) {
      if (!a_in_registers)
        for (std::uint32_t r = 0; r < 16; ++r) f(true, r, half, from_a.at(16 * static_cast<std::uint32_t>(warp) + r, half));
      for (std::uint32_t n = 0; n < static_cast<std::uint32_t>(columns); ++n) f(false, n, half, from_b.at(n, half));
    }
  }
  static float half_of(std::uint32_t pair, std::size_t i) {
    return __builtin_bit_cast(float, i == 0 ? pair << 16 : pair & 0xffff0000U);
  }
  /// sums += a b^T. The 16 products of a sum are exact in double and rounded to f32 once: so the order of k and its steps
  /// show in the bits. With g = lane / 4 and t = lane % 4, registers of A are (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t
  /// + 8) and their right neighbours, those of 8 columns of sums (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
  void add_up(Rows& of_rows, const Rows& of_columns) const {
    if (a_in_registers)
      for (std::size_t lane = 0; lane < 32; ++lane)
        for (std::size_t i = 0; i < 2; ++i) {
          const std::size_t g = lane / 4, t = 2 * (lane % 4) + i;
          of_rows[g][t] = half_of(a[lane][0], i);
          of_rows[g + 8][t] = half_of(a[lane][1], i);
          of_rows[g][t + 8] = half_of(a[lane][2], i);
          of_rows[g + 8][t + 8] = half_of(a[lane][3], i);
        }
    for (std::size_t lane = 0; lane < 32; ++lane)
      for (std::size_t n = 0; n < static_cast<std::size_t>(columns) / 8; ++n)
        for (std::size_t i = 0; i < 4; ++i) {
          const auto& row = of_rows[lane / 4 + (i < 2 ? 0 : 8)];
          const auto& column = of_columns[8 * n + 2 * (lane % 4) + i % 2];
          double sum = add ? static_cast<double>(sums->of[lane][4 * n + i]) : 0;
          for (std::size_t k = 0; k < 16; ++k) sum += static_cast<double>(row[k]) * static_cast<double>(column[k]);
          sums->of[lane][4 * n + i] = static_cast<float>(sum);
        }
  }
};

}  // namespace tessera::simt
