// f32x16 on an array of narrow vectors. Included inside an ISA namespace that has defined: vec, kWidth, kParts, kTileRows,
// kTileVecs and v_set1, v_load, v_store, v_add, v_sub, v_mul, v_div, v_fma, v_max, v_min, v_if_less, v_if_ordered, v_abs,
// v_exponent_bits, v_first_of_pairs, v_second_of_pairs, v_pairs_of, v_swap_pairs, v_round_bf16, v_byte, v_add_product,
// v_to_float, sqrt1. The comments of simd_avx512.inl hold.
struct f32x16 {
  vec v[kParts];
};

#define TESSERA_EACH(expr)                          \
  f32x16 r;                                         \
  TESSERA_UNROLL                                    \
  for (int i = 0; i < kParts; ++i) r.v[i] = (expr); \
  return r

TESSERA_INLINE f32x16 set1(float x) { TESSERA_EACH(v_set1(x)); }
TESSERA_INLINE f32x16 load(const float* p) { TESSERA_EACH(v_load(p + kWidth * i)); }
TESSERA_INLINE f32x16 load_n(const float* p, index_t n, float fill) {
  if (n >= 16) return load(p);
  float t[16];
  for (int i = 0; i < 16; ++i) t[i] = i < n ? p[i] : fill;
  return load(t);
}
TESSERA_INLINE void store(float* p, f32x16 a) {
  TESSERA_UNROLL
  for (int i = 0; i < kParts; ++i) v_store(p + kWidth * i, a.v[i]);
}
TESSERA_INLINE void store_n(float* p, index_t n, f32x16 a) {
  if (n >= 16) return store(p, a);
  float t[16];
  store(t, a);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}
TESSERA_INLINE f32x16 add(f32x16 a, f32x16 b) { TESSERA_EACH(v_add(a.v[i], b.v[i])); }
TESSERA_INLINE f32x16 sub(f32x16 a, f32x16 b) { TESSERA_EACH(v_sub(a.v[i], b.v[i])); }
TESSERA_INLINE f32x16 mul(f32x16 a, f32x16 b) { TESSERA_EACH(v_mul(a.v[i], b.v[i])); }
TESSERA_INLINE f32x16 div(f32x16 a, f32x16 b) { TESSERA_EACH(v_div(a.v[i], b.v[i])); }
TESSERA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { TESSERA_EACH(v_fma(a.v[i], b.v[i], c.v[i])); }
TESSERA_INLINE f32x16 max(f32x16 a, f32x16 b) { TESSERA_EACH(v_max(a.v[i], b.v[i])); }
TESSERA_INLINE f32x16 min(f32x16 a, f32x16 b) { TESSERA_EACH(v_min(a.v[i], b.v[i])); }
TESSERA_INLINE f32x16 if_less(f32x16 a, f32x16 b, f32x16 yes, f32x16 no) {
  TESSERA_EACH(v_if_less(a.v[i], b.v[i], yes.v[i], no.v[i]));
}
TESSERA_INLINE f32x16 if_ordered(f32x16 a, f32x16 b, f32x16 yes, f32x16 no) {
  TESSERA_EACH(v_if_ordered(a.v[i], b.v[i], yes.v[i], no.v[i]));
}
TESSERA_INLINE f32x16 abs(f32x16 a) { TESSERA_EACH(v_abs(a.v[i])); }
TESSERA_INLINE f32x16 exponent_bits(f32x16 t) { TESSERA_EACH(v_exponent_bits(t.v[i])); }
TESSERA_INLINE std::uint32_t not_less(f32x16 a, f32x16 b) {
  float x[16], y[16];
  store(x, a), store(y, b);
  std::uint32_t lanes = 0;
  for (int i = 0; i < 16; ++i) lanes |= static_cast<std::uint32_t>(x[i] >= y[i]) << i;
  return lanes;
}
TESSERA_INLINE f32x16 first_of_pairs(f32x16 a) { TESSERA_EACH(v_first_of_pairs(a.v[i])); }
TESSERA_INLINE f32x16 second_of_pairs(f32x16 a) { TESSERA_EACH(v_second_of_pairs(a.v[i])); }
TESSERA_INLINE f32x16 swap_pairs(f32x16 a) { TESSERA_EACH(v_swap_pairs(a.v[i])); }
TESSERA_INLINE f32x16 pairs_of(f32x16 first, f32x16 second) { TESSERA_EACH(v_pairs_of(first.v[i], second.v[i])); }
TESSERA_INLINE f32x16 round_bf16(f32x16 a) { TESSERA_EACH(v_round_bf16(a.v[i])); }
inline constexpr int kByteSteps = 4;  // integers of 32 bits
TESSERA_INLINE f32x16 byte_of(f32x16 a, int p) { TESSERA_EACH(v_byte(a.v[i], p)); }
TESSERA_INLINE f32x16 bytes_of(f32x16 a, int p) { return byte_of(a, p); }
TESSERA_INLINE f32x16 multiply_bytes(f32x16 a, f32x16 w, f32x16 c) { TESSERA_EACH(v_add_product(c.v[i], a.v[i], w.v[i])); }
TESSERA_INLINE f32x16 add_product(f32x16 a, std::int32_t n, f32x16 b) {
  const vec v = v_set1(__builtin_bit_cast(float, n));
  TESSERA_EACH(v_add_product(a.v[i], v, b.v[i]));
}
TESSERA_INLINE f32x16 to_float(f32x16 a) { TESSERA_EACH(v_to_float(a.v[i])); }
#undef TESSERA_EACH
TESSERA_INLINE void store_for_bytes(float* p, f32x16 a) {
  std::uint32_t t[16];
  __builtin_memcpy(t, &a, sizeof t);
  for (std::uint32_t& x : t) x -= __builtin_bit_cast(std::uint32_t, 0x1.8p23f);
  __builtin_memcpy(p, t, sizeof t);
}
TESSERA_INLINE void store_low_bytes(float* p, f32x16 a) {
  std::uint32_t t[16];
  __builtin_memcpy(t, &a, sizeof t);
  std::uint8_t bytes[16];
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<std::uint8_t>(t[i]);
  __builtin_memcpy(p, bytes, sizeof bytes);
}
TESSERA_INLINE bool all_lanes_finite(f32x16 a) {
  float t[16];
  store(t, a);
  bool ok = true;
  for (float x : t) ok = ok && (x - x == 0.0f);
  return ok;
}
TESSERA_INLINE float reduce_add(f32x16 a) {
  float t[16];
  store(t, a);
  for (int w = 8; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) t[i] = t[i] + t[i + w];
  return t[0];
}
TESSERA_INLINE float reduce_max(f32x16 a) {
  float t[16];
  store(t, a);
  for (int w = 8; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) t[i] = t[i] > t[i + w] ? t[i] : t[i + w];
  return t[0];
}
TESSERA_INLINE void opaque(f32x16& x) {
#if defined(__x86_64__)
  for (auto& part : x.v) __asm__ volatile("" : "+x"(part));
#elif defined(__aarch64__)
  for (auto& part : x.v) __asm__ volatile("" : "+w"(part));
#endif
}
TESSERA_INLINE void pin(f32x16&, f32x16) {}
TESSERA_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
TESSERA_INLINE void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }
TESSERA_INLINE void prefetch_l2(const void* p) { __builtin_prefetch(p, 0, 2); }
TESSERA_INLINE void transpose16(const float* src, index_t ld, float* dst) {
  for (int j = 0; j < 16; ++j)
    for (int i = 0; i < 16; ++i) dst[16 * j + i] = src[i * ld + j];
}

