// C = epilogue(A . W^T) over packed slices. Included inside an ISA namespace.

// Rows x (16 Vecs) of A . W^T from slices of W, `stride` numbers apart: one FMA chain per output, k ascending, started at 0
// or resumed from t. Each step fetches one cache line ahead of the caller's choice: the next panel arrives in L2 unnoticed.
template <int Rows, int Vecs>
TESSERA_NOINLINE void tile(const float* a, index_t lda, const float* w, index_t stride, index_t k0, index_t k1, float* t,
                           index_t ldt, const char* ahead, index_t step) noexcept {
  f32x16 acc[Rows][Vecs];
  TESSERA_UNROLL
  for (int i = 0; i < Rows; ++i) {
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) acc[i][j] = k0 == 0 ? set1(0.0f) : load(t + i * ldt + 16 * j);
  }
  w += 16 * k0;
  a += k0;
  for (index_t k = k0; k < k1; ++k) {
    f32x16 wv[Vecs];
    prefetch(ahead);
    ahead += step;
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) prefetch(w + j * stride + 16 * 8);
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) wv[j] = load(w + j * stride);
    TESSERA_UNROLL
    for (int i = 0; i < Rows; ++i) {
      const f32x16 av = set1(a[i * lda]);
      TESSERA_UNROLL
      for (int j = 0; j < Vecs; ++j) acc[i][j] = fma(av, wv[j], acc[i][j]);
    }
    w += 16;
    ++a;
  }
  TESSERA_UNROLL
  for (int i = 0; i < Rows; ++i) {
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) store(t + i * ldt + 16 * j, acc[i][j]);
  }
}

struct TileArgs {
  const float* a;
  index_t lda;
  const float* w;
  index_t stride, k0, k1;
  float* t;
  index_t ldt;
  const char* ahead;
  index_t step;
};

template <int Rows, int Vecs>
TESSERA_INLINE void run_rows(index_t rows, const TileArgs& g) {
  if (rows == Rows) return tile<Rows, Vecs>(g.a, g.lda, g.w, g.stride, g.k0, g.k1, g.t, g.ldt, g.ahead, g.step);
  if constexpr (Rows > 1) run_rows<Rows - 1, Vecs>(rows, g);
}

template <int Vecs>
TESSERA_INLINE void run_vecs(index_t rows, index_t vecs, const TileArgs& g) {
  if (vecs == Vecs) return run_rows<kTileRows, Vecs>(rows, g);
  if constexpr (Vecs > 1) run_vecs<Vecs - 1>(rows, vecs, g);
}

// rows <= kTileRows rows x `slices` slices into t, a register tile at a time.
TESSERA_INLINE void run_tile(index_t rows, index_t slices, TileArgs g) {
  for (index_t s = 0; s < slices; s += kTileVecs) {
    run_vecs<kTileVecs>(rows, slices - s < kTileVecs ? slices - s : kTileVecs, g);
    g.w += g.stride * kTileVecs;
    g.t += 16 * kTileVecs;
  }
}

// One tile of C from its accumulators t [rows, 64] (and, gated, those of the up panel, u). The activation passes over t in
// place, so that this stands twice, for whole tiles and others, and not twice an activation.
template <bool Whole>
TESSERA_NOINLINE void epilogue(const GemmArgs& g, float* t, const float* u, index_t row, index_t rows,
                               index_t column) noexcept {
  const index_t width = Whole ? kPanel : g.n - column;
  const bool active = g.act != Activation::identity;
  const auto get = [&](const float* p, index_t j) { return Whole ? load(p + j) : load_n(p + j, width - j, 0.0f); };
  for (index_t i = 0; i < rows; ++i) {
    float* const x = t + kPanel * i;
    float* const c = g.c + (row + i) * g.ldc + column;
    if (active) {
      for (index_t j = 0; g.bias && j < width; j += 16) store(x + j, add(load(x + j), get(g.bias + column, j)));
      activate_row(g.act, x, width);
    }
    for (index_t j = 0; j < width; j += 16) {
      f32x16 v = load(x + j);
      if (g.bias && !active) v = add(v, get(g.bias + column, j));
      if (u) {
        f32x16 up = load(u + kPanel * i + j);
        if (g.bias) up = add(up, get(g.bias + g.n + column, j));
        v = mul(v, up);
      }
      if (g.channel_scale) v = mul(v, get(g.channel_scale + column, j));
      if (g.residual) v = add(v, get(g.residual + (row + i) * g.ldr + column, j));
      if (Whole)
        store(c + j, v);
      else
        store_n(c + j, width - j, v);
    }
  }
}

