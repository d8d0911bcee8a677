// f32x16 on one zmm register. Included inside an ISA namespace and target region.
inline constexpr int kTileRows = 6, kTileVecs = 4;
struct f32x16 {
  __m512 v;
};

TESSERA_INLINE __mmask16 first_n(index_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1u); }
TESSERA_INLINE f32x16 set1(float x) { return {_mm512_set1_ps(x)}; }
TESSERA_INLINE f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
// The first n (at least 1) from memory, the rest `fill`; memory beyond them is not touched. The same for store_n.
TESSERA_INLINE f32x16 load_n(const float* p, index_t n, float fill) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_n(n), p)};
}
TESSERA_INLINE void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
TESSERA_INLINE void store_n(float* p, index_t n, f32x16 a) { _mm512_mask_storeu_ps(p, first_n(n), a.v); }
TESSERA_INLINE f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
TESSERA_INLINE f32x16 sub(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
TESSERA_INLINE f32x16 mul(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
TESSERA_INLINE f32x16 div(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
TESSERA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
TESSERA_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }  // a > b ? a : b
TESSERA_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }  // a < b ? a : b
TESSERA_INLINE f32x16 if_less(f32x16 a, f32x16 b, f32x16 yes, f32x16 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
// yes where neither a nor b is NaN
TESSERA_INLINE f32x16 if_ordered(f32x16 a, f32x16 b, f32x16 yes, f32x16 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_ORD_Q), no.v, yes.v)};
}
// Bit i: whether a is b or more in lane i; of NaN it is not.
TESSERA_INLINE std::uint32_t not_less(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ); }
TESSERA_INLINE f32x16 abs(f32x16 a) { return {_mm512_abs_ps(a.v)}; }
// The float whose bits are those of t, shifted left by 23: 2^n from a number whose low mantissa bits hold n + 127.
TESSERA_INLINE f32x16 exponent_bits(f32x16 t) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t.v), 23))};
}
// Words of two bf16, the first one in the lower half; a bf16 alone is the f32 that it equals.
TESSERA_INLINE f32x16 first_of_pairs(f32x16 a) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 16))};
}
TESSERA_INLINE f32x16 second_of_pairs(f32x16 a) {
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(-0x10000)))};
}
TESSERA_INLINE f32x16 pairs_of(f32x16 first, f32x16 second) {
  return {_mm512_castsi512_ps(
      _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(first.v), 16), _mm512_castps_si512(second.v)))};
}
// Lanes 0 and 1 in each other's place, and so on.
TESSERA_INLINE f32x16 swap_pairs(f32x16 a) { return {_mm512_permute_ps(a.v, 0xb1)}; }
// The nearest bf16, of two the even one; a NaN keeps its upper half and is quiet.
TESSERA_INLINE f32x16 round_bf16(f32x16 a) {
  const __m512i u = _mm512_castps_si512(a.v), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1)),
                up = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i v = _mm512_mask_or_epi32(up, _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
  return second_of_pairs({_mm512_castsi512_ps(v)});
}
// Words of four int8, met by kByteSteps words of A: part p of them, how it is multiplied and its sums added to 32-bit sums,
// and how sixteen integers in the low bits of floats (kToInteger) are stored for that.
inline constexpr int kByteSteps = 2;
TESSERA_INLINE f32x16 bytes_of(f32x16 words, int p) {
  const __m512i w = _mm512_castps_si512(words.v);
  return {_mm512_castsi512_ps(_mm512_srai_epi16(p == 1 ? w : _mm512_slli_epi16(w, 8), 8))};
}
TESSERA_INLINE f32x16 multiply_bytes(f32x16 a, f32x16 w, f32x16 c) {
  const __m512i pairs = _mm512_madd_epi16(_mm512_castps_si512(a.v), _mm512_castps_si512(w.v));
  // Written out: left to g++, sums wander, and half of them to the stack.
  __asm__ volatile("vpaddd %1, %0, %0" : "+v"(c.v) : "v"(pairs));
  return c;
}
TESSERA_INLINE void store_for_bytes(float* p, f32x16 a) {
  const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
  const __m256i v = _mm256_shuffle_epi8(_mm512_cvtepi32_epi16(_mm512_castps_si512(a.v)), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
// The lowest byte of each word.
TESSERA_INLINE void store_low_bytes(float* p, f32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_castps_si512(a.v)));
}
// Words that are integers: a + n * b, byte p of each with its sign, and floats of them.
TESSERA_INLINE f32x16 add_product(f32x16 a, std::int32_t n, f32x16 b) {
  const __m512i product = _mm512_mullo_epi32(_mm512_set1_epi32(n), _mm512_castps_si512(b.v));
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), product))};
}
TESSERA_INLINE f32x16 byte_of(f32x16 words, int p) {
  const __m512i top = _mm512_sll_epi32(_mm512_castps_si512(words.v), _mm_cvtsi32_si128(24 - 8 * p));
  return {_mm512_castsi512_ps(_mm512_srai_epi32(top, 24))};
}
TESSERA_INLINE f32x16 to_float(f32x16 a) { return {_mm512_cvtepi32_ps(_mm512_castps_si512(a.v))}; }
TESSERA_INLINE bool all_lanes_finite(f32x16 a) {  // |a| < infinity
  return _mm512_cmp_ps_mask(_mm512_abs_ps(a.v), _mm512_set1_ps(__builtin_inff()), _CMP_LT_OQ) == 0xffff;
}
TESSERA_INLINE float sqrt1(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
// Final trees: lane i with i+8, i+4, i+2, i+1. The same on every ISA.
TESSERA_INLINE float reduce_add(f32x16 a) {
  const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
TESSERA_INLINE float reduce_max(f32x16 a) {
  const __m256 y = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
// Anything, for all that the compiler knows.
TESSERA_INLINE void opaque(f32x16& x) { __asm__ volatile("" : "+v"(x.v)); }
// Left alone, g++ puts a sum where its last factor was, and sums wander, some of them to the stack. What prevents it
// differs.
TESSERA_INLINE void pin(f32x16&, f32x16 factor) { __asm__ volatile("" : : "v"(factor.v)); }
TESSERA_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
// A line that will be written: other cores give theirs up meanwhile. The instruction does nothing where a processor has not
// got it.
TESSERA_INLINE void prefetch_to_write(const void* p) {
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
}
TESSERA_INLINE void prefetch_l2(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
// dst[j][i] = src[i][j] for 16 x 16 numbers.
TESSERA_INLINE void transpose16(const float* src, index_t ld, float* dst) {
  __m512i r[16], t[16];
  TESSERA_UNROLL
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(src + i * ld);
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) {
    _mm512_storeu_si512(dst + 16 * i, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_si512(dst + 16 * (i + 8), _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
  }
}

// Sixteen 32-bit integers, and thirty-two of 16 bits.
struct i32x16 {
  __m512i v;
};
struct i16x32 {
  __m512i v;
};
TESSERA_INLINE i32x16 seti(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
TESSERA_INLINE i32x16 addi(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
template <int N>
TESSERA_INLINE i32x16 shift_left(i32x16 a) {
  return {_mm512_slli_epi32(a.v, N)};
}
// 32 / p pixels of C channels as words in pairs: see PixelPairs. May read 40 bytes.
template <int C>
TESSERA_INLINE i16x32 load_pixel_pairs(const std::uint8_t* p) {
  // Every shuffle takes its pixels from two neighbouring words of four bytes; those of three channels begin within one.
  static constexpr PixelPairs<C, C == 3 ? 2 : 0> kPairs;
  const __m512i words = C == 3 ? _mm512_setr_epi32(0, 1, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 4, 5, 0, 0)
                               : _mm512_setr_epi32(0, 1, 0, 0, 2, 3, 0, 0, 4, 5, 0, 0, 6, 7, 0, 0);
  const __m512i bytes = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_shuffle_epi8(_mm512_permutexvar_epi32(words, bytes), _mm512_load_si512(kPairs.order))};
}
// 32 / N words, each pair of them N times.
template <int N>
TESSERA_INLINE i16x32 load_pairs(const std::int16_t* p) {
  if constexpr (N == 1) return {_mm512_loadu_si512(p)};
  if constexpr (N == 2)
    return {_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                     _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))))};
  if constexpr (N == 4)
    return {_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                     _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
// p[0], p[1], p[0], p[1], ...
TESSERA_INLINE i16x32 set_pairs(const std::int16_t* p) {
  int pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return {_mm512_set1_epi32(pair)};
}
// p[0], q[0], p[1], q[1], ... of sixteen bytes each
TESSERA_INLINE i16x32 load_byte_pairs(const std::uint8_t* p, const std::uint8_t* q) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)),
                b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  return {_mm512_cvtepu8_epi16(_mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)))};
}
// a[2i] * b[2i] + a[2i + 1] * b[2i + 1]
TESSERA_INLINE i32x16 multiply_pairs(i16x32 a, i16x32 b) { return {_mm512_madd_epi16(a.v, b.v)}; }
// a >> shift, clamped to a byte.
TESSERA_INLINE void store_bytes(std::uint8_t* p, i32x16 a, int shift) {
  const __m512i v = _mm512_max_epi32(_mm512_sra_epi32(a.v, _mm_cvtsi32_si128(shift)), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(v));
}
template <int N>
TESSERA_INLINE void fold_bytes(const i32x16 (&a)[4], int shift, std::uint32_t* out) {
  __m256i y[4];
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) y[i] = _mm256_add_epi32(_mm512_castsi512_si256(a[i].v), _mm512_extracti64x4_epi64(a[i].v, 1));
  fold_bytes_256<N>(y, shift, out);
}

