// Token merging. Included inside an ISA namespace.

inline void head_sum(const float* k, index_t ld, index_t head, index_t heads, index_t d, index_t t0, index_t t1,
                     float* out) noexcept {
  for (index_t t = t0; t < t1; ++t)
    for (index_t j = 0; j < d; j += 16) {
      const float* p = k + t * ld + j;
      f32x16 sum = load_n(p, d - j, 0.0f);
      for (index_t h = 1; h < heads; ++h) sum = add(sum, load_n(p + h * head, d - j, 0.0f));
      store_n(out + t * d + j, d - j, sum);
    }
}

constexpr index_t kMatchColumns = 256;  // scores of a tile of rows that stay in L1

// f(row, column, count, scores) for all products of rows [m0, m1), columns ascending within a row; `scores` may be read in
// whole vectors.
template <class F>
TESSERA_INLINE void each_score(const MatchArgs& g, index_t m0, index_t m1, const F& f) {
  alignas(64) float t[kTileRows * kMatchColumns];
  for (index_t m = m0; m < m1; m += kTileRows) {
    const index_t rows = m1 - m < kTileRows ? m1 - m : kTileRows;
    for (index_t j = 0; j < g.n; j += kMatchColumns) {
      const index_t columns = g.n - j < kMatchColumns ? g.n - j : kMatchColumns;
      run_tile<Float32>(rows, (columns + kSlice - 1) / kSlice,
                        {g.a + m * g.lda, g.lda, g.b + j * g.d, kSlice * g.d, 0, g.d, t, kMatchColumns,
                         reinterpret_cast<const char*>(t), 0});
      for (index_t i = 0; i < rows; ++i) f(m + i, j, columns, t + i * kMatchColumns);
    }
  }
}

inline void nearest(const MatchArgs& g, index_t m0, index_t m1, std::int32_t* index, float* score) noexcept {
  for (index_t m = m0; m < m1; ++m) index[m] = 0, score[m] = -__builtin_inff();
  each_score(g, m0, m1, [&](index_t m, index_t first, index_t n, float* s) {
    const float top = row_maximum(s, 0, n);
    if (!(top > score[m])) return;
    index_t j = 0;
    while (s[j] != top) ++j;
    index[m] = static_cast<std::int32_t>(first + j), score[m] = top;
  });
}

inline void energy(const MatchArgs& g, float margin, index_t m0, index_t m1, float* out) noexcept {
  alignas(64) float sums[kTileRows * 16];
  const f32x16 least = set1(margin), zero = set1(0.0f), one = set1(1.0f);
  each_score(g, m0, m1, [&](index_t m, index_t first, index_t n, const float* s) {
    float* const kept = sums + (m - m0) % kTileRows * 16;
    f32x16 sum = first == 0 ? zero : load(kept);
    for (index_t j = 0; j < n; j += 16) {
      const f32x16 y = sub(load_n(s + j, n - j, margin), least);  // beyond the last one it is 0
      const f32x16 below = sub(exp2_nonpositive(mul(y, set1(1.44269504088896341f))), one);
      sum = add(sum, if_less(y, zero, below, y));
    }
    store(kept, sum);
    if (first + n == g.n) out[m] = reduce_add(sum) / static_cast<float>(g.n);
  });
}

// f(j, left) for each group of 16 channels.
template <class F>
TESSERA_INLINE void each_channel(index_t c, const F& f) {
  for (index_t j = 0; j < c; j += 16) f(j, c - j);
}

inline float merge(MergeMode mode, const float* x, index_t ldx, const std::int32_t* members, const float* weights, index_t n,
                   index_t c, float* out) noexcept {
  const auto row = [&](index_t i) { return x + members[i] * ldx; };
  const auto weight = [&](index_t i) { return weights ? weights[members[i]] : 1.0f; };
  const float first = weight(0);
  if (mode == MergeMode::combine) {
    each_channel(c, [&](index_t j, index_t left) {
      f32x16 v = mul(load_n(row(0) + j, left, 0.0f), set1(first));
      for (index_t i = 1; i < n; ++i) v = fma(load_n(row(i) + j, left, 0.0f), set1(weight(i)), v);
      store_n(out + j, left, v);
    });
    return first;
  }
  if (mode == MergeMode::keep || n == 1) {
    each_channel(c, [&](index_t j, index_t left) { store_n(out + j, left, load_n(row(0) + j, left, 0.0f)); });
    return first;
  }
  float size = first, largest = 0.0f;
  for (index_t i = 1; i < n; ++i) size += weight(i);
  const bool weighted = mode == MergeMode::weighted_mean;
  const f32x16 divisor = set1(weighted ? size : static_cast<float>(n));
  each_channel(c, [&](index_t j, index_t left) {
    f32x16 v = load_n(row(0) + j, left, 0.0f);
    if (weighted) v = mul(v, set1(first));
    for (index_t i = 1; i < n; ++i) {
      const f32x16 w = load_n(row(i) + j, left, 0.0f);
      if (weighted)
        v = fma(w, set1(weight(i)), v);
      else if (mode == MergeMode::max)
        v = if_ordered(v, w, max(w, v), add(v, w));  // a NaN stays
      else
        v = add(v, w);
    }
    if (weighted || mode == MergeMode::mean) v = div(v, divisor);
    store_n(out + j, left, v);
  });
  if (mode == MergeMode::norm_preserving) {
    const float norm = sqrt1(sum_of_squares(out, c));
    for (index_t i = 0; i < n; ++i) {
      const float other = sqrt1(sum_of_squares(row(i), c));
      if (!(other <= largest)) largest = other;
    }
    const f32x16 unit = set1(norm > 0.0f ? norm : 1.0f), longest = set1(largest);
    each_channel(
        c, [&](index_t j, index_t left) { store_n(out + j, left, mul(div(load_n(out + j, left, 0.0f), unit), longest)); });
  }
  return size;
}
