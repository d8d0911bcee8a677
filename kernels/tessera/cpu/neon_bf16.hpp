// Kernels for NEON with the matrix instruction of bf16 (FEAT_BF16's BFMMLA): those of neon_dotprod.hpp, but for products of
// bf16 that may have sums of their own order.
#pragma once
#include <tessera/cpu/neon_dotprod.hpp>

#if defined(__aarch64__)
namespace tessera::kernels::inline TESSERA_BASE::neon_bf16 {
TESSERA_PUSH_BITS
using namespace neon;

// Written out for the reasons that neon_dotprod.hpp has. The word for GNU's assembler adds to what the unit may use, which
// can be more than any architecture that a word would name; clang 14's does not know it.
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define TESSERA_BFMMLA "bfmmla %0.4s, %1.8h, %2.8h"
#elif defined(__clang__)
#define TESSERA_BFMMLA ".arch armv8.6-a+crypto+sve\n\tbfmmla %0.4s, %1.8h, %2.8h"
#else
#define TESSERA_BFMMLA ".arch_extension bf16\n\tbfmmla %0.4s, %1.8h, %2.8h"
#endif

// bfmmla takes four k of two rows of A and of two columns of W, and adds to four sums. To each it adds one pair of k after
// the other: both products are rounded, then their sum, then that sum and what was there, always to odd; subnormal inputs
// and results count as zero, a NaN is the default one (Arm Architecture Reference Manual for A-profile, DDI 0487, BFMMLA and
// the functions BFMatMulAdd and BFDotAdd, where FPCR.EBF is 0: FpModeScope sees to it). So the bits are those of every
// machine that has the instruction.
struct Bf16ByMatrix {
  static constexpr int kPairs = 4, kRows = 2 * kPairs;  // and eight columns: sixteen sums of four in registers
  static_assert(kRows <= kMostTileRows && kRowGroup % 2 == 0);
  static constexpr index_t kAlign = 2;                         // words of k that one instruction takes
  static constexpr index_t kHalf = kSlice / 2, kPerFetch = 8;  // words of k a tile for each line of the next pass

  TESSERA_INLINE static vec multiply(vec sum, vec rows, vec columns) {
    asm(TESSERA_BFMMLA : "+w"(sum) : "w"(rows), "w"(columns));
    return sum;
  }

  // Rows lie in pairs, and of these first what the first instruction takes.
  static index_t row_ld(index_t k) { return row_words(k, 2); }
  static RowRounding round_row(const float* from, index_t k, float* rows, index_t row) {
    float* const to = rows + row / 2 * 2 * row_ld(k) + row % 2 * kAlign;
    by_sixteens(k, [&](index_t i, auto how) {
      const f32x16 v = rounded_to_bf16(how.get(from + i, 0.0f));
      TESSERA_UNROLL
      for (int j = 0; j < kParts; ++j)
        vst1_f32(to + i + 4 * j, vreinterpret_f32_u16(vshrn_n_u32(vreinterpretq_u32_f32(v.v[j]), 16)));
    });
    return {};
  }

  // Four numbers of each of two rows become two blocks of two columns, or these become rows.
  TESSERA_INLINE static void turn(vec& a, vec& b) {
    const vec low = vcombine_f32(vget_low_f32(a), vget_low_f32(b)), high = vcombine_f32(vget_high_f32(a), vget_high_f32(b));
    a = low, b = high;
  }

  // Two words of k, at w and at `second`.
  template <int Pairs>
  TESSERA_INLINE static void step(vec (&sums)[Pairs][4], const float* a, index_t lda, const float* w, const float* second) {
    vec columns[4];
    TESSERA_UNROLL
    for (int j = 0; j < 4; j += 2) {
      const vec first_words = vld1q_f32(w + 2 * j), second_words = vld1q_f32(second + 2 * j);
      columns[j] = vzip1q_f32(first_words, second_words), columns[j + 1] = vzip2q_f32(first_words, second_words);
    }
    TESSERA_UNROLL
    for (int i = 0; i < Pairs; ++i) {
      const vec rows = vld1q_f32(a + 2 * i * lda);
      TESSERA_UNROLL
      for (int j = 0; j < 4; ++j) sums[i][j] = multiply(sums[i][j], rows, columns[j]);
    }
  }

