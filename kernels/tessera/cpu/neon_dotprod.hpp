// Kernels for NEON with dot products (Armv8.2's DotProd): those of neon.hpp, but for products of int8, which have an
// instruction.
#pragma once
#include <tessera/cpu/neon.hpp>

#if defined(__aarch64__)
namespace tessera::kernels::inline TESSERA_BASE::neon_dotprod {
TESSERA_PUSH_BITS
using namespace neon;
#include <tessera/cpu/tile.inl>

// By sdot, which multiplies signed bytes: rows of A have 128 taken off, and so have their zeros. It is written out, with a
// word that lets the assembler take it, and stands in no target region: compilers hide the intrinsic in units that have not
// the instruction everywhere, and a region would name an architecture, which the unit's own may exceed. Called from kernels
// of neon, into which nothing of this can be inlined.
#if defined(__ARM_FEATURE_DOTPROD)
#define TESSERA_SDOT "sdot %0.4s, %1.16b, %2.16b"
#else
#define TESSERA_SDOT ".arch armv8.6-a+crypto+sve\n\tsdot %0.4s, %1.16b, %2.16b"
#endif
struct Int8ByInstruction {
  static constexpr int kSteps = 1;
  static constexpr bool kEveryWidth = false;
  TESSERA_INLINE static f32x16 part(const float* p, int) { return load(p); }
  TESSERA_INLINE static f32x16 madd(f32x16 a, f32x16 w, f32x16 c) {
    TESSERA_UNROLL
    for (int i = 0; i < kParts; ++i) asm(TESSERA_SDOT : "+w"(c.v[i]) : "w"(w.v[i]), "w"(a.v[i]));
    return c;
  }
  static index_t row_ld(index_t k) { return row_words(k, 4); }
  static RowRounding round_row(const float* from, index_t k, float* rows, index_t row) {
    float* const to = rows + row * row_ld(k);
    const f32x16 flip = set1(-128.0f);  // (in the low bits of floats it is subtracted exactly)
    RowRounding r = round_row_to(from, k, [&](index_t i, f32x16 v) { store_low_bytes(to + i / 4, add(v, flip)); });
    r.zero -= 128;
    return r;
  }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) { run_tile<Int8ByInstruction>(rows, slices, g); }
  static constexpr Tiling kTiling{.numbers = 4,
                                  .rows = kTileRows,
                                  .head = kInt8Head,
                                  .tiles = tiles,
                                  .round_row = round_row,
                                  .row_ld = row_ld,
                                  .number_at = byte_at<std::int8_t>};
};

#undef TESSERA_SDOT

template <class Table>
struct Family : neon::Family<Table> {};
template <>
struct Family<Int8GemmTable> {
  static constexpr Int8GemmTable kTable{
      {neon::gemm<Int8ByInstruction>, neon::pack_int8, Int8ByInstruction::row_ld, kPeak<Int8ByInstruction>},
      neon::int8_rounding};
};
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::neon_dotprod
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& neon_dotprod_table() noexcept {
  return neon_dotprod::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
