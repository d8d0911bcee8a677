// C = epilogue(A . W^T) over packed slices. Included inside an ISA namespace.

// One step of k: a and a3 are A's rows 0 and 3 there, w the first slice.
template <int Rows, int Vecs>
TESSERA_INLINE void tile_step(f32x16 (&acc)[Rows][Vecs], const float* a, const float* a3, index_t lda, const float* w,
                              index_t stride) {
  f32x16 wv[Vecs];
  TESSERA_UNROLL
  for (int j = 0; j < Vecs; ++j) prefetch(w + j * stride + 16 * 8);
  TESSERA_UNROLL
  for (int j = 0; j < Vecs; ++j) wv[j] = load(w + j * stride);
  TESSERA_UNROLL
  for (int i = 0; i < Rows; ++i) {
    const f32x16 av = set1(i < 3 ? a[i * lda] : a3[(i - 3) * lda]);
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) acc[i][j] = fma(av, wv[j], acc[i][j]);
  }
}

// Rows x (16 Vecs) of A . W^T from slices of W, `stride` numbers apart: one FMA chain per output, k ascending, started at 0
// or resumed from t. Every second step asks for the line at `ahead`, `step` bytes further each time: the next panel arrives
// in L2 unnoticed. Asked for faster than it is needed, it would hold the buffers that this panel's lines go through.
// TESSERA_OPAQUE keeps the addresses of six rows in two registers; left alone, compilers run out of them and reload.
template <int Rows, int Vecs>
TESSERA_NOINLINE void tile(const float* a, index_t lda, const float* w, index_t stride, index_t k0, index_t k1, float* t,
                           index_t ldt, const char* ahead, index_t step) noexcept {
  f32x16 acc[Rows][Vecs];
  const float* from = t;
  TESSERA_UNROLL
  for (int i = 0; i < Rows; ++i) {
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) acc[i][j] = k0 == 0 ? set1(0.0f) : load(from + 16 * j);
    from += ldt;
    TESSERA_OPAQUE(from);
  }
  w += 16 * k0;
  a += k0;
  const float* a3 = Rows > 3 ? a + 3 * lda : a;
  TESSERA_OPAQUE(a3);
  index_t left = k1 - k0;
  for (; left >= 2; left -= 2) {
    prefetch_l2(ahead);
    ahead += step;
    tile_step<Rows, Vecs>(acc, a, a3, lda, w, stride);
    tile_step<Rows, Vecs>(acc, a + 1, a3 + 1, lda, w + 16, stride);
    w += 32;
    a += 2;
    a3 += 2;
  }
  if (left > 0) tile_step<Rows, Vecs>(acc, a, a3, lda, w, stride);
  TESSERA_OPAQUE(t);
  TESSERA_UNROLL
  for (int i = 0; i < Rows; ++i) {
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) store(t + 16 * j, acc[i][j]);
    t += ldt;
    TESSERA_OPAQUE(t);
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

// Where the next panel of weights lies (its part of k, in slices), and how fast to ask for it: evenly over this one's tiles.
struct Ahead {
  const float* next;  // null: nothing to fetch
  index_t slice, depth, step;

  TESSERA_INLINE void tile(index_t q, TileArgs& args) const {
    const index_t from = next ? q * (depth / 2) * step : 0, s = from / (depth * 64);
    const bool more = next && s < 4;
    args.ahead =
        more ? reinterpret_cast<const char*>(next + s * slice) + from % (depth * 64) : reinterpret_cast<const char*>(args.t);
    args.step = more ? step : 0;
  }
};

inline void gemm(const GemmArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) noexcept {
  alignas(64) float t[kTileRows * kPanel], u[kTileRows * kPanel];
  const index_t panel = kPanel * g.k, last_slice = (g.n + kSlice - 1) / kSlice;
  const index_t per_panel = g.glu ? 2 : 1, panels = (g.n + kPanel - 1) / kPanel;
  // A part of k of all rows of a block stays in L2 while a group of panels passes; the chains wait in g.sums.
  const index_t parts = g.sums ? gemm_parts(g.k) : 1, group = g.sums ? kGroupPanels : 1;
  const index_t most = g.sums || g.k > kDepth ? kRowBlock : kRowBlock * kDepth / g.k, blocks = (m1 - m0 + most - 1) / most;
  for (index_t b = 0; b < blocks; ++b) {
    const index_t block = m0 + (m1 - m0) * b / blocks, m = m0 + (m1 - m0) * (b + 1) / blocks - block;
    const index_t tiles = (m + kTileRows - 1) / kTileRows;
    const index_t pace = (2 * 64 * 4 + tiles - 1) / tiles, step = pace < 64 ? pace : 64;
    for (index_t first = p0; first < p1; first += group) {
      const index_t end = first + group < p1 ? first + group : p1;
      for (index_t part = 0; part < parts; ++part) {
        const index_t k0 = g.k * part / parts, k1 = g.k * (part + 1) / parts;
        for (index_t p = first; p < end; ++p) {
          const index_t slices = last_slice - 4 * p < 4 ? last_slice - 4 * p : 4;
          const float* w = g.w + per_panel * p * panel;
          const bool turns = p + 1 == end && part + 1 < parts;
          const index_t then = turns ? first : p + 1 < p1 ? p + 1 : p + g.stride;
          const index_t then_k = turns ? k1 : p + 1 < end ? k0 : 0;
          const Ahead ahead{then < panels ? g.w + per_panel * then * panel + kSlice * then_k : nullptr, kSlice * g.k,
                            k1 - k0, step};
          for (index_t q = 0; q < tiles; ++q) {
            const index_t at = m * q / tiles, rows = m * (q + 1) / tiles - at;  // sizes differ by at most one
            float* const sums = g.sums ? g.sums + ((p - first) * kRowBlock + at) * kPanel : t;
            TileArgs args{g.a + (block + at) * g.lda, g.lda, w, kSlice * g.k, k0, k1, sums, kPanel, nullptr, 0};
            ahead.tile(q, args);
            const bool done = part + 1 == parts;
            if (done) {
              fetch_rows(g.c + (block + at) * g.ldc + p * kPanel, g.ldc, rows);
              if (g.residual) fetch_rows(g.residual + (block + at) * g.ldr + p * kPanel, g.ldr, rows);
            }
            run_tile(rows, slices, args);
            if (!done) continue;
            if (g.glu) {
              args.w = w + panel, args.t = u, args.ahead += args.step ? 4 * panel : 0;
              run_tile(rows, slices, args);
            }
            if (g.n - p * kPanel >= kPanel)
              epilogue<true>(g, sums, g.glu ? u : nullptr, block + at, rows, p * kPanel);
            else
              epilogue<false>(g, sums, g.glu ? u : nullptr, block + at, rows, p * kPanel);
          }
        }
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
