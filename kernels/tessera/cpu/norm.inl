// Row normalisations and dot products. Included inside an ISA namespace. Reductions run over 16 virtual lanes and one tree,
// in an order that depends on the row's own length only.

template <bool Add>
void layer_norm_rows(const NormArgs& g, index_t row0, index_t row1) noexcept {
  const float count = static_cast<float>(g.c);
  for (index_t r = row0; r < row1; ++r) {
    const float* x = g.x + r * g.ldx;
    float* y = g.y + r * g.ldy;
    f32x16 sum = set1(0.0f), squares = set1(0.0f);
    by_sixteens(g.c, [&](index_t j, auto how) { sum = add(sum, how.get(x + j, 0.0f)); });
    const float mean1 = reduce_add(sum) / count;
    const f32x16 mean = set1(mean1);
    by_sixteens(g.c, [&](index_t j, auto how) {
      const f32x16 d = sub(how.get(x + j, mean1), mean);  // what is not there becomes 0
      squares = fma(d, d, squares);
    });
    const f32x16 scale = set1(1.0f / sqrt1(reduce_add(squares) / count + g.eps));
    by_sixteens(g.c, [&](index_t j, auto how) {
      const f32x16 unit = mul(sub(how.get(x + j, 0.0f), mean), scale);
      const f32x16 v = fma(unit, how.get(g.gamma + j, 0.0f), how.get(g.beta + j, 0.0f));
      how.put(y + j, Add ? add(how.get(y + j, 0.0f), v) : v);
    });
  }
}

TESSERA_INLINE float sum_of_squares(const float* x, index_t c) {
  f32x16 squares = set1(0.0f);
  by_sixteens(c, [&](index_t j, auto how) {
    const f32x16 v = how.get(x + j, 0.0f);
    squares = fma(v, v, squares);
  });
  return reduce_add(squares);
}

template <bool Add>
void rms_norm_rows(const NormArgs& g, index_t row0, index_t row1) noexcept {
  for (index_t r = row0; r < row1; ++r) {
    const float* x = g.x + r * g.ldx;
    float* y = g.y + r * g.ldy;
    const f32x16 scale = set1(1.0f / sqrt1(sum_of_squares(x, g.c) / static_cast<float>(g.c) + g.eps));
    by_sixteens(g.c, [&](index_t j, auto how) {
      const f32x16 unit = mul(mul(how.get(x + j, 0.0f), scale), how.get(g.gamma + j, 0.0f));
      how.put(y + j, Add ? add(how.get(y + j, 0.0f), unit) : unit);
    });
  }
}

inline void l2_normalize(const NormArgs& g, index_t row0, index_t row1) noexcept {
  for (index_t r = row0; r < row1; ++r) {
    const float* x = g.x + r * g.ldx;
    float* y = g.y + r * g.ldy;
    const float norm = sqrt1(sum_of_squares(x, g.c));
    const f32x16 divisor = set1(norm < g.eps ? g.eps : norm);
    for (index_t j = 0; j < g.c; j += 16) store_n(y + j, g.c - j, div(load_n(x + j, g.c - j, 0.0f), divisor));
  }
}

inline void dot(const float* a, const float* rows, index_t ld, index_t n, index_t c, float* out) noexcept {
  for (index_t i = 0; i < n; ++i) {
    const float* b = rows + i * ld;
    f32x16 sum = set1(0.0f);
    for (index_t j = 0; j < c; j += 16) sum = fma(load_n(a + j, c - j, 0.0f), load_n(b + j, c - j, 0.0f), sum);
    out[i] = reduce_add(sum);
  }
}

// Sixteen rows at once, turned so that each is a lane: step(a[i], their numbers i, sums) for i from 0.
template <class Step>
TESSERA_INLINE void by_lanes(const float* a, const float* const* rows, index_t n, index_t c, float* out, const Step& step) {
  f32x16 sums = set1(0.0f);
  for (index_t j = 0; j < c; j += 16) {
    alignas(64) float t[256], turned[256];
    const index_t left = c - j < 16 ? c - j : 16;
    for (index_t r = 0; r < 16; ++r) store(t + 16 * r, load_n(rows[r < n ? r : 0] + j, left, 0.0f));
    transpose16(t, 16, turned);
    for (index_t i = 0; i < left; ++i) sums = step(set1(a[j + i]), load(turned + 16 * i), sums);
  }
  store_n(out, n, sums);
}
inline void chains(const float* a, const float* const* rows, index_t n, index_t c, float* out) noexcept {
  by_lanes(a, rows, n, c, out, [](f32x16 x, f32x16 y, f32x16 sums) { return fma(x, y, sums); });
}
inline void squared_distances(const float* a, const float* const* rows, index_t n, index_t c, float* out) noexcept {
  by_lanes(a, rows, n, c, out, [](f32x16 x, f32x16 y, f32x16 sums) {
    const f32x16 d = sub(x, y);
    return fma(d, d, sums);
  });
}

inline void hadamard(const float* a, const float* b, index_t n, float* out) noexcept {
  by_sixteens(n, [&](index_t i, auto how) { how.put(out + i, mul(how.get(a + i, 0.0f), how.get(b + i, 0.0f))); });
}

inline bool all_finite(const float* x, index_t n) noexcept {
  // x - x is 0 for finite x and NaN otherwise, and a sum keeps a NaN: one test at the end of a stretch.
  constexpr index_t kStretch = 4096;
  for (index_t i = 0; i < n; i += kStretch) {
    const index_t end = n - i < kStretch ? n : i + kStretch;
    f32x16 s0 = set1(0.0f), s1 = set1(0.0f);
    index_t j = i;
    for (; j + 32 <= end; j += 32) {
      const f32x16 v0 = load(x + j), v1 = load(x + j + 16);
      s0 = add(s0, sub(v0, v0));
      s1 = add(s1, sub(v1, v1));
    }
    for (; j < end; j += 16) {
      const f32x16 v = load_n(x + j, end - j, 0.0f);
      s0 = add(s0, sub(v, v));
    }
    if (!all_lanes_finite(add(s0, s1))) return false;
  }
  return true;
}
