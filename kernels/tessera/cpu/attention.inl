// out = softmax(scale * Q K^T) V for one head of one sequence, with the tiles of a matrix product for both products.
//
// K and V are packed once into slices; then strips of kTileRows queries keep their scores [rows, tk] in cache: exact row
// maximum, exponentials, sum, product with V, one division. No online rescaling, so the bits depend on the row alone.
// Included inside an ISA namespace, after gemm.inl and bf16.inl.

TESSERA_INLINE index_t round16(index_t n) { return (n + 15) / 16 * 16; }

// Where the parts of attention()'s scratch begin, in floats. Words are the product's: floats, or pairs of bf16.
struct AttentionRoom {
  index_t words_d, words_tk;          // of a query or key, of a row of scores
  index_t ld, ldt, ld_query, ld_row;  // of scores, of sums, of a rounded query and a rounded row of scores
  index_t ld_position;                // of products with a table of places
  index_t values, scores, sums, queries, rows, word, position_table, by_query, by_key, end;

  AttentionRoom(const Tiling& how, index_t tk, index_t d, index_t dv, index_t position_rows)
      : words_d((d + how.numbers - 1) / how.numbers),
        words_tk((tk + how.numbers - 1) / how.numbers),
        ld(round16(tk) + 16),
        ldt(round16(dv)),
        ld_query(how.round_row ? how.row_ld(d) : 0),
        ld_row(how.round_row ? how.row_ld(tk) : 0),
        ld_position(position_rows > 0 ? round16(position_rows) + 16 : 0) {
    values = round16(tk) * words_d * how.lines;
    scores = values + ldt * words_tk * how.lines;
    sums = scores + kTileRows * ld;
    queries = sums + kTileRows * ldt;
    rows = queries + round16(kTileRows * ld_query);
    word = rows + round16(kTileRows * ld_row);
    position_table = word + (how.numbers > 1 ? ldt * how.lines : 0);
    by_query = position_table + round16(position_rows) * words_d * how.lines;
    by_key = by_query + kTileRows * ld_position;
    end = by_key + tk * ld_position;
  }
};

template <class Product>
index_t attention_scratch(index_t tk, index_t d, index_t dv, index_t position_rows) noexcept {
  return AttentionRoom(Product::kTiling, tk, d, dv, position_rows).end;
}

// K [tk, d] to slices.
inline void pack_keys(const Tiling& how, const float* k, index_t ldk, index_t tk, index_t d, float* dst) noexcept {
  const index_t slices = (tk + kSlice - 1) / kSlice, words = (d + how.numbers - 1) / how.numbers;
  if (how.lines == 1) return (how.numbers == 2 ? pack_bf16 : pack)(k, ldk, tk, d, 0, slices, dst);
  for (index_t s = 0; s < slices; ++s, dst += kSlice * how.lines * words) {
    float* const narrow = dst + kSlice * (how.lines - 1) * words;
    pack_bf16(k + s * kSlice * ldk, ldk, tk - s * kSlice, d, 0, 1, narrow);
    how.widen(narrow, words, dst);
  }
}

