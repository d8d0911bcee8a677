// Rotary positions. Included inside an ISA namespace.

// Both products are rounded before they are added, as frameworks without a fused kernel do it.
TESSERA_INLINE void turn(f32x16& a, f32x16& b, f32x16 c, f32x16 s) {
  const f32x16 turned = sub(mul(a, c), mul(b, s));
  b = add(mul(b, c), mul(a, s));
  a = turned;
}

inline void rotate(const RotaryArgs& g, index_t t0, index_t t1) noexcept {
  for (index_t t = t0; t < t1; ++t) {
    const index_t place = g.places ? g.places[t] : t;
    if (place < 0) continue;
    for (index_t j = 0; j < g.half; j += 16) {
      const index_t n = g.half - j < 16 ? g.half - j : 16;
      const f32x16 c = load_n(g.cos + place * g.ld_cos + j, n, 0.0f), s = load_n(g.sin + place * g.ld_sin + j, n, 0.0f);
      for (index_t h = 0; h < g.heads; ++h) {
        float* x = g.x + t * g.ldx + h * g.ld_head;
        if (!g.adjacent) {
          f32x16 a = load_n(x + j, n, 0.0f), b = load_n(x + g.half + j, n, 0.0f);
          turn(a, b, c, s);
          store_n(x + j, n, a), store_n(x + g.half + j, n, b);
          continue;
        }
        float* pairs = x + 2 * j;  // apart and together by single numbers: no encoder here has pairs of this kind
        float first[16] = {}, second[16] = {};
        for (index_t i = 0; i < n; ++i) first[i] = pairs[2 * i], second[i] = pairs[2 * i + 1];
        f32x16 a = load(first), b = load(second);
        turn(a, b, c, s);
        store(first, a), store(second, b);
        for (index_t i = 0; i < n; ++i) pairs[2 * i] = first[i], pairs[2 * i + 1] = second[i];
      }
    }
  }
}
