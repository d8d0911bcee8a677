// Tensor maps: what the hardware refuses is refused before, whatever the numbers.
#include <tessera/cuda/sm90_gemm_tile.hpp>
#include <tessera/cuda/tensor_map.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace tessera::test {
namespace {

using namespace kernels::cuda;
using Fault = TensorMapFault;

alignas(16) const unsigned char memory[32] = {};

TensorMapSpec good() { return matrix_map(DType::bf16, memory, 197, 768, 2 * 776, 128, 64, 128); }

TEST(TensorMap, GoodOnes) {
  EXPECT_EQ(check_tensor_map(good()), TensorMapVerdict{});
  EXPECT_EQ(box_bytes(good()), 128 * 64 * 2);
  TensorMapSpec s = good();
  s.box[0] = 32, s.swizzle = 64;
  EXPECT_EQ(check_tensor_map(s), TensorMapVerdict{});
  s.box[0] = 256, s.swizzle = 0, s.box[1] = 256;
  EXPECT_EQ(check_tensor_map(s), TensorMapVerdict{});
  s.extent[1] = index_t{1} << 32;
  EXPECT_EQ(check_tensor_map(s), TensorMapVerdict{});
  s = good();
  s.dtype = DType::f32, s.box[0] = 32, s.extent[0] = 388;  // 388 * 4 = 2 * 776
  EXPECT_EQ(check_tensor_map(s), TensorMapVerdict{});
  // Heads inside of a token: the pitch of dimension 2 is smaller than that of dimension 1.
  const TensorMapSpec heads = {DType::bf16, memory, 4, {64, 1000, 12, 8}, {2304, 128, 2304000}, {64, 128, 1, 1}, 128};
  EXPECT_EQ(check_tensor_map(heads), TensorMapVerdict{});
  const TensorMapSpec five = {DType::u8, memory, 5, {64, 2, 2, 2, 2}, {64, 128, 256, 512}, {64, 2, 2, 2, 2}, 0};
  EXPECT_EQ(check_tensor_map(five), TensorMapVerdict{});
  EXPECT_EQ(box_bytes(five), 1024);
}

/// One change of a good map, and what is said of it.
template <class F>
void expect(Fault fault, int dimension, const F& change) {
  TensorMapSpec s = good();
  change(s);
  const TensorMapVerdict verdict = check_tensor_map(s);
  EXPECT_EQ(verdict.fault, fault) << fault_text(verdict.fault);
  EXPECT_EQ(verdict.dimension, dimension) << fault_text(fault);
}
TEST(TensorMap, EachFault) {
  constexpr index_t kHuge = std::numeric_limits<index_t>::max(), kLow = std::numeric_limits<index_t>::min();
  expect(Fault::dtype, 0, [](auto& s) { s.dtype = DType::f64; });
  for (const int rank : {-1, 0, 1, 6, 1000}) expect(Fault::rank, 0, [&](auto& s) { s.rank = rank; });
  expect(Fault::null_base, 0, [](auto& s) { s.base = nullptr; });
  for (const int off : {1, 2, 8, 15}) expect(Fault::base_alignment, 0, [&](auto& s) { s.base = memory + off; });
  for (const index_t extent : {index_t{0}, index_t{-1}, (index_t{1} << 32) + 1, kHuge, kLow})
    for (int d = 0; d < 2; ++d) expect(Fault::extent, d, [&](auto& s) { s.extent[d] = extent; });
  for (const index_t box : {index_t{0}, index_t{-3}, index_t{257}, kHuge, kLow})
    for (int d = 0; d < 2; ++d) expect(Fault::box, d, [&](auto& s) { s.box[d] = box; });
  for (const index_t pitch : {index_t{1537}, index_t{1544}, kHuge})
    expect(Fault::pitch_alignment, 1, [&](auto& s) { s.pitch[0] = pitch; });
  for (const index_t pitch : {index_t{0}, index_t{-1552}, index_t{1520}, index_t{1} << 40, kLow})
    expect(Fault::pitch, 1, [&](auto& s) { s.pitch[0] = pitch; });
  expect(Fault::box_row, 0, [](auto& s) { s.box[0] = 4; });
  for (const int swizzle : {16, 48, 256, -1}) expect(Fault::swizzle, 0, [&](auto& s) { s.swizzle = swizzle; });
  expect(Fault::swizzle_span, 0, [](auto& s) { s.box[0] = 72; });
  expect(Fault::swizzle_span, 0, [](auto& s) { s.swizzle = 64; });
  expect(Fault::swizzle_span, 0, [](auto& s) { s.dtype = DType::f32, s.extent[0] = 388; });
  expect(Fault::box_bytes, 0,
         [](auto& s) { s.swizzle = 0, s.dtype = DType::f32, s.extent[0] = 388, s.box[0] = s.box[1] = 256; });
  expect(Fault::region, 4, [](auto& s) {
    s.rank = 5;
    for (int d = 2; d < 5; ++d)
      s.extent[d] = index_t{1} << 32, s.box[d] = 1, s.pitch[d - 1] = d < 4 ? 16 : (index_t{1} << 40) - 16;
  });
  expect(Fault::region, 2,
         [](auto& s) { s.rank = 3, s.extent[2] = index_t{1} << 32, s.box[2] = 1, s.pitch[1] = (index_t{1} << 40) - 16; });
}

// The maps of a GEMM: rows of W alternate between gate and up by eight.
TEST(TensorMap, OfAGemm) {
  Sm90GemmOperands g = {memory, memory, const_cast<unsigned char*>(memory), 197, 3072, 768, 768, 776, 3072, false};
  using Tile = Sm90GemmTile128x256;
  for (const TensorMapSpec& s : {sm90_map_of_a<Tile>(g), sm90_map_of_w<Tile>(g), sm90_map_of_c<Tile>(g)})
    EXPECT_EQ(check_tensor_map(s), TensorMapVerdict{});
  EXPECT_EQ(box_bytes(sm90_map_of_a<Tile>(g)), Tile::kBytesA);
  EXPECT_EQ(box_bytes(sm90_map_of_w<Tile>(g)), Tile::kStageBytes - Tile::kBytesA);
  EXPECT_EQ(box_bytes(sm90_map_of_c<Tile>(g)), kSm90StoreBytes);
  g.gated = true;
  const TensorMapSpec w = sm90_map_of_w<Tile>(g);
  EXPECT_EQ(check_tensor_map(w), TensorMapVerdict{});
  EXPECT_EQ(box_bytes(w), Tile::kStageBytes - Tile::kBytesA);
  g.ldc = 3075;  // rows that begin anywhere: C is then written otherwise
  EXPECT_EQ(check_tensor_map(sm90_map_of_c<Tile>(g)).fault, Fault::pitch_alignment);
}

// Stages and bytes of shared memory, worked out by hand: stages x 128 (rows + columns), buffers, barriers.
template <class Tile>
void expect_room(int stages, int bytes) {
  EXPECT_EQ(Tile::kStages, stages) << Tile::kRows << "x" << Tile::kColumns;
  EXPECT_EQ(Tile::kSharedBytes, bytes) << Tile::kRows << "x" << Tile::kColumns;
  EXPECT_LE(Tile::kSharedBytes, 232448);
  EXPECT_EQ(Tile::kBytesA % 1024 + Tile::kStageBytes % 1024 + Tile::kBuffersAt % 1024 + Tile::kBarriersAt % 8, 0);
}
TEST(TensorMap, TilesFitIntoSharedMemory) {
  expect_room<Sm90GemmTile64x64>(8, 8 * 128 * 128 + 16384 + 144);
  expect_room<Sm90GemmTile64x128>(8, 8 * 128 * 192 + 16384 + 144);
  expect_room<Sm90GemmTile64x256>(5, 5 * 128 * 320 + 16384 + 96);
  expect_room<Sm90GemmTile128x128>(6, 6 * 128 * 256 + 16384 + 104);
  expect_room<Sm90GemmTile128x160>(5, 5 * 128 * 288 + 16384 + 88);
  expect_room<Sm90GemmTile128x192>(5, 5 * 128 * 320 + 16384 + 88);
  expect_room<Sm90GemmTile128x256>(4, 4 * 128 * 384 + 16384 + 72);
  expect_room<Sm90GemmTile192x128>(5, 5 * 128 * 320 + 24576 + 88);
  expect_room<Sm90GemmTile256x128>(4, 4 * 128 * 384 + 16384 + 72);
}

}  // namespace
}  // namespace tessera::test
