// Kernels for Intel's matrix unit, AMX: those of AVX-512 with VNNI, but for products of int8, whose sums are the same, and
// for those of bf16 that may have sums of their own order.
#pragma once
#include <tessera/cpu/avx512_bf16_vnni.hpp>

#if defined(__x86_64__)
TESSERA_PUSH_TARGET(
    "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512bitalg,avx512vnni,amx-tile,amx-bf16,amx-int8")
namespace tessera::kernels::inline TESSERA_BASE::amx {
TESSERA_PUSH_BITS
using namespace avx512;

// What follows makes of tile registers 4 and 5, rows of A, and 6 and 7, slices of W, sums in 0 to 3.

// tdpbf16ps adds to each sum, for 32 k at a time, a chain of fma over the first elements of the pairs plus one over the
// second ones, both from 0, subnormal numbers counting as zero (found by trying).
struct Bf16Tiles {
  static constexpr index_t kNumbers = 2, kHead = 0;
  template <int Rows, int Slices>
  TESSERA_INLINE static void multiply() {
    _tile_dpbf16ps(0, 4, 6);
    if (Slices > 1) _tile_dpbf16ps(1, 4, 7);
    if (Rows > 16) _tile_dpbf16ps(2, 5, 6);
    if (Rows > 16 && Slices > 1) _tile_dpbf16ps(3, 5, 7);
  }
  template <class To>
  TESSERA_INLINE static RowRounding round_row(const float* from, index_t k, const To& to) {
    avx512_bf16_vnni::Bf16ByInstruction::round_pairs(from, k, to);
    return {};
  }
};
struct Int8Tiles {
  static constexpr index_t kNumbers = 4, kHead = kInt8Head;
  template <int Rows, int Slices>
  TESSERA_INLINE static void multiply() {
    _tile_dpbusd(0, 4, 6);
    if (Slices > 1) _tile_dpbusd(1, 4, 7);
    if (Rows > 16) _tile_dpbusd(2, 5, 6);
    if (Rows > 16 && Slices > 1) _tile_dpbusd(3, 5, 7);
  }
  template <class To>
  TESSERA_INLINE static RowRounding round_row(const float* from, index_t k, const To& to) {
    return round_row_to(from, k, [&](index_t i, f32x16 v) { store_low_bytes(to(i), v); });
  }
};

template <class Kind>
struct ByMatrix {
  static constexpr int kRows = 32;
  static_assert(kRows == kRowGroup && kRows <= kMostTileRows);
  static constexpr index_t kAlign = 16;  // words of k that one instruction takes

  // The shapes of the eight tile registers: all of 16 rows of 64 bytes.
  struct alignas(64) Shapes {
    std::uint8_t palette = 1, start = 0, reserved[14] = {};
    std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };

  static constexpr index_t kStep = kAlign * Kind::kNumbers;
  // Words of a row in whole instructions.
  static index_t row_ld(index_t k) { return (k + kStep - 1) / kStep * kAlign; }
  // Rows lie in sixteens, and of these first what the first instruction takes: each tile is one piece of memory.
  static float* place_of(const TileRows& rows, index_t row, index_t k) {
    const index_t group = row / 16 * 16 * rows.ld, line = row % 16 * kAlign;
    return const_cast<float*>(rows.data) + group + k / kStep * 16 * kAlign + line + k % kStep / Kind::kNumbers;
  }
  static RowRounding round_row(const float* from, index_t k, float* rows, index_t row) {
    const TileRows all{rows, row_ld(k), nullptr};
    const auto to = [&](index_t i) { return place_of(all, row, i); };
    for (index_t i = (k + 15) / 16 * 16; i < all.ld * Kind::kNumbers; i += 16)
      for (index_t j = 0; j < 16 / Kind::kNumbers; ++j) to(i)[j] = 0;
    return Kind::round_row(from, k, to);
  }
  static std::int32_t number_at(const TileRows& a, index_t row, index_t k) {
    std::uint8_t byte;
    __builtin_memcpy(&byte, reinterpret_cast<const char*>(place_of(a, row, k)) + k % 4, 1);
    return byte;
  }

  // Compilers do not know that tiles are loaded from memory.
  TESSERA_INLINE static void all_stored() { asm volatile("" ::: "memory"); }

