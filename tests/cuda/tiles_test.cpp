// The plain C++ of the CUDA kernels: swizzles, fragment maps, which block computes which tile, and the epilogue.
#include <tessera/cuda/gemm.hpp>
#include <tessera/cuda/ptx.cuh>
#include <tessera/ops/detail/tables.hpp>

#include <cmath>
#include <limits>
#include <set>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

namespace gpu = kernels::cuda;

// Every chunk has a place of its own within the tile, and eight rows' chunks of one column have eight different banks'
// groups.
template <class Layout>
void expect_conflict_free(int rows) {
  std::set<int> places;
  for (int row = 0; row < rows; ++row)
    for (int chunk = 0; chunk < Layout::kChunks; ++chunk) {
      const int at = Layout::offset(row, chunk);
      EXPECT_TRUE(at % 16 == 0 && at / Layout::kPitch == row && places.insert(at).second) << row << ' ' << chunk;
    }
  for (int row = 0; row + 8 <= rows; row += 8)
    for (int chunk = 0; chunk < Layout::kChunks; ++chunk) {
      std::set<int> banks;
      for (int i = 0; i < 8; ++i) banks.insert(Layout::offset(row + i, chunk) / 16 % 8);
      EXPECT_EQ(banks.size(), 8U) << row << ' ' << chunk;
    }
}
TEST(CudaTiles, SwizzlesHaveNoBankConflicts) {
  expect_conflict_free<gpu::SwizzledTile<128>>(64);
  expect_conflict_free<gpu::SwizzledTile<64>>(64);
  expect_conflict_free<gpu::SwizzledTile<32>>(64);
}
TEST(CudaTiles, PaddedTilesHaveNoBankConflicts) {
  expect_conflict_free<gpu::PaddedTile<64>>(16);
  expect_conflict_free<gpu::PaddedTile<128>>(16);
  expect_conflict_free<gpu::PaddedTile<160>>(16);
  expect_conflict_free<gpu::PaddedTile<192>>(16);
  expect_conflict_free<gpu::PaddedTile<256>>(16);
}
// The permutation that TMA and wgmma use, byte for byte: the worked addresses of the PTX ISA's 128-byte mode.
TEST(CudaTiles, SwizzleIsTheOneOfTheHardware) {
  for (int row = 0; row < 16; ++row)
    for (int chunk = 0; chunk < 8; ++chunk)
      EXPECT_EQ(gpu::SwizzledTile<128>::offset(row, chunk), row * 128 + (chunk ^ row % 8) * 16);
  EXPECT_EQ(gpu::SwizzledTile<64>::offset(2, 0), 128 + 16);
  EXPECT_EQ(gpu::SwizzledTile<64>::offset(7, 1), 448 + 32);
  EXPECT_EQ(gpu::SwizzledTile<32>::offset(4, 1), 128);
}

// Multiplies by the maps of the library: the emulated instruction, which has its own, must agree.
TEST(CudaTiles, FragmentMapsAreThoseOfTheInstruction) {
  float a[16][16], b[16][8], d[16][8] = {};
  Random random(1);
  for (auto& row : a)
    for (float& x : row) x = static_cast<float>(random.in(-8, 8));
  for (auto& row : b)
    for (float& x : row) x = static_cast<float>(random.in(-8, 8));
  const auto pair = [](float low, float high) {
    return simt::host_bf16(low).bits | static_cast<std::uint32_t>(simt::host_bf16(high).bits) << 16;
  };
  const std::string wrong = simt::run({.threads = 32, .seed = 5}, [&] {
    const int lane = gpu::thread_index();
    std::uint32_t of_a[4], of_b[2];
    for (int r = 0; r < 4; ++r) {
      const gpu::Place at = gpu::fragment_a(lane, r);
      of_a[r] = pair(a[at.row][at.column], a[at.row][at.column + 1]);
    }
    for (int r = 0; r < 2; ++r) {
      const gpu::Place at = gpu::fragment_b(lane, r);
      of_b[r] = pair(b[at.row][at.column], b[at.row + 1][at.column]);
    }
    float sums[4] = {};
    gpu::mma_m16n8k16(sums, of_a, of_b);
    for (int r = 0; r < 4; ++r) {
      const gpu::Place at = gpu::fragment_c(lane, r);
      d[at.row][at.column] += sums[r] + 1000;  // each element once
    }
  });
  EXPECT_EQ(wrong, "");
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      float sum = 1000;
      for (int k = 0; k < 16; ++k) sum += a[m][k] * b[k][n];
      EXPECT_EQ(d[m][n], sum) << m << ' ' << n;
    }
}
TEST(CudaTiles, LdmatrixGivesFragments) {
  const std::string wrong = simt::run({.threads = 32, .shared_bytes = 16 * 32, .seed = 2}, [] {
    const int lane = gpu::thread_index();
    const gpu::shared_t tile = gpu::dynamic_shared();
    for (int i = 0; i < 8; ++i)  // element (row, column) is 16 row + column
      gpu::store_shared(tile + static_cast<gpu::shared_t>(lane * 16 + 2 * i), static_cast<std::uint16_t>(8 * lane + i));
    gpu::sync_warp();
    const auto address = [&](gpu::Place at) { return tile + static_cast<gpu::shared_t>(at.row * 32 + at.column * 16); };
    std::uint32_t r[4];
    const auto expect = [&](int i, int low, int high) {
      if (r[i] != (static_cast<unsigned>(low) | static_cast<unsigned>(high) << 16)) gpu::rig().fail("has a wrong fragment");
    };
    gpu::load_matrices(r, address(gpu::ldmatrix_a(lane)));
    for (int i = 0; i < 4; ++i) {
      const gpu::Place at = gpu::fragment_a(lane, i);
      expect(i, 16 * at.row + at.column, 16 * at.row + at.column + 1);
    }
    gpu::load_matrices(r, address(gpu::ldmatrix_b(lane)));
    for (int i = 0; i < 4; ++i) {  // stored as n, k
      const gpu::Place at = gpu::fragment_b(lane, i % 2);
      const int n = i / 2 * 8 + at.column;
      expect(i, 16 * n + at.row, 16 * n + at.row + 1);
    }
    gpu::load_matrices_transposed(r, address(gpu::ldmatrix_b_transposed(lane)));
    for (int i = 0; i < 4; ++i) {  // stored as k, n
      const gpu::Place at = gpu::fragment_b(lane, i % 2);
      const int n = i / 2 * 8 + at.column;
      expect(i, 16 * at.row + n, 16 * (at.row + 1) + n);
    }
  });
  EXPECT_EQ(wrong, "");
}