// Sixty-four bytes, a row each, and as many words of 16 bits, those of rows 0, 2, 4 ... and of rows 1, 3, 5 ...
struct u8x64 {
  __m512i v;
};
struct u16x64 {
  __m512i even, odd;
};
TESSERA_INLINE void widen_add(u16x64& sum, u8x64 a) {
  sum.even = _mm512_add_epi16(sum.even, _mm512_and_si512(a.v, _mm512_set1_epi16(0xff)));
  sum.odd = _mm512_add_epi16(sum.odd, _mm512_srli_epi16(a.v, 8));
}
// Bit i: whether that of row i is `most` or less.
TESSERA_INLINE std::uint64_t not_above(u16x64 a, int most) {
  const __m512i m = _mm512_set1_epi16(static_cast<short>(most));
  const __mmask32 even = _mm512_cmple_epu16_mask(a.even, m), odd = _mm512_cmple_epu16_mask(a.odd, m);
  return _mm512_movepi8_mask(_mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaaU, _mm512_movm_epi16(even), _mm512_movm_epi16(odd)));
}
// The even ones, then the odd ones.
TESSERA_INLINE void store_words(std::uint16_t* p, u16x64 a) {
  _mm512_storeu_si512(p, a.even);
  _mm512_storeu_si512(p + 32, a.odd);
}
// Each half of a query's byte becomes the table of its distances from all halves.
struct BitCounter {
  static constexpr int kQueries = 8, kPrepared = 32;
  struct Rows {
    __m512i low, high;
  };
  TESSERA_INLINE static void prepare(int byte, std::uint8_t* to) { prepare_halves(byte, to); }
  TESSERA_INLINE static Rows rows(const std::uint8_t* p) {
    const __m512i w = _mm512_loadu_si512(p), low = _mm512_set1_epi8(15);
    return {_mm512_and_si512(w, low), _mm512_and_si512(_mm512_srli_epi16(w, 4), low)};
  }
  TESSERA_INLINE static void add(u8x64& sum, Rows r, const std::uint8_t* q) {
    const auto* const tables = reinterpret_cast<const __m128i*>(q);
    const __m512i low = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(tables)), r.low),
                  high = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(tables + 1)), r.high);
    sum.v = _mm512_add_epi8(sum.v, _mm512_add_epi8(low, high));
  }
};