  // 32 or 16 rows by 32 columns, or 16 where no second slice is left.
  template <int Rows, int Slices>
  TESSERA_INLINE static void sums(const TileArgs& g, const char*& ahead) {
    const index_t ldt = g.ldt * 4;
    const auto* const w1 = Slices > 1 ? g.w + g.stride : g.w;
    const float* const a1 = g.a + 16 * g.lda;
    float* const t1 = g.t + 16 * g.ldt;
    if (g.k0 == 0) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    } else {
      _tile_loadd(0, g.t, ldt);
      if (Slices > 1) _tile_loadd(1, g.t + 16, ldt);
      if (Rows > 16) _tile_loadd(2, t1, ldt);
      if (Rows > 16 && Slices > 1) _tile_loadd(3, t1 + 16, ldt);
    }
    for (index_t k = g.k0; k < g.k1; k += kAlign) {
      alignas(64) float rest[2][kAlign * kSlice];
      const float *b0 = g.w + k * kSlice, *b1 = w1 + k * kSlice;
      if (g.k1 - k < kAlign) {  // behind the last words lies another slice
        for (index_t i = 0; i < kAlign; ++i) {
          store(rest[0] + i * kSlice, i < g.k1 - k ? load(b0 + i * kSlice) : set1(0.0f));
          store(rest[1] + i * kSlice, i < g.k1 - k ? load(b1 + i * kSlice) : set1(0.0f));
        }
        b0 = rest[0], b1 = rest[1];
        all_stored();
      }
      TESSERA_UNROLL
      for (int i = 0; i < 8; ++i, ahead += g.step) prefetch_l2(ahead);
      // All loads first: between the products they would wait for them.
      _tile_loadd(4, g.a + 16 * k, 64);
      _tile_loadd(6, b0, 64);
      if (Slices > 1) _tile_loadd(7, b1, 64);
      if (Rows > 16) _tile_loadd(5, a1 + 16 * k, 64);
      Kind::template multiply<Rows, Slices>();
    }
    _tile_stored(0, g.t, ldt);
    if (Slices > 1) _tile_stored(1, g.t + 16, ldt);
    if (Rows > 16) _tile_stored(2, t1, ldt);
    if (Rows > 16 && Slices > 1) _tile_stored(3, t1 + 16, ldt);
  }

  // Rows beyond the last one hold anything, and come out as anything.
  static void tiles(index_t rows, index_t slices, const TileArgs& args) {
    TileArgs g = args;
    all_stored();
    const char* ahead = g.ahead;
    for (index_t s = 0; s < slices; s += 2, g.w += 2 * g.stride, g.t += 2 * kSlice) {
      const bool two = s + 1 < slices;
      if (rows > 16)
        two ? sums<32, 2>(g, ahead) : sums<32, 1>(g, ahead);
      else
        two ? sums<16, 2>(g, ahead) : sums<16, 1>(g, ahead);
    }
  }
  // Around all tiles: around each one they would be a twentieth of the time.
  static void begin() {
    static constexpr Shapes kShapes;
    _tile_loadconfig(&kShapes);
  }
  static void end() { _tile_release(); }

  static float peak(index_t steps) noexcept {
    begin();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (index_t s = 0; s < steps; ++s) Kind::template multiply<32, 2>();
    end();
    return 0;
  }
  static constexpr Peak kPeak{peak, 2 * 32 * 32 * kStep};
  static constexpr Tiling kTiling{.numbers = Kind::kNumbers,
                                  .rows = kRows,
                                  .balanced = false,
                                  .align = kAlign,
                                  .head = Kind::kHead,
                                  .tiles = tiles,
                                  .round_row = round_row,
                                  .row_ld = row_ld,
                                  .number_at = number_at,
                                  .begin = begin,
                                  .end = end};
};

template <class Table>
struct Family : avx512_vnni::Family<Table> {};
template <>
struct Family<FastBf16GemmTable> {
  static constexpr FastBf16GemmTable kTable{
      {avx512::gemm<ByMatrix<Bf16Tiles>>, avx512::pack_bf16, ByMatrix<Bf16Tiles>::row_ld, ByMatrix<Bf16Tiles>::kPeak}};
};
template <>
struct Family<Int8GemmTable> {
  static constexpr Int8GemmTable kTable{
      {avx512::gemm<ByMatrix<Int8Tiles>>, avx512::pack_int8, ByMatrix<Int8Tiles>::row_ld, ByMatrix<Int8Tiles>::kPeak},
      avx512::int8_rounding};
};
template <>
struct Family<HammingTable> : avx512_bf16_vnni::Family<HammingTable> {};
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::amx
TESSERA_POP_TARGET
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& amx_table() noexcept {
  return amx::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