  // Of an odd number of rows the last pair's second one holds anything; in t the first one is in its place, and written
  // after it.
  template <int Pairs>
  TESSERA_NOINLINE static void tile(const TileArgs& g, index_t rows, const char*& ahead) noexcept {
    static constexpr float kNothing[kHalf] = {};
    const auto first_row = [&](int i) { return g.t + 2 * i * g.ldt; };
    const auto second_row = [&](int i) { return g.t + (2 * i + 1 < rows ? 2 * i + 1 : 2 * i) * g.ldt; };
    vec sums[Pairs][4];
    TESSERA_UNROLL
    for (int i = 0; i < Pairs; ++i) {
      TESSERA_UNROLL
      for (int j = 0; j < 4; j += 2) {
        const bool from_zero = g.k0 == 0;
        sums[i][j] = from_zero ? vdupq_n_f32(0.0f) : vld1q_f32(first_row(i) + 2 * j);
        sums[i][j + 1] = from_zero ? vdupq_n_f32(0.0f) : vld1q_f32(second_row(i) + 2 * j);
        turn(sums[i][j], sums[i][j + 1]);
      }
    }
    const float *a = g.a + 2 * g.k0, *w = g.w + kSlice * g.k0;
    index_t k = g.k0;
    for (; k + 1 < g.k1; k += 2, a += 4, w += 2 * kSlice) {
      if (k % kPerFetch == 0) prefetch_l2(ahead), ahead += g.step;
      step<Pairs>(sums, a, g.lda, w, w + kSlice);
    }
    if (k < g.k1) step<Pairs>(sums, a, g.lda, w, kNothing);  // behind the last word lies another slice
    TESSERA_UNROLL
    for (int i = 0; i < Pairs; ++i) {
      TESSERA_UNROLL
      for (int j = 0; j < 4; j += 2) {
        turn(sums[i][j], sums[i][j + 1]);
        vst1q_f32(second_row(i) + 2 * j, sums[i][j + 1]);
        vst1q_f32(first_row(i) + 2 * j, sums[i][j]);
      }
    }
  }
  static void tiles(index_t rows, index_t slices, const TileArgs& args) {
    TileArgs g = args;
    static constexpr void (*kTile[kPairs])(const TileArgs&, index_t, const char*&) noexcept = {tile<1>, tile<2>, tile<3>,
                                                                                               tile<4>};
    const char* ahead = g.ahead;
    for (index_t half = 0; half < 2 * slices; ++half, g.t += kHalf) {
      kTile[(rows - 1) / 2](g, rows, ahead);
      g.w += half % 2 == 0 ? kHalf : g.stride - kHalf;
    }
  }

  static float peak(index_t steps) noexcept {
    vec sums[kPairs][4], x = vdupq_n_f32(0.0f), all = x;
    for (auto& row : sums)
      for (vec& sum : row) sum = x;
    for (index_t s = 0; s < steps; ++s) {
      TESSERA_UNROLL
      for (int i = 0; i < kPairs; ++i) {
        TESSERA_UNROLL
        for (int j = 0; j < 4; ++j) {
          asm volatile("" : "+w"(x));
          sums[i][j] = multiply(sums[i][j], x, x);
        }
      }
    }
    for (const auto& row : sums)
      for (const vec& sum : row) all = vaddq_f32(all, sum);
    return vgetq_lane_f32(all, 0);
  }
  static constexpr Peak kPeak{peak, 2 * 16 * kPairs * 4};  // of 16 multiply-adds each
  static constexpr Tiling kTiling{.numbers = 2,
                                  .rows = kRows,
                                  .balanced = false,
                                  .align = kAlign,
                                  .tiles = tiles,
                                  .round_row = round_row,
                                  .row_ld = row_ld};
};
#undef TESSERA_BFMMLA

template <class Table>
struct Family : neon_dotprod::Family<Table> {};
template <>
struct Family<FastBf16GemmTable> {
  static constexpr FastBf16GemmTable kTable{
      {neon::gemm<Bf16ByMatrix>, neon::pack_bf16, Bf16ByMatrix::row_ld, Bf16ByMatrix::kPeak}};
};
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::neon_bf16
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& neon_bf16_table() noexcept {
  return neon_bf16::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
