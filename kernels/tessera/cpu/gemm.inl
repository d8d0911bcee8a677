// C = epilogue(A . W^T) over packed slices. Included inside an ISA namespace, after tile.inl.
//
// A Product has here a Tiling, whose tiles() are run_tile<Product>() or the like, of its own instruction set.

struct Float32 {
  static constexpr int kSteps = 1;
  static constexpr bool kEveryWidth = true;
  TESSERA_INLINE static f32x16 part(const float* p, int) { return load(p); }
  TESSERA_INLINE static f32x16 madd(f32x16 a, f32x16 w, f32x16 c) { return fma(a, w, c); }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) { run_tile<Float32>(rows, slices, g); }
  static constexpr Tiling kTiling{.numbers = 1, .rows = kTileRows, .tiles = tiles};
};

// Sums of integers t [rows, 64] become floats: less what the zeros of A's rows add, with what their outliers lack, times
// both scales. `heads`: of the panel's slices, `words` a row of W.
TESSERA_NOINLINE void to_floats(float* t, index_t rows, index_t slices, const RowRounding* of, const float* heads,
                                index_t words) noexcept {
  for (index_t i = 0; i < rows; ++i) {
    if (of[i].excess == 0) continue;
    const float* const outlier = heads + kSlice * (kInt8Head + of[i].outlier / 4);
    for (index_t j = 0; j < slices; ++j) {
      float* const at = t + kPanel * i + kSlice * j;
      const f32x16 w = byte_of(load(outlier + kSlice * words * j), of[i].outlier % 4);
      store(at, add_product(load(at), of[i].excess, w));
    }
  }
  for (index_t j = 0; j < slices; ++j, heads += kSlice * words) {
    const f32x16 sum = load(heads + kSlice * kInt8Sum), scale = load(heads + kSlice * kInt8Scale);
    for (index_t i = 0; i < rows; ++i) {
      float* const at = t + kPanel * i + kSlice * j;
      store(at, mul(to_float(add_product(load(at), -of[i].zero, sum)), mul(set1(of[i].scale), scale)));
    }
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

// Columns `column` + the bits of `found` go into the list of row r while score(bit) reaches its floor.
template <class Score>
TESSERA_INLINE void keep_found(const Selection& to, index_t r, std::uint64_t found, index_t column, const Score& score) {
  for (; found != 0; found &= found - 1) {
    const int j = __builtin_ctzll(found);
    if (to.counts[r] == to.limits[r]) to.shrink(to, r);
    if (const float s = score(j); s >= to.floors[r])
      to.keys[r * to.capacity + to.counts[r]++] = selection_key(s, to.ids ? index_t{to.ids[column + j]} : column + j);
  }
}

// Of a tile of products t [rows, 64] those that reach their rows' floors go into the rows' lists.
TESSERA_NOINLINE void select(const GemmArgs& g, float* t, index_t row, index_t rows, index_t column) noexcept {
  const Selection& to = *g.selection;
  const index_t width = g.n - column < kPanel ? g.n - column : kPanel;
  std::uint64_t open = width == kPanel ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1;
  if (to.allowed) open &= to.allowed[column / kPanel];
  for (index_t i = 0; i < rows; ++i) {
    float* const x = t + kPanel * i;
    const index_t r = row + i;
    const f32x16 floor = set1(to.floors[r]);
    std::uint64_t found = 0;
    for (index_t j = 0; j < width; j += 16) {
      f32x16 v = load(x + j);
      if (to.slack) v = add(v, mul(set1(to.slack[r]), load_n(to.slack_of + column + j, width - j, 0.0f)));
      if (g.bias) v = add(v, load_n(g.bias + column + j, width - j, 0.0f));
      if (g.channel_scale) v = mul(v, load_n(g.channel_scale + column + j, width - j, 0.0f));
      store(x + j, v);
      found |= static_cast<std::uint64_t>(not_less(v, floor)) << j;
    }
    keep_found(to, r, found & open, column, [x](int j) { return x[j]; });
  }
}

// The largest of x[0, n), but not below `most`. NaN is passed over.
TESSERA_INLINE float largest(const float* x, index_t n, float most) {
  f32x16 top = set1(most);
  index_t j = 0;
  for (; j + 16 <= n; j += 16) top = max(load(x + j), top);
  if (j < n) top = max(load_n(x + j, n - j, most), top);
  return reduce_max(top);
}

// Of a tile of products t [rows, 64] the largest ones of the groups that it takes part in.
TESSERA_NOINLINE void take_maxima(const GemmArgs& g, const float* t, index_t row, index_t rows, index_t column) noexcept {
  const GroupMaxima& to = *g.maxima;
  const index_t end = column + kPanel;
  index_t first = 0;  // the first group that ends behind this tile's first column
  for (index_t past = to.groups; first < past;) {
    const index_t middle = first + (past - first) / 2;
    if (to.begins[middle + 1] > column)
      past = middle;
    else
      first = middle + 1;
  }
  for (index_t group = first; group < to.groups && to.begins[group] < end; ++group) {
    const index_t begin = to.begins[group], from = begin > column ? begin : column;
    const index_t until = to.begins[group + 1] < end ? to.begins[group + 1] : end;
    for (index_t i = 0; i < rows && from < until; ++i) {
      const float* const x = t + kPanel * i + (from - column);
      float& most = to.most[(row + i) * to.groups + group];
      const float found = largest(x, until - from, most);
      if (to.place && found > most) {
        index_t j = 0;
        while (x[j] != found) ++j;
        to.place[(row + i) * to.place_ld + group] = static_cast<std::int32_t>(from - begin + j);
      }
      most = found;
    }
  }
}

// The epilogue's lines arrive while the tile is computed.
template <bool ToWrite>
TESSERA_INLINE void fetch_rows(const float* p, index_t ld, index_t rows) {
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < kPanel; j += 16) ToWrite ? prefetch_to_write(p + i * ld + j) : prefetch(p + i * ld + j);
}

// Columns of a panel of int8 that have an outlier. The panel may come from a file: no number of it makes this read
// elsewhere.
struct Outliers {
  struct Of {
    index_t column;
    std::int32_t excess, place;
  } of[kPanel];
  index_t count = 0;

  Outliers(const float* heads, index_t slices, index_t words) {
    for (index_t s = 0; s < slices; ++s, heads += kSlice * words)
      for (index_t j = 0; j < kSlice; ++j) {
        Of o{kSlice * s + j, 0, 0};
        __builtin_memcpy(&o.excess, heads + kSlice * kInt8Excess + j, sizeof o.excess);
        if (o.excess == 0) continue;
        __builtin_memcpy(&o.place, heads + kSlice * kInt8Outlier + j, sizeof o.place);
        if (o.place >= 0 && o.place < 4 * (words - kInt8Head)) of[count++] = o;
      }
  }
  // To the sums t of so many rows of A.
  void add_to(float* t, const Tiling& how, const TileRows& a, index_t begin, index_t rows) const {
    for (index_t i = 0; i < rows; ++i)
      for (index_t c = 0; c < count; ++c) {
        const RowRounding& r = a.rounding[begin + i];
        const std::int32_t apart = r.outlier == of[c].place ? r.excess : 0;
        float* const at = t + i * kPanel + of[c].column;
        std::uint32_t sum;
        __builtin_memcpy(&sum, at, sizeof sum);
        sum += static_cast<std::uint32_t>(of[c].excess) *
               static_cast<std::uint32_t>(how.number_at(a, begin + i, of[c].place) - r.zero + apart);
        __builtin_memcpy(at, &sum, sizeof sum);
      }
  }
};

// What stays while the rows of a block pass: the words [k0, k1) of one panel.
struct Pass {
  TileRows a;           // of the block
  index_t block, rows;  // rows [block, block + rows) of A and C
  index_t words;        // of a row of W, with the head
  index_t panel, k0, k1;
  bool last;          // k1 is where k ends
  float* sums;        // [rows, 64] where the chains wait between parts, or null: a row is whole
  const float* next;  // the weights of the pass to come, or null
};

inline void gemm_pass(const Tiling& how, const GemmArgs& g, const Pass& pass) noexcept {
  if (g.selection && g.selection->allowed && g.selection->allowed[pass.panel] == 0) return;
  alignas(64) float t[kMostTileRows * kPanel], u[kMostTileRows * kPanel];
  const index_t p = pass.panel, column = p * kPanel, size = kPanel * pass.words, depth = pass.k1 - pass.k0;
  const index_t slices = g.n - column < kPanel ? (g.n - column + kSlice - 1) / kSlice : kPanel / kSlice;
  const float *const heads = g.w + (g.glu ? 2 : 1) * p * size, *const words = heads + how.head * kSlice;
  // What tiles take: the panel as it is, or its part, taken apart.
  const index_t stride = kSlice * pass.words, tile_stride = how.widen ? kSlice * how.lines * depth : stride;
  const auto panel_of = [&](const float* w, float* to) {
    if (!how.widen) return w;
    for (index_t j = 0; j < slices; ++j) how.widen(w + j * stride + kSlice * pass.k0, depth, to + j * tile_stride);
    return static_cast<const float*>(to) - kSlice * how.lines * pass.k0;
  };
  float* const room = how.widen ? g.rows->wide : nullptr;
  const float* const w = panel_of(words, room);
  const float* const up = g.glu ? panel_of(words + size, room + (room ? kPanel * how.lines * depth : 0)) : nullptr;
  const bool integers = how.head > 0 && pass.last;
  const Outliers outliers(heads, integers ? slices : 0, pass.words),
      up_outliers(heads + size, integers && g.glu ? slices : 0, pass.words);
  const index_t tiles = (pass.rows + how.rows - 1) / how.rows;
  // The lines of the next pass, 4 a step of k, are asked for evenly over the tiles: so many bytes further each time. Of so
  // few rows that one a step is not enough, by all slices at once; a tile alone has no time for more than its own.
  const bool few = tiles < 4 && how.rows <= kTileRows && !how.widen;
  const index_t even = (4 * 64 + tiles - 1) / tiles;
  const index_t step = few ? (tiles > 1 ? 64 / tiles : 0) : (even < 64 ? even : 64) / how.lines * how.lines;
  for (index_t q = 0; q < tiles; ++q) {
    const auto begin = [&](index_t i) {  // evenly: sizes differ by at most one
      return how.balanced ? pass.rows * i / tiles : i < tiles ? i * how.rows : pass.rows;
    };
    const index_t at = begin(q), rows = begin(q + 1) - at;
    const index_t row = pass.block + at, from = q * depth * step, slice = from / (depth * 64);
    float* const sums = pass.sums ? pass.sums + at * kPanel : t;
    const bool fetches = pass.next && slice < 4, last = pass.last;
    TileArgs args{pass.a.data + at * pass.a.ld, pass.a.ld, w,      tile_stride, how.lines * pass.k0,
                  how.lines * pass.k1,          sums,      kPanel, nullptr,     fetches ? step / how.lines : 0};
    if (few) args.fetch = fetches && tiles > 1 ? Fetch::slices : Fetch::nothing;
    args.ahead =
        reinterpret_cast<const char*>(fetches ? pass.next + slice * stride : t) + (fetches ? from % (depth * 64) : 0);
    if (last && g.c) {
      fetch_rows<true>(g.c + row * g.ldc + column, g.ldc, rows);
      if (g.residual && g.residual != g.c) fetch_rows<false>(g.residual + row * g.ldr + column, g.ldr, rows);
    }
    how.tiles(rows, slices, args);
    if (!last) continue;
    if (g.glu) {
      args.w = up, args.t = u, args.ahead += fetches ? 4 * size : 0;
      how.tiles(rows, slices, args);
    }
    if (how.head > 0) {
      const RowRounding* const of = pass.a.rounding + at;
      if (outliers.count > 0) outliers.add_to(sums, how, pass.a, at, rows);
      to_floats(sums, rows, slices, of, heads, pass.words);
      if (up_outliers.count > 0) up_outliers.add_to(u, how, pass.a, at, rows);
      if (g.glu) to_floats(u, rows, slices, of, heads + size, pass.words);
    }
    if (g.selection)
      select(g, sums, row, rows, column);
    else if (g.maxima)
      take_maxima(g, sums, row, rows, column);
    else if (g.n - column >= kPanel)
      epilogue<true>(g, sums, g.glu ? u : nullptr, row, rows, column);
    else
      epilogue<false>(g, sums, g.glu ? u : nullptr, row, rows, column);
  }
}

// Rows [begin, end) of A, rounded unless they are those of the call before.
inline TileRows rounded_rows(const Tiling& how, const GemmArgs& g, index_t begin, index_t end) {
  RoundedRows& to = *g.rows;
  const index_t ld = how.row_ld(g.k);
  if (to.begin != begin || to.end != end)
    for (index_t r = begin; r < end; ++r) to.rounding[r - begin] = how.round_row(g.a + r * g.lda, g.k, to.data, r - begin);
  to.begin = begin, to.end = end;
  return {to.data, ld, to.rounding};
}

inline void multiply(const Tiling& given, const GemmArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) noexcept {
  const index_t k = (g.k + given.numbers - 1) / given.numbers, words = g.row_words > 0 ? g.row_words : k + given.head;
  const index_t panels = (g.n + kPanel - 1) / kPanel, size = (g.glu ? 2 : 1) * kPanel * words;
  // A part of k of all rows of a block stays in L2 while a group of panels passes.
  const index_t parts = g.sums ? (k + kDepth - 1) / kDepth : 1, group = g.sums ? kGroupPanels : 1;
  const index_t most = rows_of_block(k), blocks = (m1 - m0 + most - 1) / most;
  if (given.begin) given.begin();
  for (index_t b = 0; b < blocks; ++b) {
    const index_t block = m0 + (m1 - m0) * b / blocks, rows = m0 + (m1 - m0) * (b + 1) / blocks - block;
    const bool widens = given.wide && rows >= kWidenRows && (k + parts - 1) / parts <= g.rows->wide_words;
    const Tiling& how = widens ? *given.wide : given;
    const TileRows a =
        how.round_row ? rounded_rows(how, g, block, block + rows) : TileRows{g.a + block * g.lda, g.lda, nullptr};
    for (index_t first = p0; first < p1; first += group) {
      const index_t end = first + group < p1 ? first + group : p1;
      for (index_t part = 0; part < parts; ++part) {
        const auto begin = [&](index_t i) { return i < parts ? k * i / parts / how.align * how.align : k; };
        const index_t k0 = begin(part), k1 = begin(part + 1);
        for (index_t p = first; p < end; ++p) {
          const bool more_panels = p + 1 < end, more_parts = part + 1 < parts;
          const index_t then = more_panels || !more_parts ? (p + 1 < p1 ? p + 1 : p + g.stride) : first;
          const index_t then_k = more_panels ? k0 : more_parts ? k1 : 0;
          gemm_pass(how, g,
                    {a, block, rows, words, p, k0, k1, k1 == k, g.sums ? g.sums + (p - first) * kRowBlock * kPanel : nullptr,
                     then < panels ? g.w + then * size + kSlice * (how.head + then_k) : nullptr});
        }
      }
    }
  }
  if (given.end) given.end();
}

template <class Product>
void gemm(const GemmArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) noexcept {
  multiply(Product::kTiling, g, m0, m1, p0, p1);
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
    run_tile<Float32>(kTileRows, 4, {a, lda, w, kSlice * k, 0, k, t, kPanel, reinterpret_cast<const char*>(t), 0});
}
