// out = softmax(scale * Q K^T) V for one head of one sequence, with the tile of gemm.inl for both products.
//
// K and V are packed once into slices; then strips of kTileRows queries keep their scores [rows, tk] in cache: exact row
// maximum, exponentials, sum, product with V, one division. No online rescaling, so the bits depend on the row alone.
// Included inside an ISA namespace.

TESSERA_INLINE index_t round16(index_t n) { return (n + 15) / 16 * 16; }

inline index_t attention_scratch(index_t tk, index_t d, index_t dv) noexcept {
  return round16(tk) * d + round16(dv) * tk + kTileRows * (round16(tk) + round16(dv) + 16);
}

// V [tk, dv] to slices [dv / 16][tk][16], channels beyond dv zero. By rows: they lie pages apart.
TESSERA_INLINE void pack_values(const float* v, index_t ldv, index_t tk, index_t dv, float* dst) {
  for (index_t i = 0; i < tk; ++i)
    for (index_t j = 0; j < dv; j += 16) store(dst + 16 * i + tk * j, load_n(v + i * ldv + j, dv - j, 0.0f));
}

// The largest of s[lo, hi). What lies below lo in its group of 16 is overwritten: below every maximum.
TESSERA_INLINE float row_maximum(float* s, index_t lo, index_t hi) {
  const float low = -__builtin_inff();
  index_t j = lo / 16 * 16;
  for (index_t e = j; e < lo; ++e) s[e] = low;
  f32x16 top = set1(low), top2 = top;
  for (; j + 32 <= hi; j += 32) {
    top = max(load(s + j), top);
    top2 = max(load(s + j + 16), top2);
  }
  for (; j < hi; j += 16) top = max(load_n(s + j, hi - j, low), top);
  return reduce_max(max(top2, top));
}

TESSERA_INLINE f32x16 softmax_term(f32x16 score, f32x16 top, f32x16 factor) {
  return exp2_nonpositive(mul(sub(score, top), factor));
}

// s[lo, hi) becomes weights * exp(scale * (s - top)); returns the sum, its lanes counted from key 0. A weight of 1 changes
// no bit, and a logarithm added to the score would need one.
template <bool Weighted>
TESSERA_INLINE float exponentials(float* s, index_t lo, index_t hi, float top, float scale, const float* weights) {
  const f32x16 most = set1(top), factor = set1(scale * 1.44269504088896341f);
  f32x16 sum = set1(0.0f);
  index_t j = lo / 16 * 16;
  for (; j + 16 <= hi; j += 16) {
    f32x16 v = softmax_term(load(s + j), most, factor);
    if (Weighted) v = mul(v, load(weights + j));
    sum = add(sum, v);
    store(s + j, v);
  }
  if (j < hi) {
    f32x16 v = softmax_term(load_n(s + j, hi - j, -__builtin_inff()), most, factor);
    if (Weighted) v = mul(v, load_n(weights + j, hi - j, 0.0f));
    sum = add(sum, v);
    store(s + j, v);  // the strip is padded: 16 numbers fit
  }
  return reduce_add(sum);
}

// p = share * s within [lo, hi), else 0.
TESSERA_NOINLINE void keep_probabilities(const float* s, index_t lo, index_t hi, f32x16 share, index_t columns,
                                         float* p) noexcept {
  for (index_t j = 0; j < columns; ++j)
    if (j < lo || j >= hi) p[j] = 0.0f;
  for (index_t j = lo; j < hi; j += 16) store_n(p + j, hi - j, mul(load_n(s + j, hi - j, 0.0f), share));
}

