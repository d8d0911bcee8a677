// f32x16 on two ymm registers. Included inside an ISA namespace and target region. The comments of simd_avx512.inl hold.
inline constexpr int kTileRows = 6, kTileVecs = 1;
struct f32x16 {
  __m256 lo, hi;
};

TESSERA_INLINE __m256i first_n(index_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 16 ? n : 16)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
TESSERA_INLINE f32x16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
TESSERA_INLINE f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
TESSERA_INLINE f32x16 load_n(const float* p, index_t n, float fill) {
  if (n >= 16) return load(p);
  const __m256i m0 = first_n(n), m1 = first_n(n - 8);
  const __m256 f = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(f, _mm256_maskload_ps(p, m0), _mm256_castsi256_ps(m0)),
          _mm256_blendv_ps(f, _mm256_maskload_ps(p + 8, m1), _mm256_castsi256_ps(m1))};
}
TESSERA_INLINE void store(float* p, f32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
TESSERA_INLINE void store_n(float* p, index_t n, f32x16 a) {
  if (n >= 16) return store(p, a);  // a masked store takes some 20 cycles on AMD
  _mm256_maskstore_ps(p, first_n(n), a.lo);
  _mm256_maskstore_ps(p + 8, first_n(n - 8), a.hi);
}
TESSERA_INLINE f32x16 add(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
TESSERA_INLINE f32x16 sub(f32x16 a, f32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
TESSERA_INLINE f32x16 mul(f32x16 a, f32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
TESSERA_INLINE f32x16 div(f32x16 a, f32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
TESSERA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
TESSERA_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
TESSERA_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
TESSERA_INLINE f32x16 if_less(f32x16 a, f32x16 b, f32x16 yes, f32x16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
TESSERA_INLINE f32x16 if_ordered(f32x16 a, f32x16 b, f32x16 yes, f32x16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_ORD_Q)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_ORD_Q))};
}
TESSERA_INLINE std::uint32_t not_less(f32x16 a, f32x16 b) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_GE_OQ))) |
         static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_GE_OQ))) << 8;
}
TESSERA_INLINE f32x16 abs(f32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
TESSERA_INLINE f32x16 exponent_bits(f32x16 t) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t.lo), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t.hi), 23))};
}
TESSERA_INLINE __m256 first_of_pairs(__m256 a) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 16)); }
TESSERA_INLINE __m256 second_of_pairs(__m256 a) {
  return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(-0x10000)));
}
TESSERA_INLINE __m256 pairs_of(__m256 first, __m256 second) {
  return _mm256_or_ps(_mm256_castsi256_ps(_mm256_srli_epi32(_mm256_castps_si256(first), 16)), second);
}
TESSERA_INLINE __m256 round_bf16(__m256 a) {
  const __m256i u = _mm256_castps_si256(a), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1)),
                up = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
  return second_of_pairs(
      _mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(quiet), _mm256_cmp_ps(a, a, _CMP_UNORD_Q)));
}
TESSERA_INLINE f32x16 first_of_pairs(f32x16 a) { return {first_of_pairs(a.lo), first_of_pairs(a.hi)}; }
TESSERA_INLINE f32x16 second_of_pairs(f32x16 a) { return {second_of_pairs(a.lo), second_of_pairs(a.hi)}; }
TESSERA_INLINE f32x16 pairs_of(f32x16 first, f32x16 second) {
  return {pairs_of(first.lo, second.lo), pairs_of(first.hi, second.hi)};
}
TESSERA_INLINE f32x16 swap_pairs(f32x16 a) { return {_mm256_permute_ps(a.lo, 0xb1), _mm256_permute_ps(a.hi, 0xb1)}; }
TESSERA_INLINE f32x16 round_bf16(f32x16 a) { return {round_bf16(a.lo), round_bf16(a.hi)}; }
inline constexpr int kByteSteps = 2;
TESSERA_INLINE __m256 bytes_of(__m256 words, int p) {
  const __m256i w = _mm256_castps_si256(words);
  return _mm256_castsi256_ps(_mm256_srai_epi16(p == 1 ? w : _mm256_slli_epi16(w, 8), 8));
}
TESSERA_INLINE f32x16 bytes_of(f32x16 words, int p) { return {bytes_of(words.lo, p), bytes_of(words.hi, p)}; }
TESSERA_INLINE __m256 multiply_bytes(__m256 a, __m256 w, __m256 c) {
  const __m256i pairs = _mm256_madd_epi16(_mm256_castps_si256(a), _mm256_castps_si256(w));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(c), pairs));
}
TESSERA_INLINE f32x16 multiply_bytes(f32x16 a, f32x16 w, f32x16 c) {
  return {multiply_bytes(a.lo, w.lo, c.lo), multiply_bytes(a.hi, w.hi, c.hi)};
}
TESSERA_INLINE __m256i low_halves(f32x16 a) {  // of the words, as words of 16 bits
  const __m256i sixteen = _mm256_set1_epi32(0xffff);
  const __m256i halves = _mm256_packus_epi32(_mm256_and_si256(_mm256_castps_si256(a.lo), sixteen),
                                             _mm256_and_si256(_mm256_castps_si256(a.hi), sixteen));
  return _mm256_permute4x64_epi64(halves, 0xd8);
}
TESSERA_INLINE void store_for_bytes(float* p, f32x16 a) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1, 4, 5, 2, 3, 6, 7, 8, 9,
                                         12, 13, 10, 11, 14, 15);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_shuffle_epi8(low_halves(a), order));
}
TESSERA_INLINE void store_low_bytes(float* p, f32x16 a) {
  const __m256i low = _mm256_and_si256(low_halves(a), _mm256_set1_epi16(0xff));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
TESSERA_INLINE __m256 add_product(__m256 a, std::int32_t n, __m256 b) {
  const __m256i product = _mm256_mullo_epi32(_mm256_set1_epi32(n), _mm256_castps_si256(b));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), product));
}
TESSERA_INLINE f32x16 add_product(f32x16 a, std::int32_t n, f32x16 b) {
  return {add_product(a.lo, n, b.lo), add_product(a.hi, n, b.hi)};
}
TESSERA_INLINE __m256 byte_of(__m256 words, int p) {
  const __m256i top = _mm256_sll_epi32(_mm256_castps_si256(words), _mm_cvtsi32_si128(24 - 8 * p));
  return _mm256_castsi256_ps(_mm256_srai_epi32(top, 24));
}
TESSERA_INLINE f32x16 byte_of(f32x16 words, int p) { return {byte_of(words.lo, p), byte_of(words.hi, p)}; }
TESSERA_INLINE f32x16 to_float(f32x16 a) {
  return {_mm256_cvtepi32_ps(_mm256_castps_si256(a.lo)), _mm256_cvtepi32_ps(_mm256_castps_si256(a.hi))};
}
TESSERA_INLINE bool all_lanes_finite(f32x16 a) {
  const f32x16 m = abs(a);
  const __m256 inf = _mm256_set1_ps(__builtin_inff());
  return _mm256_movemask_ps(_mm256_and_ps(_mm256_cmp_ps(m.lo, inf, _CMP_LT_OQ), _mm256_cmp_ps(m.hi, inf, _CMP_LT_OQ))) ==
         0xff;
}
TESSERA_INLINE float sqrt1(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
TESSERA_INLINE float reduce_add(f32x16 a) {
  const __m256 y = _mm256_add_ps(a.lo, a.hi);
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
TESSERA_INLINE float reduce_max(f32x16 a) {
  const __m256 y = _mm256_max_ps(a.lo, a.hi);
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
TESSERA_INLINE void opaque(f32x16& x) { __asm__ volatile("" : "+x"(x.lo), "+x"(x.hi)); }
TESSERA_INLINE void pin(f32x16& sum, f32x16) { __asm__("" : "+x"(sum.lo), "+x"(sum.hi)); }
TESSERA_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
// A line that will be written: other cores give theirs up meanwhile. The instruction does nothing where a processor has not
// got it.
TESSERA_INLINE void prefetch_to_write(const void* p) {
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
}
TESSERA_INLINE void prefetch_l2(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
TESSERA_INLINE void transpose8(const float* src, index_t ld, float* dst) {  // dst rows are 16 apart
  __m256 r[8], t[8];
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(src + i * ld);
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(dst + 16 * i, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(dst + 16 * (i + 4), _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}
TESSERA_INLINE void transpose16(const float* src, index_t ld, float* dst) {
  for (int i = 0; i < 16; i += 8)
    for (int j = 0; j < 16; j += 8) transpose8(src + i * ld + j, ld, dst + 16 * j + i);
}

struct i32x16 {
  __m256i lo, hi;
};
struct i16x32 {
  __m256i lo, hi;
};
TESSERA_INLINE i32x16 seti(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
TESSERA_INLINE i32x16 addi(i32x16 a, i32x16 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
template <int N>
TESSERA_INLINE i32x16 shift_left(i32x16 a) {
  return {_mm256_slli_epi32(a.lo, N), _mm256_slli_epi32(a.hi, N)};
}
template <int C>
TESSERA_INLINE i16x32 load_pixel_pairs(const std::uint8_t* p) {
  static constexpr PixelPairs<C, 0> kPairs;
  constexpr int lane = C == 3 ? 6 : 8;  // bytes that become eight words
  const __m256i order = _mm256_load_si256(reinterpret_cast<const __m256i*>(kPairs.order));
  const auto part = [&](const std::uint8_t* q) {
    return _mm256_shuffle_epi8(_mm256_set_m128i(_mm_loadu_si128(reinterpret_cast<const __m128i*>(q + lane)),
                                                _mm_loadu_si128(reinterpret_cast<const __m128i*>(q))),
                               order);
  };
  return {part(p), part(p + 2 * lane)};
}
template <int N>
TESSERA_INLINE i16x32 load_pairs(const std::int16_t* p) {
  const auto* q = reinterpret_cast<const __m256i*>(p);
  if constexpr (N == 1) return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
  const __m256i w =
      N == 2 ? _mm256_loadu_si256(q) : _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  if constexpr (N == 2)
    return {_mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
            _mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
  return {_mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
          _mm256_permutevar8x32_epi32(w, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3))};
}
TESSERA_INLINE i16x32 set_pairs(const std::int16_t* p) {
  int pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return {_mm256_set1_epi32(pair), _mm256_set1_epi32(pair)};
}
TESSERA_INLINE i16x32 load_byte_pairs(const std::uint8_t* p, const std::uint8_t* q) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)),
                b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  return {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b))};
}
TESSERA_INLINE i32x16 multiply_pairs(i16x32 a, i16x32 b) {
  return {_mm256_madd_epi16(a.lo, b.lo), _mm256_madd_epi16(a.hi, b.hi)};
}
TESSERA_INLINE void store_bytes(std::uint8_t* p, i32x16 a, int shift) {
  const __m128i s = _mm_cvtsi32_si128(shift);
  const __m256i words = _mm256_packs_epi32(_mm256_sra_epi32(a.lo, s), _mm256_sra_epi32(a.hi, s));  // in halves: 0 2 | 1 3
  const __m256i order = _mm256_permute4x64_epi64(words, 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi16(_mm256_castsi256_si128(order), _mm256_extracti128_si256(order, 1)));
}
template <int N>
TESSERA_INLINE void fold_bytes(const i32x16 (&a)[4], int shift, std::uint32_t* out) {
  __m256i y[4];
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) y[i] = _mm256_add_epi32(a[i].lo, a[i].hi);
  fold_bytes_256<N>(y, shift, out);
}

struct u8x64 {
  __m256i v[2];
};
struct u16x64 {
  __m256i even[2], odd[2];
};
TESSERA_INLINE void widen_add(u16x64& sum, u8x64 a) {
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    sum.even[i] = _mm256_add_epi16(sum.even[i], _mm256_and_si256(a.v[i], _mm256_set1_epi16(0xff)));
    sum.odd[i] = _mm256_add_epi16(sum.odd[i], _mm256_srli_epi16(a.v[i], 8));
  }
}
TESSERA_INLINE std::uint64_t not_above(u16x64 a, int most) {
  const __m256i m = _mm256_set1_epi16(static_cast<short>(most)), odd_bytes = _mm256_set1_epi16(-0x100);
  std::uint64_t found = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const __m256i even = _mm256_cmpeq_epi16(_mm256_min_epu16(a.even[i], m), a.even[i]),
                  odd = _mm256_cmpeq_epi16(_mm256_min_epu16(a.odd[i], m), a.odd[i]);
    found |= static_cast<std::uint64_t>(
                 static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_blendv_epi8(even, odd, odd_bytes))))
             << (32 * i);
  }
  return found;
}
TESSERA_INLINE void store_words(std::uint16_t* p, u16x64 a) {
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p) + i, a.even[i]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p) + 2 + i, a.odd[i]);
  }
}
struct BitCounter {
  static constexpr int kQueries = 4, kPrepared = 32;
  struct Rows {
    __m256i low[2], high[2];
  };
  TESSERA_INLINE static void prepare(int byte, std::uint8_t* to) { prepare_halves(byte, to); }
  TESSERA_INLINE static Rows rows(const std::uint8_t* p) {
    const __m256i low = _mm256_set1_epi8(15);
    Rows r;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + i);
      r.low[i] = _mm256_and_si256(w, low), r.high[i] = _mm256_and_si256(_mm256_srli_epi16(w, 4), low);
    }
    return r;
  }
  TESSERA_INLINE static void add(u8x64& sum, Rows r, const std::uint8_t* q) {
    const auto* const tables = reinterpret_cast<const __m128i*>(q);
    const __m256i low = _mm256_broadcastsi128_si256(_mm_load_si128(tables)),
                  high = _mm256_broadcastsi128_si256(_mm_load_si128(tables + 1));
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i)
      sum.v[i] = _mm256_add_epi8(sum.v[i],
                                 _mm256_add_epi8(_mm256_shuffle_epi8(low, r.low[i]), _mm256_shuffle_epi8(high, r.high[i])));
  }
};
