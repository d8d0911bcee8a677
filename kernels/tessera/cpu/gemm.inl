// C = epilogue(A . W^T) over packed slices. Included inside an ISA namespace.

// Rows x (16 Vecs) of A . W^T from slices of W, `stride` numbers apart: one FMA chain per output, k ascending, started at 0
// or resumed from t. Every step asks for the line at `ahead`, `step` bytes further each time: the next panel arrives in L2
// unnoticed. Asked for faster than it is needed, it would hold the buffers that this panel's lines go through.
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
  for (index_t left = k1 - k0; left > 0; --left) {
    f32x16 wv[Vecs];
    prefetch_l2(ahead);
    ahead += step;
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
    w += 16;
    ++a, ++a3;
  }
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

// rows <= kTileRows rows x `slices` slices into t, a register tile at a time, of sizes that differ by at most one.
TESSERA_INLINE void run_tile(index_t rows, index_t slices, TileArgs g) {
  const index_t tiles = (slices + kTileVecs - 1) / kTileVecs;
  for (index_t i = 0; i < tiles; ++i) {
    const index_t vecs = slices * (i + 1) / tiles - slices * i / tiles;
    run_vecs<kTileVecs>(rows, vecs, g);
    g.w += g.stride * vecs;
    g.t += 16 * vecs;
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

// What stays while the rows of a block pass: part [k0, k1) of k of one panel.
struct Pass {
  index_t block, rows;  // rows [block, block + rows) of A
  index_t panel, k0, k1;
  float* sums;        // [rows, 64] where the chains wait between parts, or null: k is whole
  const float* next;  // the weights of the pass to come, or null
};

inline void gemm_pass(const GemmArgs& g, const Pass& pass) noexcept {
  alignas(64) float t[kTileRows * kPanel], u[kTileRows * kPanel];
  const index_t p = pass.panel, column = p * kPanel, size = kPanel * g.k, depth = pass.k1 - pass.k0;
  const index_t slices = g.n - column < kPanel ? (g.n - column + kSlice - 1) / kSlice : kPanel / kSlice;
  const float* const w = g.w + (g.glu ? 2 : 1) * p * size;
  const index_t tiles = (pass.rows + kTileRows - 1) / kTileRows;
  // The lines of the next pass, 4 a step of k, are asked for evenly over the tiles: so many bytes further each time.
  const index_t even = (4 * 64 + tiles - 1) / tiles, step = even < 64 ? even : 64;
  for (index_t q = 0; q < tiles; ++q) {
    const index_t at = pass.rows * q / tiles, rows = pass.rows * (q + 1) / tiles - at;  // sizes differ by at most one
    const index_t row = pass.block + at, from = q * depth * step, slice = from / (depth * 64);
    float* const sums = pass.sums ? pass.sums + at * kPanel : t;
    const bool fetches = pass.next && slice < 4, last = pass.k1 == g.k;
    TileArgs args{g.a + row * g.lda, g.lda, w, kSlice * g.k, pass.k0, pass.k1, sums, kPanel, nullptr, fetches ? step : 0};
    args.ahead =
        reinterpret_cast<const char*>(fetches ? pass.next + slice * args.stride : t) + (fetches ? from % (depth * 64) : 0);
    if (last) {
      fetch_rows(g.c + row * g.ldc + column, g.ldc, rows);
      if (g.residual) fetch_rows(g.residual + row * g.ldr + column, g.ldr, rows);
    }
    run_tile(rows, slices, args);
    if (!last) continue;
    if (g.glu) {
      args.w = w + size, args.t = u, args.ahead += fetches ? 4 * size : 0;
      run_tile(rows, slices, args);
    }
    if (g.n - column >= kPanel)
      epilogue<true>(g, sums, g.glu ? u : nullptr, row, rows, column);
    else
      epilogue<false>(g, sums, g.glu ? u : nullptr, row, rows, column);
  }
}

inline void gemm(const GemmArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) noexcept {
  const index_t panels = (g.n + kPanel - 1) / kPanel, size = (g.glu ? 2 : 1) * kPanel * g.k;
  // A part of k of all rows of a block stays in L2 while a group of panels passes.
  const index_t parts = g.sums ? (g.k + kDepth - 1) / kDepth : 1, group = g.sums ? kGroupPanels : 1;
  const index_t most = g.k > kDepth ? kRowBlock : kRowBlock * kDepth / g.k, blocks = (m1 - m0 + most - 1) / most;
  for (index_t b = 0; b < blocks; ++b) {
    const index_t block = m0 + (m1 - m0) * b / blocks, rows = m0 + (m1 - m0) * (b + 1) / blocks - block;
    for (index_t first = p0; first < p1; first += group) {
      const index_t end = first + group < p1 ? first + group : p1;
      for (index_t part = 0; part < parts; ++part) {
        const index_t k0 = g.k * part / parts, k1 = g.k * (part + 1) / parts;
        for (index_t p = first; p < end; ++p) {
          const bool more_panels = p + 1 < end, more_parts = part + 1 < parts;
          const index_t then = more_panels || !more_parts ? (p + 1 < p1 ? p + 1 : p + g.stride) : first;
          const index_t then_k = more_panels ? k0 : more_parts ? k1 : 0;
          gemm_pass(g, {block, rows, p, k0, k1, g.sums ? g.sums + (p - first) * kRowBlock * kPanel : nullptr,
                        then < panels ? g.w + then * size + kSlice * then_k : nullptr});
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