inline void attention_head(const AttentionArgs& g, index_t q0, index_t q1, float* scratch) noexcept {
  const index_t ld = round16(g.tk) + 16, slices_k = (g.tk + 15) / 16, slices_v = (g.dv + 15) / 16;
  const float scale = g.scale != 0.0f ? g.scale : 1.0f / sqrt1(static_cast<float>(g.d));
  float* keys = scratch;
  float* values = keys + round16(g.tk) * g.d;
  float* s = values + round16(g.dv) * g.tk;
  float* t = s + kTileRows * ld;
  const index_t ldt = 16 * slices_v;
  pack(g.k, g.ldk, g.tk, g.d, 0, slices_k, keys);
  pack_values(g.v, g.ldv, g.tk, g.dv, values);
  const char* idle = reinterpret_cast<const char*>(t);
  const index_t strips = (q1 - q0 + kTileRows - 1) / kTileRows, shift = g.tk - g.tq;
  for (index_t z = 0; z < strips; ++z) {
    const index_t q = q0 + (q1 - q0) * z / strips, rows = q0 + (q1 - q0) * (z + 1) / strips - q;
    // Keys [lo, hi) that row i sees; `from` and `common` bound what all rows of the strip share, `any` what one sees.
    index_t lo[kTileRows], hi[kTileRows], from = 0, common = g.tk, any = 0;
    for (index_t i = 0; i < rows; ++i) {
      const index_t own = q + i + shift;
      lo[i] = g.window_left >= 0 && own - g.window_left > 0 ? own - g.window_left : 0;
      hi[i] = g.window_right >= 0 && own + g.window_right + 1 < g.tk ? own + g.window_right + 1 : g.tk;
      if (g.causal && own + 1 < hi[i]) hi[i] = own + 1;
      if (hi[i] < lo[i] || lo[i] >= g.tk) lo[i] = hi[i] = 0;
      from = from > lo[i] ? from : lo[i];
      common = common < hi[i] ? common : hi[i];
      any = any > hi[i] ? any : hi[i];
    }
    run_tile<Float32>(rows, (any + 15) / 16, {g.q + q * g.ldq, g.ldq, keys, kSlice * g.d, 0, g.d, s, ld, idle, 0});
    // All maxima, then all exponentials: rows do not wait for one another's reductions.
    float top[kTileRows], sum[kTileRows];
    for (index_t i = 0; i < rows; ++i) top[i] = hi[i] > lo[i] ? row_maximum(s + i * ld, lo[i], hi[i]) : 0.0f;
    for (index_t i = 0; i < rows; ++i) {
      sum[i] = 0.0f;
      if (hi[i] <= lo[i]) continue;
      sum[i] = g.key_weights ? exponentials<true>(s + i * ld, lo[i], hi[i], top[i], scale, g.key_weights)
                             : exponentials<false>(s + i * ld, lo[i], hi[i], top[i], scale, nullptr);
    }
    // A key outside a row's own range is not multiplied by 0 but left out: an infinity there must not become a NaN here.
    if (from == 0 && common > 0) {
      run_tile<Float32>(rows, slices_v, {s, ld, values, kSlice * g.tk, 0, common, t, ldt, idle, 0});
      for (index_t i = 0; i < rows; ++i)
        if (hi[i] > common)
          run_tile<Float32>(1, slices_v, {s + i * ld, ld, values, kSlice * g.tk, common, hi[i], t + i * ldt, ldt, idle, 0});
    } else {
      for (index_t i = 0; i < rows; ++i)
        run_tile<Float32>(
            1, slices_v,
            {s + i * ld + lo[i], ld, values + 16 * lo[i], kSlice * g.tk, 0, hi[i] - lo[i], t + i * ldt, ldt, idle, 0});
    }
    for (index_t i = 0; i < rows; ++i) {
      float* out = g.out + (q + i) * g.ldo;
      const f32x16 share = set1(1.0f / sum[i]), zero = set1(0.0f);
      for (index_t j = 0; j < g.dv; j += 16) {
        const f32x16 v = hi[i] > lo[i] ? mul(load(t + i * ldt + j), share) : zero;
        store_n(out + j, g.dv - j, v);
      }
      if (g.probabilities) keep_probabilities(s + i * ld, lo[i], hi[i], share, g.columns, g.probabilities + (q + i) * g.ldp);
    }
  }
}
