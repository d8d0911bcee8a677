// f32x16 on an array of narrow vectors. Included inside an ISA namespace that has defined: vec, kWidth, kParts, kTileRows,
// kTileVecs and v_set1, v_load, v_store, v_add, v_sub, v_mul, v_div, v_fma, v_max, v_min, v_if_less, v_if_ordered, v_abs,
// v_exponent_bits, sqrt1. The comments of simd_avx512.inl hold.
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
#undef TESSERA_EACH
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
TESSERA_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
TESSERA_INLINE void transpose16(const float* src, index_t ld, float* dst) {
  for (int j = 0; j < 16; ++j)
    for (int i = 0; i < 16; ++i) dst[16 * j + i] = src[i * ld + j];
}
