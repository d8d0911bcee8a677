// Table lookups and pooling. Included inside an ISA namespace.

inline void embed(const EmbedArgs& g, index_t t0, index_t t1) noexcept {
  for (index_t t = t0; t < t1; ++t) {
    const float* word = g.word + g.ids[t] * g.c;
    const float* segment = g.segment ? g.segment + (g.segments ? g.segments[t] : 0) * g.c : nullptr;
    const float* position = g.position ? g.position + g.positions[t] * g.c : nullptr;
    for (index_t j = 0; j < g.c; j += 16) {
      const index_t left = g.c - j;
      f32x16 v = load_n(word + j, left, 0.0f);
      if (segment) v = add(v, load_n(segment + j, left, 0.0f));
      if (position) v = add(v, load_n(position + j, left, 0.0f));
      store_n(g.out + t * g.ldo + j, left, mul(v, set1(g.scale)));
    }
  }
}

// Each channel is a chain over the tokens in their order.
inline void pool(Pooling mode, const float* x, index_t ldx, index_t t, index_t c, const float* weights,
                 float* out) noexcept {
  float total = static_cast<float>(t);
  if (mode == Pooling::weighted_mean) {
    total = 0.0f;
    for (index_t i = 0; i < t; ++i) total += weights ? weights[i] : static_cast<float>(i + 1);
  }
  if (mode == Pooling::mean_sqrt) total = sqrt1(total);
  for (index_t j = 0; j < c; j += 16) {
    const index_t left = c - j;
    f32x16 v = load_n(x + (mode == Pooling::last ? (t - 1) * ldx : 0) + j, left, 0.0f);
    if (mode == Pooling::max) {
      for (index_t i = 1; i < t; ++i) {
        const f32x16 w = load_n(x + i * ldx + j, left, 0.0f);
        v = if_ordered(v, w, max(w, v), add(v, w));  // a NaN stays
      }
    } else if (mode == Pooling::weighted_mean) {
      v = set1(0.0f);
      for (index_t i = 0; i < t; ++i)
        v = fma(load_n(x + i * ldx + j, left, 0.0f), set1(weights ? weights[i] : static_cast<float>(i + 1)), v);
      v = div(v, set1(total));
    } else if (mode == Pooling::mean || mode == Pooling::mean_sqrt) {
      for (index_t i = 1; i < t; ++i) v = add(v, load_n(x + i * ldx + j, left, 0.0f));
      v = div(v, set1(total));
    }
    store_n(out + j, left, v);
  }
}

inline void combine(const float* const* rows, const float* weights, index_t n, index_t c, float* out) noexcept {
  for (index_t j = 0; j < c; j += 16) {
    f32x16 v = set1(0.0f);
    for (index_t i = 0; i < n; ++i) v = fma(load_n(rows[i] + j, c - j, 0.0f), set1(weights[i]), v);
    store_n(out + j, c - j, v);
  }
}
