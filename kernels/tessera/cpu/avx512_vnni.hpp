// Kernels for AVX-512 with VNNI: those of avx512.hpp, but for products of int8, which have an instruction.
#pragma once
#include <tessera/cpu/avx512.hpp>

#if defined(__x86_64__)
TESSERA_PUSH_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace tessera::kernels::inline TESSERA_BASE::avx512_vnni {
TESSERA_PUSH_BITS
using namespace avx512;
#include <tessera/cpu/tile.inl>

// By vpdpbusd. Called from kernels of avx512, into which nothing of this can be inlined.
struct Int8ByInstruction {
  static constexpr int kSteps = 1;
  static constexpr bool kEveryWidth = false;
  TESSERA_INLINE static f32x16 part(const float* p, int) { return load(p); }
  TESSERA_INLINE static f32x16 madd(f32x16 a, f32x16 w, f32x16 c) {
    return {_mm512_castsi512_ps(
        _mm512_dpbusd_epi32(_mm512_castps_si512(c.v), _mm512_castps_si512(a.v), _mm512_castps_si512(w.v)))};
  }
  static index_t row_ld(index_t k) { return row_words(k, 4); }
  static RowRounding round_row(const float* from, index_t k, float* rows, index_t row) {
    float* const to = rows + row * row_ld(k);
    return round_row_to(from, k, [&](index_t i, f32x16 v) { store_low_bytes(to + i / 4, v); });
  }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) { run_tile<Int8ByInstruction>(rows, slices, g); }
  static constexpr Tiling kTiling{.numbers = 4,
                                  .rows = kTileRows,
                                  .head = kInt8Head,
                                  .tiles = tiles,
                                  .round_row = round_row,
                                  .row_ld = row_ld,
                                  .number_at = byte_at<std::uint8_t>};
};

template <class Table>
struct Family : avx512::Family<Table> {};
template <>
struct Family<Int8GemmTable> {
  static constexpr Int8GemmTable kTable{
      {avx512::gemm<Int8ByInstruction>, avx512::pack_int8, Int8ByInstruction::row_ld, kPeak<Int8ByInstruction>},
      avx512::int8_rounding};
};
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::avx512_vnni
TESSERA_POP_TARGET
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& avx512_vnni_table() noexcept {
  return avx512_vnni::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