TEST(CudaTiles, EachTileHasItsBlock) {
  for (int rows = 1; rows < 20; ++rows)
    for (int columns = 1; columns < 5; ++columns) {
      std::set<std::pair<int, int>> seen;
      for (int block = 0; block < rows * columns; ++block) {
        const gpu::Place at = gpu::tile_of_block(block, rows, columns);
        EXPECT_TRUE(at.row >= 0 && at.row < rows && at.column >= 0 && at.column < columns);
        EXPECT_TRUE(seen.insert({at.row, at.column}).second);
      }
    }
}
TEST(CudaTiles, RowsOfGatedWeights) {
  std::set<int> rows;
  for (int i = 0; i < 64; ++i) rows.insert(gpu::row_of_w<true>(32, i, 100));
  std::set<int> expected;
  for (int i = 0; i < 32; ++i) expected.insert({32 + i, 132 + i});
  EXPECT_EQ(rows, expected);
  EXPECT_EQ(gpu::row_of_w<true>(32, 17, 100), 32 + 9);   // gate of the second eight columns
  EXPECT_EQ(gpu::row_of_w<true>(32, 25, 100), 132 + 9);  // and its up
  EXPECT_EQ(gpu::row_of_w<false>(32, 17, 100), 49);
}
TEST(CudaTiles, TileOfAProduct) {
  using enum gpu::GemmTileChoice;
  EXPECT_EQ(gpu::choose_gemm_tile(16384, 3072, 132), tile_128x128);
  EXPECT_EQ(gpu::choose_gemm_tile(1576, 768, 108), tile_128x64);
  EXPECT_EQ(gpu::choose_gemm_tile(197, 768, 108), tile_64x64);
  EXPECT_EQ(gpu::choose_gemm_tile(64, 65536, 108), tile_64x128);
  EXPECT_EQ(gpu::choose_gemm_tile(1, 768, 132), tile_64x64);
  EXPECT_EQ(gpu::choose_gemm_tile(1 << 30, 1 << 20, 132), tile_128x128);
}

// The scalar definitions have the bits of the CPU's kernels.
TEST(CudaEpilogue, ActivationsHaveTheBitsOfTheCpu) {
  std::vector<float> x = {0.0f,
                          -0.0f,
                          1e-40f,
                          -1e-30f,
                          3e38f,
                          -3e38f,
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()};
  Random random(3);
  for (int i = 0; i < 4000; ++i) x.push_back(random.unit() * static_cast<float>(1 << i % 8));
  std::vector<float> y(x.size());
  Context ctx(1);
  for (const Activation act : {Activation::identity, Activation::gelu_erf, Activation::gelu_tanh, Activation::quick_gelu,
                               Activation::silu, Activation::relu, Activation::tanh}) {
    ops::detail::table<kernels::ActivationTable>(ctx).apply(act, x.data(), static_cast<index_t>(x.size()), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float ours = gpu::activate(act, x[i]);
      if (std::isnan(y[i])) {
        EXPECT_TRUE(std::isnan(ours)) << x[i];
      } else {
        EXPECT_EQ(__builtin_bit_cast(std::uint32_t, ours), __builtin_bit_cast(std::uint32_t, y[i]))
            << static_cast<int>(act) << ' ' << x[i];
      }
    }
  }
}
TEST(CudaEpilogue, NullPointersChangeNoBits) {
  const float zero = 0, one = 1;
  EXPECT_TRUE(std::signbit(gpu::finish({}, {}, -0.0f, false, 0)));
  EXPECT_FALSE(std::signbit(gpu::finish({.bias = &zero}, {}, -0.0f, false, 0)));
  EXPECT_EQ(
      gpu::finish({.bias = &zero, .channel_scale = &one, .act = Activation::relu}, {.bias = -3, .scale = 2}, 5, true, 7),
      11);
  EXPECT_EQ(gpu::finish_gated({.bias = &zero, .channel_scale = &one, .act = Activation::relu},
                              {.bias = -3, .bias_up = 1, .scale = 2}, 5, 4, true, 7),
            27);
}

}  // namespace
}  // namespace tessera::test
