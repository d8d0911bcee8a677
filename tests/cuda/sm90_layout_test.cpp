// What sm_90a's copies, products and stores must agree on, without running any: swizzles, descriptors, who holds what.
#include <gtest/gtest.h>
#include <tessera/cuda/wgmma_layout.hpp>

#include <set>
#include <vector>

#include "cuda/simt/products.hpp"

namespace tessera::test {
namespace {

using namespace kernels::cuda;

/// 16-byte accesses go eight lanes at a time: the same bank never twice, whatever banks the eight rows begin at.
void expect_no_conflict(const std::vector<std::uint32_t>& addresses) {
  std::set<std::uint32_t> banks;
  for (const std::uint32_t a : addresses) banks.insert(a % 128 / 16);
  EXPECT_EQ(banks.size(), addresses.size());
}

template <int kSpan>
void check_swizzle() {
  std::set<std::uint32_t> places;
  for (std::uint32_t at = 0; at < 64 * kSpan; at += 16) {
    const std::uint32_t to = swizzled(kSpan, at);
    EXPECT_EQ(to / (8 * kSpan), at / (8 * kSpan)) << "leaves its 8 rows";
    EXPECT_EQ(swizzled(kSpan, to), at);
    places.insert(to);
    const int row = static_cast<int>(at) / kSpan, chunk = static_cast<int>(at) % kSpan / 16;
    EXPECT_EQ(static_cast<int>(to), SwizzledTile<kSpan>::offset(row, chunk));
  }
  EXPECT_EQ(places.size(), 64 * kSpan / 16);
  for (int chunk = 0; chunk < kSpan / 16; ++chunk) {
    std::vector<std::uint32_t> column;
    for (std::uint32_t row = 0; row < 8; ++row)
      column.push_back(swizzled(kSpan, row * kSpan + static_cast<std::uint32_t>(chunk) * 16));
    expect_no_conflict(column);
  }
}
TEST(Sm90Layout, SwizzlesPermuteWithoutConflicts) {
  check_swizzle<32>();
  check_swizzle<64>();
  check_swizzle<128>();
  EXPECT_EQ(swizzled(0, 12345), 12345U);
}

// The rig takes descriptors apart by the PTX ISA's table: every chunk of the operand must be found where TMA puts it.
template <int kSpan>
void check_descriptor(std::uint32_t base) {
  for (int row0 = 0; row0 < 128; row0 += 64)
    for (int k0 = 0; k0 < kSpan / 2; k0 += 16) {
      const auto d = OperandDescriptor<kSpan>::at(base).from_row(row0).advance(k0);
      const simt::Operand operand(d.bits);
      for (std::uint32_t row = 0; row < 64; ++row)
        for (std::uint32_t half = 0; half < 2; ++half) {
          const std::uint32_t byte = static_cast<std::uint32_t>(k0) * 2 + half * 16;
          EXPECT_EQ(operand.at(row, half), swizzled(kSpan, base + (static_cast<std::uint32_t>(row0) + row) * kSpan + byte));
        }
    }
}
TEST(Sm90Layout, DescriptorsFindWhatCopiesPut) {
  for (const std::uint32_t base : {1024U, 0x8000U, 0x30400U}) {
    check_descriptor<32>(base);
    check_descriptor<64>(base);
    check_descriptor<128>(base);
  }
  EXPECT_EQ(OperandDescriptor<128>::at(0x1000).bits, 0x4000004000010100U);  // by hand: 1 << 62 | 64 << 32 | 1 << 16 | 0x100
  EXPECT_EQ(OperandDescriptor<64>::at(0x1000).bits >> 62, 2U);
  EXPECT_EQ(OperandDescriptor<32>::at(0x1000).bits >> 62, 3U);
}

TEST(Sm90Layout, EveryElementHasOneHolder) {
  std::set<std::pair<int, int>> sums, operand;
  for (int t = 0; t < 128; ++t) {
    for (int r = 0; r < 128; ++r) {
      const Place p = wgmma_sum(t, r);
      EXPECT_TRUE(p.row >= 0 && p.row < 64 && p.column >= 0 && p.column < 256);
      sums.emplace(p.row, p.column);
    }
    for (int r = 0; r < 4; ++r)
      for (int h = 0; h < 2; ++h) operand.emplace(wgmma_a(t, r).row, wgmma_a(t, r).column + h);
  }
  EXPECT_EQ(sums.size(), 64U * 256U);
  EXPECT_EQ(operand.size(), 64U * 16U);
  EXPECT_EQ(operand.rbegin()->second, 15);
  // Neighbours in registers are neighbours in a row, and a warp's rows of mma.m16n8k16 are those of its 16: one epilogue
  // fits both.
  for (int t = 0; t < 128; ++t)
    for (int r = 0; r < 4; ++r) {
      const Place p = wgmma_sum(t, r), c = fragment_c(t % 32, r), a = wgmma_a(t, r), of_mma = fragment_a(t % 32, r);
      EXPECT_EQ(p, (Place{16 * (t / 32) + c.row, c.column}));
      EXPECT_EQ(a, (Place{16 * (t / 32) + of_mma.row, of_mma.column}));
    }
}

TEST(Sm90Layout, MatrixStoresHaveNoConflicts) {
  for (int warp = 0; warp < 4; ++warp)
    for (int two = 0; two < 2; ++two)
      for (int matrix = 0; matrix < 4; ++matrix) {
        std::vector<std::uint32_t> rows;
        for (int lane = 8 * matrix; lane < 8 * matrix + 8; ++lane) {
          const Place at = stmatrix_sums(lane);
          rows.push_back(static_cast<std::uint32_t>(SwizzledTile<64>::offset(16 * warp + at.row, 2 * two + at.column)));
        }
        expect_no_conflict(rows);
      }
}

}  // namespace
}  // namespace tessera::test
