// The 4-lane vocabulary under simd_lanes.inl on the compiler's vector extension: any architecture, every operation IEEE.
inline constexpr int kTileRows = 2, kTileVecs = 1, kWidth = 4, kParts = 4;
typedef float vec __attribute__((vector_size(16)));
typedef std::int32_t ivec __attribute__((vector_size(16)));
typedef std::uint32_t uvec __attribute__((vector_size(16)));

// a * b + c with one rounding. Without the instruction: the product is exact in double, the sum is rounded to odd there
// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008), so that the rounding to float is the only one.
TESSERA_INLINE float fma_exact(float a, float b, float c) {
#if defined(__FP_FAST_FMAF) || defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  const double p = static_cast<double>(a) * static_cast<double>(b), d = static_cast<double>(c), s = p + d, t = s - p;
  const double err = (p - (s - t)) + (d - t);
  std::int64_t u = __builtin_bit_cast(std::int64_t, s);
  if ((err > 0 || err < 0) && !(u & 1)) u += (err > 0) == (s > 0) ? 1 : -1;
  return static_cast<float>(__builtin_bit_cast(double, u));
#endif
}
TESSERA_INLINE vec v_set1(float x) { return vec{x, x, x, x}; }
TESSERA_INLINE vec v_load(const float* p) {
  vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
TESSERA_INLINE void v_store(float* p, vec a) { __builtin_memcpy(p, &a, sizeof a); }
TESSERA_INLINE vec v_add(vec a, vec b) { return a + b; }
TESSERA_INLINE vec v_sub(vec a, vec b) { return a - b; }
TESSERA_INLINE vec v_mul(vec a, vec b) { return a * b; }
TESSERA_INLINE vec v_div(vec a, vec b) { return a / b; }
// Without the instruction this is long: called, not inlined, or every kernel would take seconds to compile.
#if defined(__FP_FAST_FMAF) || defined(__FMA__)
TESSERA_INLINE
#else
TESSERA_NOINLINE
#endif
vec v_fma(vec a, vec b, vec c) {
  for (int i = 0; i < 4; ++i) c[i] = fma_exact(a[i], b[i], c[i]);
  return c;
}
TESSERA_INLINE vec v_if_less(vec a, vec b, vec yes, vec no) { return a < b ? yes : no; }
TESSERA_INLINE vec v_if_ordered(vec a, vec b, vec yes, vec no) { return ((a == a) & (b == b)) ? yes : no; }
TESSERA_INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
TESSERA_INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }
TESSERA_INLINE vec v_abs(vec a) { return reinterpret_cast<vec>(reinterpret_cast<ivec>(a) & 0x7fffffff); }
TESSERA_INLINE vec v_exponent_bits(vec t) { return reinterpret_cast<vec>(reinterpret_cast<ivec>(t) << 23); }
TESSERA_INLINE vec v_first_of_pairs(vec a) { return reinterpret_cast<vec>(reinterpret_cast<uvec>(a) << 16); }
TESSERA_INLINE vec v_second_of_pairs(vec a) { return reinterpret_cast<vec>(reinterpret_cast<uvec>(a) & 0xffff0000U); }
TESSERA_INLINE vec v_pairs_of(vec first, vec second) {
  return reinterpret_cast<vec>(reinterpret_cast<uvec>(first) >> 16 | reinterpret_cast<uvec>(second));
}
TESSERA_INLINE vec v_swap_pairs(vec a) { return vec{a[1], a[0], a[3], a[2]}; }
TESSERA_INLINE vec v_round_bf16(vec a) {
  const uvec u = reinterpret_cast<uvec>(a), up = u + ((u >> 16 & 1U) + 0x7fffU), quiet = u | 0x400000U;
  const uvec ordered = reinterpret_cast<uvec>(a == a);
  return v_second_of_pairs(reinterpret_cast<vec>((ordered & up) | (~ordered & quiet)));
}
TESSERA_INLINE vec v_byte(vec a, int p) {
  return reinterpret_cast<vec>(reinterpret_cast<ivec>(reinterpret_cast<uvec>(a) << (24 - 8 * p)) >> 24);
}
TESSERA_INLINE vec v_add_product(vec a, vec b, vec c) {
  return reinterpret_cast<vec>(reinterpret_cast<uvec>(a) + reinterpret_cast<uvec>(b) * reinterpret_cast<uvec>(c));
}
TESSERA_INLINE vec v_to_float(vec a) { return __builtin_convertvector(reinterpret_cast<ivec>(a), vec); }
TESSERA_INLINE float sqrt1(float x) { return __builtin_sqrtf(x); }

struct u8x64 {
  std::uint64_t v[8];
};
struct u16x64 {
  std::uint64_t even[8], odd[8];
};
inline constexpr std::uint64_t kEachByte = 0x0101010101010101U, kEachWord = 0x0001000100010001U;
TESSERA_INLINE void widen_add(u16x64& sum, u8x64 a) {
  for (int i = 0; i < 8; ++i) sum.even[i] += a.v[i] & 0xff * kEachWord, sum.odd[i] += a.v[i] >> 8 & 0xff * kEachWord;
}
TESSERA_INLINE void store_words(std::uint16_t* p, u16x64 a) { __builtin_memcpy(p, &a, sizeof a); }
TESSERA_INLINE std::uint64_t not_above(u16x64 a, int most) {
  std::uint16_t t[64];
  store_words(t, a);
  std::uint64_t found = 0;
  for (int i = 0; i < 64; ++i) found |= static_cast<std::uint64_t>(t[i % 2 * 32 + i / 2] <= most) << i;
  return found;
}
struct BitCounter {
  static constexpr int kQueries = 2, kPrepared = 8;
  using Rows = u8x64;
  TESSERA_INLINE static void prepare(int byte, std::uint8_t* to) {
    const std::uint64_t all = static_cast<std::uint64_t>(byte) * kEachByte;
    __builtin_memcpy(to, &all, sizeof all);
  }
  TESSERA_INLINE static Rows rows(const std::uint8_t* p) {
    Rows r;
    __builtin_memcpy(&r, p, sizeof r);
    return r;
  }
  TESSERA_INLINE static void add(u8x64& sum, const Rows& r, const std::uint8_t* q) {
    std::uint64_t byte;
    __builtin_memcpy(&byte, q, sizeof byte);
    for (int i = 0; i < 8; ++i) {
      std::uint64_t x = r.v[i] ^ byte;
      x -= x >> 1 & 0x55 * kEachByte;
      x = (x & 0x33 * kEachByte) + (x >> 2 & 0x33 * kEachByte);
      sum.v[i] += (x + (x >> 4)) & 0x0f * kEachByte;
    }
  }
};