// V [tk, dv] to slices [dv / 16][words of tk][lines][16], channels beyond dv and a last key's missing partner zero. By rows:
// they lie pages apart.
inline void pack_values(const Tiling& how, const float* v, index_t ldv, index_t tk, index_t dv, float* dst) noexcept {
  const index_t numbers = how.numbers, words = (tk + numbers - 1) / numbers, line = kSlice * how.lines;
  for (index_t i = 0; i < words; ++i)
    for (index_t j = 0; j < dv; j += 16) {
      const float* const from = v + i * numbers * ldv + j;
      float* const to = dst + line * i + how.lines * words * j;
      const f32x16 one = load_n(from, dv - j, 0.0f);
      if (numbers == 1) {
        store(to, one);
        continue;
      }
      const f32x16 first = round_bf16(one),
                   second = round_bf16(2 * i + 1 < tk ? load_n(from + ldv, dv - j, 0.0f) : set1(0.0f));
      if (how.lines == 1)
        store(to, pairs_of(first, second));
      else
        store(to, second), store(to + kSlice, first);
    }
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

// s[lo, hi) becomes s * scale + the bias of each key's distance.
TESSERA_INLINE void add_bias(const AttentionArgs& g, index_t own, index_t lo, index_t hi, float scale, float* s) {
  const f32x16 factor = set1(scale);
  float gathered[16] = {};
  for (index_t j = lo; j < hi; j += 16) {
    const index_t n = hi - j < 16 ? hi - j : 16;
    const float* bias = gathered;
    if (!g.places)
      bias = g.by_distance + (j - own);
    else
      for (index_t i = 0; i < n; ++i) gathered[i] = g.by_distance[g.places[j + i] - g.places[own]];
    store_n(s + j, n, fma(load_n(s + j, n, 0.0f), factor, load_n(bias, n, 0.0f)));
  }
}

// Rows of a table of places that the distances of this sequence name: [first, first + count).
struct PositionRows {
  index_t first = 0, count = 0;

  explicit PositionRows(const AttentionArgs& g) {
    if (!g.row_of || g.tq < 1 || g.tk < 1) return;
    const index_t apart = g.places ? index_t{g.places[g.tk - 1]} - g.places[0] : 0;
    const index_t before = g.places ? apart : g.tk - 1, after = g.places ? apart : g.tq - 1;
    first = g.row_of[0];
    index_t last = first;
    for (index_t d = -before; d <= after; ++d) {
      const index_t row = g.row_of[d];
      first = row < first ? row : first;
      last = row > last ? row : last;
    }
    count = last + 1 - first;
  }
};

// Rows of A as the product takes them, rounded into `room` where it rounds.
struct ProductRows {
  const float* a;
  index_t lda;
  ProductRows(const Tiling& how, const float* from, index_t ld, index_t rows, index_t k, float* room, index_t ld_room)
      : a(how.round_row ? room : from), lda(how.round_row ? ld_room : ld) {
    for (index_t i = 0; how.round_row && i < rows; ++i) how.round_row(from + i * ld, k, room + i * ld_room, 0);
  }
};

// by_key[j] = the products of key j and the rows of position_queries, for all keys.
inline void multiply_keys(const Tiling& how, const AttentionArgs& g, const PositionRows& at, const AttentionRoom& room,
                          float* scratch) noexcept {
  float* const table = scratch + room.position_table;
  pack_keys(how, g.position_queries + at.first * g.ld_position_queries, g.ld_position_queries, at.count, g.d, table);
  for (index_t j = 0; j < g.tk; j += kTileRows) {
    const index_t rows = g.tk - j < kTileRows ? g.tk - j : kTileRows;
    const ProductRows keys(how, g.k + j * g.ldk, g.ldk, rows, g.d, scratch + room.queries, room.ld_query);
    float* const to = scratch + room.by_key + j * room.ld_position;
    how.tiles(rows, (at.count + 15) / 16,
              {keys.a, keys.lda, table, kSlice * how.lines * room.words_d, 0, how.lines * room.words_d, to, room.ld_position,
               reinterpret_cast<const char*>(to), 0});
  }
}

// s[lo, hi) plus what a query and the places of keys give together (by_query, of this query), and what these keys and its
// place do (by_key, of all). Either may be null.
TESSERA_INLINE void add_positions(const AttentionArgs& g, index_t own, index_t lo, index_t hi, index_t first,
                                  const float* by_query, const float* by_key, index_t ld, float* s) {
  float of_query[16] = {}, of_key[16] = {};
  for (index_t j = lo; j < hi; j += 16) {
    const index_t n = hi - j < 16 ? hi - j : 16;
    for (index_t i = 0; i < n; ++i) {
      const index_t apart = g.places ? index_t{g.places[j + i]} - g.places[own] : j + i - own;
      const index_t row = g.row_of[apart] - first;
      if (by_query) of_query[i] = by_query[row];
      if (by_key) of_key[i] = by_key[(j + i) * ld + row];
    }
    f32x16 v = load_n(s + j, n, 0.0f);
    if (by_query) v = add(v, load(of_query));
    if (by_key) v = add(v, load(of_key));
    store_n(s + j, n, v);
  }
}

// s[lo, hi) becomes cap * tanh(s * scale / cap).
TESSERA_INLINE void cap_scores(index_t lo, index_t hi, float scale, float cap, float* s) {
  const f32x16 factor = set1(scale), most = set1(cap);
  for (index_t j = lo; j < hi; j += 16)
    store_n(s + j, hi - j, mul(tanh(div(mul(load_n(s + j, hi - j, 0.0f), factor), most)), most));
}

// The first key in [0, n) that stands at `place` or behind it.
TESSERA_INLINE index_t first_at(const std::int32_t* places, index_t n, index_t place) {
  index_t a = 0;
  while (a < n) {
    const index_t middle = a + (n - a) / 2;
    if (places[middle] < place)
      a = middle + 1;
    else
      n = middle;
  }
  return a;
}

// Keys [lo, hi) that the query in the place of key `own` sees.
TESSERA_INLINE void keys_of(const AttentionArgs& g, index_t own, index_t& lo, index_t& hi) {
  lo = 0, hi = g.tk;
  if (g.places) {
    if (g.window_left >= 0) lo = first_at(g.places, g.tk, g.places[own] - g.window_left);
    if (g.window_right >= 0) hi = first_at(g.places, g.tk, g.places[own] + g.window_right + 1);
  } else {
    if (g.window_left >= 0 && own - g.window_left > 0) lo = own - g.window_left;
    if (g.window_right >= 0 && own + g.window_right + 1 < g.tk) hi = own + g.window_right + 1;
  }
  if (g.causal && own + 1 < hi) hi = own + 1;
  if (hi < lo || lo >= g.tk) lo = hi = 0;
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

// One row of scores by keys [lo, hi) of V, onto what its sums hold. A key outside is not multiplied by 0 but left out, also
// where it shares a word with one inside: an infinity there must not become a NaN here.
struct RowTimesValues {
  const Tiling& how;
  const TileArgs& args;  // of the row, by whole words
  index_t slices, tk;
  float* word;  // [slices][16]: a word of V one half of which is 0

  void add(index_t lo, index_t hi) const {
    const index_t n = how.numbers, begin = (lo + n - 1) / n, end = hi == tk ? (tk + n - 1) / n : hi / n;
    if (lo % n != 0) half(begin - 1, false);
    if (begin < end) {
      TileArgs g = args;
      g.k0 = how.lines * begin, g.k1 = how.lines * end;
      how.tiles(1, slices, g);
    }
    if (hi % n != 0 && hi < tk) half(end, true);
  }
  void half(index_t k, bool first) const {
    const f32x16 none = set1(0.0f);
    const index_t line = kSlice * how.lines;
    for (index_t j = 0; j < slices; ++j) {
      const float* const both = args.w + args.stride * j + line * k;
      float* const to = word + line * j;
      if (how.lines == 1)
        store(to, first ? pairs_of(first_of_pairs(load(both)), none) : pairs_of(none, second_of_pairs(load(both))));
      else
        store(to, first ? none : load(both)), store(to + kSlice, first ? load(both + kSlice) : none);
    }
    TileArgs g = args;
    g.w = word - line * k, g.stride = line, g.k0 = how.lines * k, g.k1 = how.lines * (k + 1);
    how.tiles(1, slices, g);
  }
};

inline void attend(const Tiling& how, const AttentionArgs& g, index_t q0, index_t q1, float* scratch) noexcept {
  const AttentionRoom room(how, g.tk, g.d, g.dv, g.position_rows);
  const index_t slices_v = (g.dv + 15) / 16, line = kSlice * how.lines, ld = room.ld, ldt = room.ldt;
  const float scale = g.scale != 0.0f ? g.scale : 1.0f / sqrt1(static_cast<float>(g.d));
  float *const keys = scratch, *const values = scratch + room.values, *const s = scratch + room.scores;
  float *const t = scratch + room.sums, *const queries = scratch + room.queries, *const rounded = scratch + room.rows;
  pack_keys(how, g.k, g.ldk, g.tk, g.d, keys);
  pack_values(how, g.v, g.ldv, g.tk, g.dv, values);
  const char* idle = reinterpret_cast<const char*>(t);
  const PositionRows at(g);
  float *const position_keys = scratch + room.position_table, *const by_query = scratch + room.by_query;
  const float* const by_key = scratch + room.by_key;
  if (g.position_queries) multiply_keys(how, g, at, room, scratch);
  if (g.position_keys)
    pack_keys(how, g.position_keys + at.first * g.ld_position_keys, g.ld_position_keys, at.count, g.d, position_keys);
  const index_t strips = (q1 - q0 + kTileRows - 1) / kTileRows, shift = g.tk - g.tq;
  for (index_t z = 0; z < strips; ++z) {
    const index_t q = q0 + (q1 - q0) * z / strips, rows = q0 + (q1 - q0) * (z + 1) / strips - q;
    // Keys [lo, hi) that row i sees; `from` and `common` bound what all rows of the strip share, `any` what one sees.
    index_t lo[kTileRows], hi[kTileRows], from = 0, common = g.tk, any = 0;
    for (index_t i = 0; i < rows; ++i) {
      keys_of(g, q + i + shift, lo[i], hi[i]);
      from = from > lo[i] ? from : lo[i];
      common = common < hi[i] ? common : hi[i];
      any = any > hi[i] ? any : hi[i];
    }
    const bool rounds = how.round_row != nullptr;
    const ProductRows asked(how, g.q + q * g.ldq, g.ldq, rows, g.d, queries, room.ld_query);
    TileArgs by_keys{asked.a, asked.lda, keys, line * room.words_d, 0, how.lines * room.words_d, s, ld, idle, 0};
    how.tiles(rows, (any + 15) / 16, by_keys);
    if (g.position_keys) {
      by_keys.w = position_keys, by_keys.t = by_query, by_keys.ldt = room.ld_position;
      how.tiles(rows, (at.count + 15) / 16, by_keys);
    }
    for (index_t i = 0; g.row_of && i < rows; ++i)
      add_positions(g, q + i + shift, lo[i], hi[i], at.first, g.position_keys ? by_query + i * room.ld_position : nullptr,
                    g.position_queries ? by_key : nullptr, room.ld_position, s + i * ld);
    // All maxima, then all exponentials: rows do not wait for one another's reductions.
    float top[kTileRows], sum[kTileRows];
    const bool capped = g.softcap != 0.0f;
    for (index_t i = 0; capped && i < rows; ++i) cap_scores(lo[i], hi[i], scale, g.softcap, s + i * ld);
    const float left = capped ? 1.0f : scale, rest = g.by_distance ? 1.0f : left;
    for (index_t i = 0; g.by_distance && i < rows; ++i) add_bias(g, q + i + shift, lo[i], hi[i], left, s + i * ld);
    for (index_t i = 0; i < rows; ++i) top[i] = hi[i] > lo[i] ? row_maximum(s + i * ld, lo[i], hi[i]) : 0.0f;
    for (index_t i = 0; i < rows; ++i) {
      sum[i] = 0.0f;
      if (hi[i] <= lo[i]) continue;
      sum[i] = g.key_weights ? exponentials<true>(s + i * ld, lo[i], hi[i], top[i], rest, g.key_weights)
                             : exponentials<false>(s + i * ld, lo[i], hi[i], top[i], rest, nullptr);
      if (rounds) how.round_row(s + i * ld, hi[i], rounded + i * room.ld_row, 0);
    }
    TileArgs by_values{rounds ? rounded : s, rounds ? room.ld_row : ld, values, line * room.words_tk, 0, 0, t, ldt, idle, 0};
    // What all rows see at once, as far as it goes from key 0 in whole words; then what each sees beyond.
    const index_t shared = from > 0 ? 0 : common == g.tk ? room.words_tk : common / how.numbers;
    by_values.k1 = how.lines * shared;
    how.tiles(rows, slices_v, by_values);
    for (index_t i = 0; i < rows; ++i, by_values.a += by_values.lda, by_values.t += ldt)
      if (const index_t done = shared > 0 ? shared * how.numbers : lo[i]; done < hi[i])
        RowTimesValues{how, by_values, slices_v, g.tk, scratch + room.word}.add(done, hi[i]);
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

template <class Product>
void attention_head(const AttentionArgs& g, index_t q0, index_t q1, float* scratch) noexcept {
  attend(Product::kTiling, g, q0, q1, scratch);
}
