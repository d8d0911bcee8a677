// Kernels for AVX-512 with AVX512_BF16, BITALG and VNNI: those of avx512_vnni.hpp, but for products of bf16 and for counts
// of bits, which have instructions too.
#pragma once
#include <tessera/cpu/avx512_vnni.hpp>

#if defined(__x86_64__)
TESSERA_PUSH_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512bitalg,avx512vnni")
namespace tessera::kernels::inline TESSERA_BASE::avx512_bf16_vnni {
TESSERA_PUSH_BITS
using namespace avx512;
#include <tessera/cpu/hamming.inl>
#include <tessera/cpu/tile.inl>

// vdpbf16ps and vcvtneps2bf16 round and flush as bf16.inl says, whatever the floating-point mode. Called from kernels of
// avx512, into which nothing of this can be inlined.
struct Bf16ByInstruction {
  static constexpr int kSteps = 1;
  static constexpr bool kEveryWidth = false;
  TESSERA_INLINE static f32x16 part(const float* p, int) { return load(p); }
  TESSERA_INLINE static f32x16 madd(f32x16 a, f32x16 w, f32x16 c) {
    return {_mm512_dpbf16_ps(c.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(w.v))};
  }
  static index_t row_ld(index_t k) { return row_words(k, 2); }
  static RowRounding round_row(const float* from, index_t k, float* rows, index_t row) {
    float* const to = rows + row * row_ld(k);
    round_pairs(from, k, [&](index_t i) { return to + i / 2; });
    return {};
  }
  // Numbers [i, i + 16) become pairs at to(i), the last ones filled up with zeros.
  template <class To>
  TESSERA_INLINE static void round_pairs(const float* from, index_t k, const To& to) {
    by_sixteens(k, [&](index_t i, auto how) {
      const __m256bh pairs = _mm512_cvtneps_pbh(how.get(from + i, 0.0f).v);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to(i)), reinterpret_cast<__m256i>(pairs));
    });
  }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) { run_tile<Bf16ByInstruction>(rows, slices, g); }
  static constexpr Tiling kTiling{.numbers = 2, .rows = kTileRows, .tiles = tiles, .round_row = round_row, .row_ld = row_ld};
};

// By vpopcntb.
struct BitsByInstruction {
  static constexpr int kQueries = 8, kPrepared = 4;
  struct Rows {
    __m512i v;
  };
  TESSERA_INLINE static void prepare(int byte, std::uint8_t* to) { __builtin_memset(to, byte, 4); }
  TESSERA_INLINE static Rows rows(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  TESSERA_INLINE static void add(u8x64& sum, Rows r, const std::uint8_t* q) {
    int four;
    __builtin_memcpy(&four, q, sizeof four);
    sum.v = _mm512_add_epi8(sum.v, _mm512_popcnt_epi8(_mm512_xor_si512(r.v, _mm512_set1_epi32(four))));
  }
};

template <class Table>
struct Family : avx512_vnni::Family<Table> {};
template <>
struct Family<Bf16GemmTable> {
  static constexpr Bf16GemmTable kTable{
      {avx512::gemm<Bf16ByInstruction>, avx512::pack_bf16, Bf16ByInstruction::row_ld, kPeak<Bf16ByInstruction>}};
};
template <>
struct Family<Bf16AttentionTable> {
  static constexpr Bf16AttentionTable kTable{
      {avx512::attention_head<Bf16ByInstruction>, avx512::attention_scratch<Bf16ByInstruction>}};
};
template <>
struct Family<FastBf16GemmTable> {
  static constexpr FastBf16GemmTable kTable{Family<Bf16GemmTable>::kTable};
};
template <>
struct Family<HammingTable> {
  static constexpr HammingTable kTable{search_bits<BitsByInstruction>, bits_room<BitsByInstruction>, pack_bits};
};
TESSERA_POP_BITS
}  // namespace tessera::kernels::inline TESSERA_BASE::avx512_bf16_vnni
TESSERA_POP_TARGET
#if !defined(TESSERA_COMPILED)
namespace tessera::kernels::inline TESSERA_BASE {
template <class Table>
const Table& avx512_bf16_vnni_table() noexcept {
  return avx512_bf16_vnni::Family<Table>::kTable;
}
}  // namespace tessera::kernels::inline TESSERA_BASE
#endif
#endif
