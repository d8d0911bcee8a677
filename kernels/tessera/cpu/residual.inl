// Residual codes. Included inside an ISA namespace, after norm.inl.

// The numbers' codes are counts of cutoffs below them. Of counts 0 .. 2^bits - 1, whose cutoffs ascend, bit b is the parity
// of how many multiples of 2^b are reached.
inline void encode_residuals(const ResidualArgs& g, const float* x, index_t ldx, const std::int32_t* ids, index_t row0,
                             index_t row1, std::uint8_t* codes) noexcept {
  const int cutoffs = (1 << g.bits) - 1, each = 8 / g.bits;
  for (index_t r = row0; r < row1; ++r) {
    const float* const centroid = g.centroids + ids[r] * g.c;
    for (index_t j = 0; j < g.c; j += 16) {
      const index_t n = g.c - j < 16 ? g.c - j : 16;
      const f32x16 rest = sub(load_n(x + r * ldx + j, n, 0.0f), load_n(centroid + j, n, 0.0f));
      unsigned planes[4] = {};
      for (int count = 1; count <= cutoffs; ++count) {
        const unsigned above = ~static_cast<unsigned>(not_less(set1(g.cutoffs[count - 1]), rest));
        for (int b = 0; b < g.bits && count % (1 << b) == 0; ++b) planes[b] ^= above;
      }
      for (index_t i = 0; i < n; i += each) {
        unsigned byte = 0;
        for (int v = 0; v < each; ++v)
          for (int b = 0; b < g.bits; ++b) byte = byte << 1 | (planes[b] >> (i + v) & 1U);
        *codes++ = static_cast<std::uint8_t>(byte);
      }
    }
  }
}

// Numbers of `Each` codes a byte.
template <int Each>
TESSERA_INLINE void look_up(const float* values, const std::uint8_t* codes, index_t bytes, float* out) {
  index_t i = 0;
  for (; i + 4 <= bytes; i += 4) {
    TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) __builtin_memcpy(out + Each * (i + j), values + Each * codes[i + j], Each * sizeof(float));
  }
  for (; i < bytes; ++i) __builtin_memcpy(out + Each * i, values + Each * codes[i], Each * sizeof(float));
}

inline void decode_residuals(const ResidualArgs& g, const std::int32_t* ids, const std::uint8_t* codes, index_t rows,
                             float* out, index_t ld) noexcept {
  const index_t bytes = g.c * g.bits / 8;
  for (index_t r = 0; r < rows; ++r, codes += bytes, out += ld) {
    const float* const next = g.centroids + ids[r + 1 < rows ? r + 1 : r] * g.c;
    for (index_t j = 0; j < g.c; j += 16) prefetch(next + j);
    // All values first: sums that follow a store too closely would wait for it.
    if (g.bits == 2)
      look_up<4>(g.values, codes, bytes, out);
    else
      look_up<2>(g.values, codes, bytes, out);
    const float* const centroid = g.centroids + ids[r] * g.c;
    f32x16 squares = set1(0.0f);
    for (index_t j = 0; j < g.c; j += 16) {
      const f32x16 v = add(load_n(centroid + j, g.c - j, 0.0f), load_n(out + j, g.c - j, 0.0f));
      store_n(out + j, g.c - j, v);
      squares = fma(v, v, squares);
    }
    const float norm = sqrt1(reduce_add(squares));
    const f32x16 divisor = set1(norm < 1e-12f ? 1e-12f : norm);  // as l2_normalize has it
    for (index_t j = 0; j < g.c; j += 16) store_n(out + j, g.c - j, div(load_n(out + j, g.c - j, 0.0f), divisor));
  }
}

inline void interact(const float* scores, index_t ld, index_t width, const float* peaks, float least,
                     const std::int32_t* ids, index_t n, float* most) noexcept {
  for (index_t j = 0; j < width; j += 32) {  // two at a time; the last one may be alone
    f32x16 a = load(most + j), b = j + 16 < width ? load(most + j + 16) : a;
    const index_t second = j + 16 < width ? j + 16 : j;
    for (index_t i = 0; i < n; ++i) {
      if (!(peaks[ids[i]] >= least)) continue;
      const float* const row = scores + ids[i] * ld;
      a = max(load(row + j), a), b = max(load(row + second), b);
    }
    store(most + second, b);
    store(most + j, a);
  }
}
