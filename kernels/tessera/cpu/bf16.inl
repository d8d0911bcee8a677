// Products of bf16 in the order of vdpbf16ps, by multiply-adds. Included inside an ISA namespace, after gemm.inl.
//
// That instruction takes pairs: acc = fma(a1, w1, acc), then fma(a0, w0, acc), each rounded; subnormal numbers count as zero
// wherever they come or go. Found by trying on Zen 4 and on an Intel Xeon with AMX. Rows of A are rounded as vcvtneps2bf16
// does, to which they count as zero too.

// Subnormal inputs and results of floating-point operations count as zero meanwhile.
class FlushSubnormals {
 public:
#if defined(__x86_64__)
  TESSERA_INLINE FlushSubnormals() {
    asm volatile("stmxcsr %0" : "=m"(saved_));
    const std::uint32_t flush = saved_ | 0x8040;
    asm volatile("ldmxcsr %0" ::"m"(flush) : "memory");
  }
  TESSERA_INLINE ~FlushSubnormals() { asm volatile("ldmxcsr %0" ::"m"(saved_) : "memory"); }
#elif defined(__aarch64__)
  TESSERA_INLINE FlushSubnormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    const std::uint64_t flush = saved_ | std::uint64_t{1} << 24;
    asm volatile("msr fpcr, %0" ::"r"(flush) : "memory");
  }
  TESSERA_INLINE ~FlushSubnormals() { asm volatile("msr fpcr, %0" ::"r"(saved_) : "memory"); }
#else
  TESSERA_INLINE FlushSubnormals() {}
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
#if defined(__x86_64__)
  std::uint32_t saved_ = 0;
#else
  std::uint64_t saved_ = 0;
#endif
};

// To nearest even, as vcvtneps2bf16 does, and f32 again.
TESSERA_INLINE f32x16 rounded_to_bf16(f32x16 v) {
  const f32x16 least = set1(0x1p-126f), zero = set1(0.0f);
  return round_bf16(if_less(abs(v), least, mul(v, zero), v));
}

// A row of A, rounded, and f32 again: nothing of that is left to the tiles.
template <bool Swapped>
RowRounding round_to_bf16(const float* from, index_t k, float* rows, index_t row) {
  float* const to = rows + row * row_words(k, 1);
  by_sixteens(k, [&](index_t i, auto how) {
    const f32x16 rounded = rounded_to_bf16(how.get(from + i, 0.0f));
    store(to + i, Swapped ? swap_pairs(rounded) : rounded);
  });
  return {};
}
inline index_t bf16_row_ld(index_t k) { return row_words(k, 1); }

// By words taken apart: two floats in the order of the chain, the second number first, in A as in W. The tiles are those of
// floats.
struct Bf16Widened {
  static void widen(const float* w, index_t words, float* to) {
    for (index_t i = 0; i < words; ++i, to += 2 * kSlice) {
      const f32x16 word = load(w + kSlice * i);
      store(to, second_of_pairs(word));
      store(to + kSlice, first_of_pairs(word));
    }
  }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) {
    const FlushSubnormals mode;
    run_tile<Float32>(rows, slices, g);
  }
  static constexpr Tiling kTiling{.numbers = 2,
                                  .rows = kTileRows,
                                  .lines = 2,
                                  .tiles = tiles,
                                  .round_row = round_to_bf16<true>,
                                  .row_ld = bf16_row_ld,
                                  .widen = widen};
};

// By words as they are, for few rows: taking them apart in every tile costs a tenth of the time.
struct Bf16ByFma {
  static constexpr int kSteps = 2;
  static constexpr bool kEveryWidth = false;
  TESSERA_INLINE static f32x16 part(const float* p, int i) {
    return i == 1 ? second_of_pairs(load(p)) : first_of_pairs(load(p));
  }
  TESSERA_INLINE static f32x16 madd(f32x16 a, f32x16 w, f32x16 c) { return fma(a, w, c); }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) {
    const FlushSubnormals mode;
    run_tile<Bf16ByFma>(rows, slices, g);
  }
  static constexpr Tiling kTiling{.numbers = 2,
                                  .rows = kTileRows,
                                  .tiles = tiles,
                                  .round_row = round_to_bf16<false>,
                                  .row_ld = bf16_row_ld,
                                  .wide = &Bf16Widened::kTiling};
};

// Rows [16 s, 16 s + 16) of W become slice s: dst[s][k / 2][16][2].
inline void pack_bf16(const float* w, index_t ldw, index_t n, index_t k, index_t s0, index_t s1, float* dst) noexcept {
  constexpr index_t kStep = 32;
  for (index_t s = s0; s < s1; ++s) {
    float* d = dst + s * ((k + 1) / 2) * kSlice;
    const float* src = w + s * kSlice * ldw;
    const index_t rows = n - s * kSlice < kSlice ? n - s * kSlice : kSlice;
    for (index_t i = 0; i < k; i += kStep) {
      alignas(64) float t[kStep * kSlice];
      const index_t depth = k - i < kStep ? k - i : kStep;
      if (rows == kSlice && depth == kStep) {
        transpose16(src + i, ldw, t);
        transpose16(src + i + 16, ldw, t + 16 * kSlice);
      } else {
        for (index_t c = 0; c < kStep; ++c)
          for (index_t j = 0; j < kSlice; ++j) t[c * kSlice + j] = j < rows && c < depth ? src[j * ldw + i + c] : 0.0f;
      }
      for (index_t c = 0; c < depth; c += 2, d += kSlice)
        store(d, pairs_of(round_bf16(load(t + c * kSlice)), round_bf16(load(t + (c + 1) * kSlice))));
    }
  }
}
