// Register tiles of A . W^T from slices of W. Included inside an ISA namespace, after its vocabulary of f32x16.
//
// What the 32-bit words mean, a Product knows: a word of W meets kSteps words of A, the last one first; part(p, i) is what
// the i-th of them meets of the sixteen words at p, madd(a, w, c) the multiply-add; kEveryWidth, whether there are tiles of
// two and three slices: without them products whose columns end there are slower.

// Rows x (16 Vecs) of sums, W's slices `stride` words apart: one chain per output, ascending over the words [k0, k1),
// started at 0 or resumed from t. Every step asks for what is `ahead`, `step` bytes further each time: the next panel
// arrives in L2 unnoticed. Asked for faster than it is needed, it would hold the buffers that this panel's lines go through.
// Where there are few rows its slices wait for memory side by side: what comes early must then be of all of them, from their
// first words on, and their own lines are asked for further ahead. TESSERA_OPAQUE keeps the addresses of six rows in
// two registers; left alone, compilers run out of them and reload. Nor may they begin with a second part before the first
// one is done: there are no registers left for its words.
template <class Product, int Rows, int Vecs, Fetch kFetch>
TESSERA_NOINLINE void tile(const float* a, index_t lda, const float* w, index_t stride, index_t k0, index_t k1, float* t,
                           index_t ldt, const char* ahead, index_t step) noexcept {
  constexpr int kSteps = Product::kSteps;
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
  a += kSteps * k0;
  const float* a3 = Rows > 3 ? a + 3 * lda : a;
  TESSERA_OPAQUE(a3);
  constexpr index_t kNear = kFetch == Fetch::line ? 8 : 24;
  constexpr int kAhead = kFetch == Fetch::line ? 1 : kFetch == Fetch::slices ? Vecs : 0;
  for (index_t left = k1 - k0; left > 0; --left) {
    TESSERA_UNROLL
    for (int j = 0; j < kAhead; ++j) prefetch_l2(ahead + j * stride * static_cast<index_t>(sizeof *w));
    ahead += step;
    TESSERA_UNROLL
    for (int j = 0; j < Vecs; ++j) prefetch(w + j * stride + 16 * kNear);
    TESSERA_UNROLL
    for (int p = kSteps - 1; p >= 0; --p) {
      if (p < kSteps - 1) TESSERA_OPAQUE(w);
      f32x16 wv[Vecs];
      TESSERA_UNROLL
      for (int j = 0; j < Vecs; ++j) wv[j] = Product::part(w + j * stride, p);
      TESSERA_UNROLL
      for (int i = 0; i < Rows; ++i) {
        const f32x16 av = set1(i < 3 ? a[i * lda + p] : a3[(i - 3) * lda + p]);
        TESSERA_UNROLL
        for (int j = 0; j < Vecs; ++j) acc[i][j] = Product::madd(av, wv[j], acc[i][j]);
        if (kSteps > 1) pin(acc[i][Vecs - 1], av);
      }
    }
    w += 16;
    a += kSteps, a3 += kSteps;
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

// All tiles by what they ask for, width and rows: called from a table, since calls of each from every place that needs them
// are long.
template <class Product>
struct Tiles {
  using Tile = void (*)(const float* a, index_t lda, const float* w, index_t stride, index_t k0, index_t k1, float* t,
                        index_t ldt, const char* ahead, index_t step) noexcept;
  Tile of[3][kTileVecs][kTileRows];
  constexpr Tiles() : of() {
    fill<Fetch::line, kTileVecs, kTileRows>();
    fill<Fetch::slices, kTileVecs, kTileRows>();
    fill<Fetch::nothing, kTileVecs, kTileRows>();
  }

 private:
  template <Fetch kFetch, int Vecs, int Rows>
  constexpr void fill() {
    if constexpr (Vecs == 1 || Vecs == kTileVecs || Product::kEveryWidth)
      of[static_cast<int>(kFetch)][Vecs - 1][Rows - 1] = tile<Product, Rows, Vecs, kFetch>;
    if constexpr (Rows > 1)
      fill<kFetch, Vecs, Rows - 1>();
    else if constexpr (Vecs > 1)
      fill<kFetch, Vecs - 1, kTileRows>();
  }
};
template <class Product>
inline constexpr Tiles<Product> kTiles;

// rows <= kTileRows rows x `slices` slices into t, a register tile at a time, of sizes that differ by at most one; without
// kEveryWidth whole tiles, then single slices.
template <class Product>
TESSERA_INLINE void run_tile(index_t rows, index_t slices, const TileArgs& g) {
  constexpr index_t kVecs = kTileVecs;
  const index_t whole = slices / kVecs, tiles = Product::kEveryWidth ? (slices + kVecs - 1) / kVecs : whole + slices % kVecs;
  const auto begin = [&](index_t i) {
    return Product::kEveryWidth ? slices * i / tiles : i < whole ? i * kVecs : slices - tiles + i;
  };
  for (index_t i = 0; i < tiles; ++i) {
    const index_t from = begin(i), vecs = begin(i + 1) - from;
    const index_t beyond = g.fetch == Fetch::slices ? from * g.stride * static_cast<index_t>(sizeof *g.w) : 0;
    kTiles<Product>.of[static_cast<int>(g.fetch)][vecs - 1][rows - 1](
        g.a, g.lda, g.w + g.stride * from, g.stride, g.k0, g.k1, g.t + 16 * from, g.ldt, g.ahead + beyond, g.step);
  }
}

// As many chains as a whole tile has, and nothing else: what is added, no compiler knows from one to the next.
template <class Product>
float peak(index_t steps) noexcept {
  alignas(64) float words[2 * kSlice];
  for (float& w : words) w = 0.25f;
  f32x16 acc[kTileRows][kTileVecs], x = load(words), sum = set1(0.0f);
  const f32x16 y = load(words + kSlice);
  TESSERA_UNROLL
  for (int i = 0; i < kTileRows; ++i) {
    TESSERA_UNROLL
    for (int j = 0; j < kTileVecs; ++j) acc[i][j] = sum;
  }
  for (index_t s = 0; s < Product::kSteps * steps; ++s) {
    TESSERA_UNROLL
    for (int i = 0; i < kTileRows; ++i) {
      TESSERA_UNROLL
      for (int j = 0; j < kTileVecs; ++j) {
        opaque(x);
        acc[i][j] = Product::madd(x, y, acc[i][j]);
      }
    }
  }
  TESSERA_UNROLL
  for (int i = 0; i < kTileRows; ++i) {
    TESSERA_UNROLL
    for (int j = 0; j < kTileVecs; ++j) {
      opaque(acc[i][j]);
      sum = add(sum, acc[i][j]);
    }
  }
  return reduce_add(sum);
}
template <class Product>
inline constexpr Peak kPeak{peak<Product>, 2 * kSlice* Product::kTiling.numbers* kTileRows* kTileVecs};
