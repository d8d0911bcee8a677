// The 4-lane NEON vocabulary under simd_lanes.inl.
inline constexpr int kTileRows = 6, kTileVecs = 1, kWidth = 4, kParts = 4;
using vec = float32x4_t;
TESSERA_INLINE vec v_set1(float x) { return vdupq_n_f32(x); }
TESSERA_INLINE vec v_load(const float* p) { return vld1q_f32(p); }
TESSERA_INLINE void v_store(float* p, vec a) { vst1q_f32(p, a); }
TESSERA_INLINE vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
TESSERA_INLINE vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
TESSERA_INLINE vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
TESSERA_INLINE vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
TESSERA_INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
// fmax and fmin treat +-0 and NaN otherwise than x86, so both are compare and select.
TESSERA_INLINE vec v_max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
TESSERA_INLINE vec v_min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
TESSERA_INLINE vec v_if_less(vec a, vec b, vec yes, vec no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
TESSERA_INLINE vec v_if_ordered(vec a, vec b, vec yes, vec no) {
  return vbslq_f32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)), yes, no);
}
TESSERA_INLINE vec v_abs(vec a) { return vabsq_f32(a); }
TESSERA_INLINE vec v_exponent_bits(vec t) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(t), 23)); }
TESSERA_INLINE vec v_first_of_pairs(vec a) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a), 16)); }
TESSERA_INLINE vec v_second_of_pairs(vec a) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0xffff0000)));
}
TESSERA_INLINE vec v_pairs_of(vec first, vec second) {
  return vreinterpretq_f32_u32(vorrq_u32(vshrq_n_u32(vreinterpretq_u32_f32(first), 16), vreinterpretq_u32_f32(second)));
}
TESSERA_INLINE vec v_swap_pairs(vec a) { return vrev64q_f32(a); }
TESSERA_INLINE vec v_round_bf16(vec a) {
  const uint32x4_t u = vreinterpretq_u32_f32(a), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1)),
                   up = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff))), quiet = vorrq_u32(u, vdupq_n_u32(0x400000));
  return v_second_of_pairs(vreinterpretq_f32_u32(vbslq_u32(vceqq_f32(a, a), up, quiet)));
}
TESSERA_INLINE vec v_byte(vec a, int p) {
  const int32x4_t w = vreinterpretq_s32_f32(a);
  return vreinterpretq_f32_s32(vshrq_n_s32(vshlq_s32(w, vdupq_n_s32(24 - 8 * p)), 24));
}
TESSERA_INLINE vec v_add_product(vec a, vec b, vec c) {
  return vreinterpretq_f32_s32(vmlaq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b), vreinterpretq_s32_f32(c)));
}
TESSERA_INLINE vec v_to_float(vec a) { return vcvtq_f32_s32(vreinterpretq_s32_f32(a)); }
TESSERA_INLINE float sqrt1(float x) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }

struct u8x64 {
  uint8x16_t v[4];
};
struct u16x64 {
  uint16x8_t even[4], odd[4];
};
TESSERA_INLINE void widen_add(u16x64& sum, u8x64 a) {
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const uint16x8_t w = vreinterpretq_u16_u8(a.v[i]);
    sum.even[i] = vaddq_u16(sum.even[i], vandq_u16(w, vdupq_n_u16(0xff)));
    sum.odd[i] = vsraq_n_u16(sum.odd[i], w, 8);
  }
}
TESSERA_INLINE std::uint64_t not_above(u16x64 a, int most) {
  const uint16x8_t m = vdupq_n_u16(static_cast<std::uint16_t>(most));
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201U));
  uint8x16_t found[4];
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i)
    found[i] =
        vandq_u8(bits, vbslq_u8(vreinterpretq_u8_u16(vdupq_n_u16(0xff)), vreinterpretq_u8_u16(vcleq_u16(a.even[i], m)),
                                vreinterpretq_u8_u16(vcleq_u16(a.odd[i], m))));
  const uint8x16_t pairs = vpaddq_u8(vpaddq_u8(found[0], found[1]), vpaddq_u8(found[2], found[3]));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)), 0);
}
TESSERA_INLINE void store_words(std::uint16_t* p, u16x64 a) {
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) vst1q_u16(p + 8 * i, a.even[i]), vst1q_u16(p + 32 + 8 * i, a.odd[i]);
}
struct BitCounter {
  static constexpr int kQueries = 4, kPrepared = 1;
  using Rows = u8x64;
  TESSERA_INLINE static void prepare(int byte, std::uint8_t* to) { *to = static_cast<std::uint8_t>(byte); }
  TESSERA_INLINE static Rows rows(const std::uint8_t* p) {
    return {{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}};
  }
  TESSERA_INLINE static void add(u8x64& sum, Rows r, const std::uint8_t* q) {
    const uint8x16_t byte = vld1q_dup_u8(q);
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) sum.v[i] = vaddq_u8(sum.v[i], vcntq_u8(veorq_u8(r.v[i], byte)));
  }
};