// The epilogue's lines arrive while the tile is computed.
TESSERA_INLINE void fetch_rows(const float* p, index_t ld, index_t rows) {
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < kPanel; j += 16) prefetch(p + i * ld + j);
}

inline void gemm(const GemmArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) noexcept {
  constexpr index_t kRowBlock = 240;  // rows of A that stay in L2 while the panels pass
  alignas(64) float t[kTileRows * kPanel], u[kTileRows * kPanel];
  const index_t panel = kPanel * g.k, last = (g.n + kSlice - 1) / kSlice;
  const index_t per_panel = g.glu ? 2 : 1, panels = (g.n + kPanel - 1) / kPanel;
  for (index_t block = m0; block < m1; block += kRowBlock) {
    const index_t m = m1 - block < kRowBlock ? m1 - block : kRowBlock, tiles = (m + kTileRows - 1) / kTileRows;
    for (index_t p = p0; p < p1; ++p) {
      const index_t slices = last - 4 * p < 4 ? last - 4 * p : 4;
      const float* w = g.w + per_panel * p * panel;
      const index_t next = p + 1 < p1 ? 1 : g.stride;
      const char* ahead = reinterpret_cast<const char*>(w + next * per_panel * panel);
      const char* end = p + next < panels ? ahead + panel * 4 : ahead;
      for (index_t q = 0; q < tiles; ++q) {
        const index_t at = m * q / tiles, rows = m * (q + 1) / tiles - at;  // sizes differ by at most one
        const bool more = ahead + g.k * 64 <= end;
        TileArgs args{g.a + (block + at) * g.lda,
                      g.lda,
                      w,
                      kSlice * g.k,
                      0,
                      g.k,
                      t,
                      kPanel,
                      more ? ahead : reinterpret_cast<const char*>(t),
                      more ? 64 : 0};
        fetch_rows(g.c + (block + at) * g.ldc + p * kPanel, g.ldc, rows);
        if (g.residual) fetch_rows(g.residual + (block + at) * g.ldr + p * kPanel, g.ldr, rows);
        run_tile(rows, slices, args);
        ahead += g.k * 64;
        if (g.glu) {
          args.w = w + panel, args.t = u, args.step = 0;
          run_tile(rows, slices, args);
        }
        if (g.n - p * kPanel >= kPanel)
          epilogue<true>(g, t, g.glu ? u : nullptr, block + at, rows, p * kPanel);
        else
          epilogue<false>(g, t, g.glu ? u : nullptr, block + at, rows, p * kPanel);
      }
    }
  }
}

// Rows [16 s, 16 s + 16) of W become slice s: dst[s][k][16].
inline void pack(const float* w, index_t ldw, index_t n, index_t k, index_t s0, index_t s1, float* dst) noexcept {
  for (index_t s = s0; s < s1; ++s) {
    float* d = dst + s * k * kSlice;
    const float* src = w + s * kSlice * ldw;
    const index_t rows = n - s * kSlice < kSlice ? n - s * kSlice : kSlice;
    index_t i = 0;
    if (rows == kSlice)
      for (; i + 16 <= k; i += 16) transpose16(src + i, ldw, d + kSlice * i);
    for (; i < k; ++i)
      for (index_t j = 0; j < kSlice; ++j) d[kSlice * i + j] = j < rows ? src[j * ldw + i] : 0.0f;
  }
}

inline void tile_probe(const float* a, index_t lda, const float* w, index_t k, float* t, index_t repeat) noexcept {
  for (index_t r = 0; r < repeat; ++r)
    run_tile(kTileRows, 4, {a, lda, w, kSlice * k, 0, k, t, kPanel, reinterpret_cast<const char*>(t), 0});
}

// kPeakChains independent chains of f32x16, as many as registers hold: more than latency times throughput on any core that
// has them. They start apart, so that no compiler may merge them.
inline float peak(index_t steps) noexcept {
  f32x16 acc[kPeakChains];
  for (int i = 0; i < kPeakChains; ++i) acc[i] = set1(static_cast<float>(steps % (i + 2)));
  const f32x16 x = set1(0.5f), y = set1(1.0f);
  for (index_t s = 0; s < steps; ++s) {
    TESSERA_UNROLL
    for (int i = 0; i < (kPeakChains < 12 ? kPeakChains : 12); ++i) acc[i] = fma(x, acc[i], y);
    TESSERA_UNROLL
    for (int i = 12; i < kPeakChains; ++i) acc[i] = fma(x, acc[i], y);
  }
  f32x16 sum = set1(0.0f);
  for (int i = 0; i < kPeakChains; ++i) sum = add(sum, acc[i]);
  return reduce_add(sum);
}
