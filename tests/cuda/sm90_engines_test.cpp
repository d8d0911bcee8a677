// Copies, products and stores of sm_90a by themselves, and that the rig sees it when one of the waits or fences between them
// is missing.
#include <tessera/cuda/sm90_wgmma.cuh>
#include <tessera/cuda/tensor_map_encode.cuh>

#include <cmath>

#include "cuda/simt/block.hpp"
#include "support/random.hpp"

namespace tessera::test {
namespace {

using namespace kernels::cuda;
using simt::Tensor;

enum class Mistake {
  none,
  no_barrier_fence,    ///< barriers are not made known to copies
  no_wait_for_copies,  ///< products begin before their operands are there
  no_sums_fence,
  no_wait_for_products,  ///< sums are read while they are made
  reused_too_early,      ///< operands are overwritten while products read them
  no_proxy_fence,        ///< a store may not see what threads wrote
  no_barrier,            ///< a store begins before all have written
  no_wait_for_store,     ///< the block ends before a store has read its memory
  too_many_arrivals,     ///< the barrier waits for one more than comes
};

struct Maps {
  TensorMap a, b, c;
};
/// C [64, 32] of bf16 = A [64, K] . B [32, K]^T, one row of a swizzle deep: A from shared memory, or from registers.
template <int kSpan>
void one_product(const Maps& maps, bool from_registers, Mistake mistake) {
  constexpr int kDepth = kSpan / 2;
  const shared_t memory = dynamic_shared(), of_b = memory + 64 * kSpan, to = of_b + 32 * kSpan;
  const Mbarrier barrier = {to + 64 * 64};
  const int thread = thread_index();
  if (thread == 0) {
    Mbarrier(barrier).init(mistake == Mistake::too_many_arrivals ? 2 : 1);
    if (mistake != Mistake::no_barrier_fence) fence_barrier_init();
  }
  sync_threads();
  const auto load = [&](int row) {
    tma_load(memory, maps.a, barrier, 0, 0, row);
    tma_load(of_b, maps.b, barrier, 0, 0, row);
  };
  if (thread == 0) {
    Mbarrier(barrier).arrive_expect(96 * kSpan);
    load(0);
  }
  if (mistake != Mistake::no_wait_for_copies) Mbarrier(barrier).wait(0);
  float sums[16] = {};
  if (mistake != Mistake::no_sums_fence) wgmma_fence();
  for (int k = 0; k < kDepth; k += 16) {
    const auto a = OperandDescriptor<kSpan>::at(memory).advance(k), b = OperandDescriptor<kSpan>::at(of_b).advance(k);
    if (from_registers) {
      std::uint32_t registers[4];
      for (int r = 0; r < 4; ++r) {
        const Place p = wgmma_a(thread, r);
        const auto byte = static_cast<std::uint32_t>((p.column + k) * 2);
        registers[r] = load_shared<std::uint32_t>(swizzled(kSpan, memory + static_cast<shared_t>(p.row * kSpan) + byte));
      }
      Wgmma<32>::rs(sums, registers, b.bits, true);
      wgmma_commit();
      wgmma_wait<0>();  // the registers are this turn's
      wgmma_fence();
    } else {
      Wgmma<32>::ss(sums, a.bits, b.bits, k > 0);
    }
  }
  wgmma_commit();
  if (mistake == Mistake::reused_too_early) {
    sync_threads();
    if (thread == 0) {
      Mbarrier(barrier).arrive_expect(96 * kSpan);
      load(1);
    }
    Mbarrier(barrier).wait(1);
  }
  if (mistake != Mistake::no_wait_for_products) wgmma_wait<0>();
  for (int two = 0; two < 2; ++two) {
    bf16_pair pairs[4];
    for (int i = 0; i < 4; ++i) pairs[i] = to_bf16_pair(sums[8 * two + 2 * i], sums[8 * two + 2 * i + 1]);
    const Place row = stmatrix_sums(thread % 32);
    stmatrix(to + static_cast<shared_t>(SwizzledTile<64>::offset(thread / 32 * 16 + row.row, 2 * two + row.column)), pairs);
  }
  if (mistake != Mistake::no_proxy_fence) fence_proxy_async();
  if (mistake != Mistake::no_barrier) sync_threads();
  if (thread == 0) {
    tma_store(maps.c, to, 0, 0, 0);
    tma_commit();
    if (mistake != Mistake::no_wait_for_store) tma_wait_read<0>();
  }
}

/// Empty, or what went wrong.
template <int kSpan>
std::string run_product(std::uint64_t seed, bool from_registers, Mistake mistake = Mistake::none, index_t rows = 64,
                        index_t columns = 32, index_t depth = kSpan / 2) {
  Tensor<bf16> a(simt::Use<bf16>::input, rows, depth, kSpan / 2 - depth + 8),
      b(simt::Use<bf16>::input, columns, depth, kSpan / 2 - depth);
  Tensor<bf16> c(simt::Use<bf16>::output, rows, columns, 40 - columns);
  Random random(seed + 1);
  a.fill([&](index_t, index_t) { return random.unit(); });
  b.fill([&](index_t, index_t) { return random.unit(); });
  Maps maps;
  for (const char* problem :
       {encode_tensor_map(matrix_map(DType::bf16, a.data(), rows, depth, 2 * a.ld(), 64, kSpan / 2, kSpan), maps.a),
        encode_tensor_map(matrix_map(DType::bf16, b.data(), columns, depth, 2 * b.ld(), 32, kSpan / 2, kSpan), maps.b),
        encode_tensor_map(matrix_map(DType::bf16, c.data(), rows, columns, 2 * c.ld(), 64, 32, 64), maps.c)})
    if (problem) return problem;
  const simt::Launch launch{1, 128, 96 * kSpan + 64 * 64 + 8, seed};
  const std::string wrong = simt::run(launch, [&] { one_product<kSpan>(maps, from_registers, mistake); });
  if (!wrong.empty()) return wrong;
  if (!c.written_exactly()) return "not written exactly";
  for (index_t r = 0; r < rows; ++r)
    for (index_t n = 0; n < columns; ++n) {
      double sum = 0;
      for (index_t k = 0; k < depth; ++k) sum += static_cast<double>(a.at(r, k)) * b.at(n, k);
      if (!(std::fabs(c.at(r, n) - sum) <= 0x1p-8 * std::fabs(sum) + 1e-6)) return "wrong numbers";
    }
  return {};
}

TEST(Sm90Engines, OneProduct) {
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    for (const bool from_registers : {false, true}) {
      EXPECT_EQ(run_product<32>(seed, from_registers), "");
      EXPECT_EQ(run_product<64>(seed, from_registers), "");
      EXPECT_EQ(run_product<128>(seed, from_registers), "");
      EXPECT_EQ(run_product<128>(seed, from_registers, Mistake::none, 61, 24, 56), "") << "what a box lacks is 0";
      EXPECT_EQ(run_product<64>(seed, from_registers, Mistake::none, 1, 8, 3), "");
    }
}
TEST(Sm90Engines, MistakesShow) {
  for (const Mistake mistake : {Mistake::no_barrier_fence, Mistake::no_wait_for_copies, Mistake::no_sums_fence,
                                Mistake::no_wait_for_products, Mistake::reused_too_early, Mistake::no_proxy_fence,
                                Mistake::no_barrier, Mistake::no_wait_for_store, Mistake::too_many_arrivals}) {
    std::string seen;
    for (std::uint64_t seed = 0; seed < 6 && seen.empty(); ++seed) seen = run_product<128>(seed, false, mistake);
    EXPECT_NE(seen, "") << static_cast<int>(mistake);
  }
}
TEST(Sm90Engines, AHangSaysWhereThreadsWait) {
  const std::string seen = run_product<32>(1, false, Mistake::too_many_arrivals);
  EXPECT_NE(seen.find("no thread can go on"), std::string::npos) << seen;
  EXPECT_NE(seen.find("a barrier, even phase"), std::string::npos) << seen;
}

// Boxes of 3 to 5 dimensions, there and back, at corners inside, across and outside of the region.
TEST(Sm90Engines, BoxesOfFiveDimensions) {
  constexpr int kRows = 2 * 3 * 2 * 3;
  Tensor<bf16> from(simt::Use<bf16>::input, kRows, 24), to(simt::Use<bf16>::output, kRows, 24);
  from.fill([](index_t r, index_t c) { return static_cast<float>(r * 3 + c % 3 + 1); });
  const auto map_of = [](const void* base) {
    return TensorMapSpec{DType::bf16, base, 5, {24, 2, 3, 2, 3}, {48, 96, 288, 576}, {16, 2, 2, 1, 2}, 0};
  };
  TensorMap in, out;
  ASSERT_EQ(encode_tensor_map(map_of(from.data()), in), nullptr);
  ASSERT_EQ(encode_tensor_map(map_of(to.data()), out), nullptr);
  const auto kernel = [&] {
    const Mbarrier barrier = {dynamic_shared() + 256};
    if (thread_index() != 0) return;
    Mbarrier(barrier).init(1);
    fence_barrier_init();
    std::uint32_t parity = 0;
    for (int x = 0; x < 24; x += 16)
      for (int z = -1; z < 4; z += 2)
        for (int u = 0; u < 3; ++u)  // 2 is outside
          for (int v = 0; v < 4; v += 2, parity ^= 1) {
            Mbarrier(barrier).arrive_expect(256);
            tma_load(dynamic_shared(), in, barrier, 0, x, 0, z, u, v);
            Mbarrier(barrier).wait(parity);
            tma_store(out, dynamic_shared(), 0, x, 0, z, u, v);
            tma_commit();
            tma_wait_read<0>();
          }
  };
  for (std::uint64_t seed = 0; seed < 3; ++seed) ASSERT_EQ(simt::run({1, 32, 264, seed}, kernel), "");
  EXPECT_TRUE(to.written_exactly());
  for (index_t r = 0; r < kRows; ++r) EXPECT_EQ(from.row(r), to.row(r));
}

// A consumer that takes registers waits until the producer has given them.
TEST(Sm90Engines, RegistersAreGivenBeforeTheyAreTaken) {
  const auto kernel = [](bool gives) {
    return [gives] {
      if (thread_index() >= 128) {
        take_registers<240>();
      } else if (gives) {
        give_registers<24>();
      }
    };
  };
  for (std::uint64_t seed = 0; seed < 3; ++seed) EXPECT_EQ(simt::run({1, 384, 8, seed}, kernel(true)), "");
  EXPECT_NE(simt::run({1, 384, 8, 1}, kernel(false)), "");
}

}  // namespace
}  // namespace tessera::test