// Integers need no vocabulary of their own: the compiler's vector extension and plain loops serve.
typedef std::int32_t int_vec __attribute__((vector_size(16)));
struct i32x16 {
  int_vec v[4];
};
struct i16x32 {
  std::int16_t v[32];
};
#define TESSERA_EACH(expr)                     \
  i32x16 r;                                    \
  TESSERA_UNROLL                               \
  for (int i = 0; i < 4; ++i) r.v[i] = (expr); \
  return r
TESSERA_INLINE i32x16 seti(std::int32_t x) { TESSERA_EACH((int_vec{x, x, x, x})); }
TESSERA_INLINE i32x16 addi(i32x16 a, i32x16 b) { TESSERA_EACH(a.v[i] + b.v[i]); }
template <int N>
TESSERA_INLINE i32x16 shift_left(i32x16 a) {
  TESSERA_EACH(a.v[i] << N);
}
#undef TESSERA_EACH
template <int C>
TESSERA_INLINE i16x32 load_pixel_pairs(const std::uint8_t* p) {
  constexpr int n = padded_channels(C);
  i16x32 r;
  for (int i = 0; i < 32; ++i) {
    const int c = i / 2 % n, pixel = i / (2 * n) * 2 + i % 2;
    r.v[i] = c < C ? p[pixel * C + c] : std::int16_t{0};
  }
  return r;
}
template <int N>
TESSERA_INLINE i16x32 load_pairs(const std::int16_t* p) {
  i16x32 r;
  for (int i = 0; i < 32; ++i) r.v[i] = p[i / (2 * N) * 2 + i % 2];
  return r;
}
TESSERA_INLINE i16x32 set_pairs(const std::int16_t* p) {
  i16x32 r;
  for (int i = 0; i < 32; ++i) r.v[i] = p[i % 2];
  return r;
}
TESSERA_INLINE i16x32 load_byte_pairs(const std::uint8_t* p, const std::uint8_t* q) {
  i16x32 r;
  for (int i = 0; i < 16; ++i) r.v[2 * i] = p[i], r.v[2 * i + 1] = q[i];
  return r;
}
TESSERA_INLINE i32x16 multiply_pairs(i16x32 a, i16x32 b) {
  std::int32_t sums[16];
  for (int i = 0; i < 16; ++i) sums[i] = a.v[2 * i] * b.v[2 * i] + a.v[2 * i + 1] * b.v[2 * i + 1];
  i32x16 r;
  __builtin_memcpy(&r, sums, sizeof r);
  return r;
}
TESSERA_INLINE std::uint8_t clamped(std::int32_t v) { return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v); }
TESSERA_INLINE void store_bytes(std::uint8_t* p, i32x16 a, int shift) {
  for (int i = 0; i < 16; ++i) p[i] = clamped(a.v[i / 4][i % 4] >> shift);
}
template <int N>
TESSERA_INLINE void fold_bytes(const i32x16 (&a)[4], int shift, std::uint32_t* out) {
  for (int r = 0; r < 4; ++r) {
    const int_vec sum = a[r].v[0] + a[r].v[1] + a[r].v[2] + a[r].v[3];
    std::uint8_t bytes[4] = {};
    for (int i = 0; i < N; ++i) {
      std::int32_t s = 0;
      for (int j = i; j < 4; j += N) s += sum[j];
      bytes[i] = clamped(s >> shift);
    }
    __builtin_memcpy(out + r, bytes, 4);
  }
}
