// What AVX2 and AVX-512 do with the same, narrower instructions. Included inside an ISA namespace, before its vocabulary.

// Byte shuffles, 16 bytes each, that make eight words of pixels of C channels in pairs: sample c of pixel i becomes word
// (i / 2 * p + c) * 2 + i % 2, where p is C, or 4 for 3 with the fourth sample zero. Odd shuffles begin kOdd bytes later.
template <int C, int kOdd>
struct PixelPairs {
  alignas(64) std::int8_t order[64];
  constexpr PixelPairs() : order() {
    constexpr int p = padded_channels(C);
    for (int i = 0; i < 64; ++i) {
      const int word = i % 16 / 2, c = word / 2 % p, pixel = word / (2 * p) * 2 + word % 2;
      order[i] = static_cast<std::int8_t>(i % 2 == 1 || c >= C ? -1 : pixel * C + c + i / 16 % 2 * kOdd);
    }
  }
};

// out[i] = the sums over lanes l, l + N, l + 2N, ... of y[i], for l < N, shifted right and clamped to bytes, lowest first.
template <int N>
TESSERA_INLINE void fold_bytes_256(const __m256i (&y)[4], int shift, std::uint32_t* out) {
  __m256i x[2];  // of rows 0 and 1, 2 and 3
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const __m256i a = y[2 * i], b = y[2 * i + 1];
    x[i] = _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
    if constexpr (N <= 2) x[i] = _mm256_add_epi32(x[i], _mm256_shuffle_epi32(x[i], 0x4e));
    if constexpr (N == 1) x[i] = _mm256_add_epi32(x[i], _mm256_shuffle_epi32(x[i], 0xb1));
    x[i] = _mm256_sra_epi32(x[i], _mm_cvtsi32_si128(shift));
  }
  const __m256i words = _mm256_packs_epi32(x[0], x[1]), bytes = _mm256_packus_epi16(words, words);  // rows 0 2 | 1 3
  const __m128i even = _mm256_castsi256_si128(bytes), odd = _mm256_extracti128_si256(bytes, 1);
  out[0] = static_cast<std::uint32_t>(_mm_cvtsi128_si32(even)),
  out[2] = static_cast<std::uint32_t>(_mm_extract_epi32(even, 1));
  out[1] = static_cast<std::uint32_t>(_mm_cvtsi128_si32(odd)),
  out[3] = static_cast<std::uint32_t>(_mm_extract_epi32(odd, 1));
}

// The distances of a byte's lower half from all halves, then those of the upper one.
struct HalfDistances {
  alignas(16) std::uint8_t of[16][16];
  constexpr HalfDistances() : of() {
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 16; ++j) of[i][j] = static_cast<std::uint8_t>(__builtin_popcount(static_cast<unsigned>(i ^ j)));
  }
};
TESSERA_INLINE void prepare_halves(int byte, std::uint8_t* to) {
  static constexpr HalfDistances kDistances;
  __builtin_memcpy(to, kDistances.of[byte & 15], 16);
  __builtin_memcpy(to + 16, kDistances.of[byte >> 4], 16);
}
