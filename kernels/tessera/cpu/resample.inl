// Separable resampling: of 8-bit samples in 32-bit integers, two taps an instruction, and of floats. Included inside an ISA
// namespace.

TESSERA_INLINE std::uint8_t to_byte(std::int32_t sum, int shift) {
  const std::int32_t v = sum >> shift;
  return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

// The sum of both halves of the weights.
TESSERA_INLINE i32x16 joined(i32x16 low, i32x16 high) { return addi(low, shift_left<15>(high)); }

// 16 * V columns from `x` on of an output row.
template <int V, bool kHigh>
TESSERA_INLINE void vertical_columns(const ResampleArgs& g, index_t y, index_t x) {
  const std::uint8_t* in = g.in + g.first[y] * g.ld_in + x;
  const index_t taps = g.count[y];
  i32x16 low[V], high[V];
  TESSERA_UNROLL
  for (int v = 0; v < V; ++v) low[v] = seti(std::int32_t{1} << (g.shift - 1)), high[v] = seti(0);
  for (index_t j = 0; j < taps; j += 2) {
    const std::uint8_t *a = in + j * g.ld_in, *b = j + 1 < taps ? a + g.ld_in : a;  // the weight of a missing row is zero
    const i16x32 l = set_pairs(g.low + y * g.ld_weights + j);
    TESSERA_UNROLL
    for (int v = 0; v < V; ++v) {
      const i16x32 pixels = load_byte_pairs(a + 16 * v, b + 16 * v);
      low[v] = addi(low[v], multiply_pairs(pixels, l));
      if constexpr (kHigh) high[v] = addi(high[v], multiply_pairs(pixels, set_pairs(g.high + y * g.ld_weights + j)));
    }
  }
  TESSERA_UNROLL
  for (int v = 0; v < V; ++v)
    store_bytes(g.out + y * g.ld_out + x + 16 * v, kHigh ? joined(low[v], high[v]) : low[v], g.shift);
}

template <bool kHigh>
TESSERA_INLINE void vertical_rows(const ResampleArgs& g, index_t y0, index_t y1) {
  const index_t n = g.out_width * g.channels;
  for (index_t y = y0; y < y1; ++y) {
    index_t x = 0;
    for (; x + 32 <= n; x += 32) vertical_columns<2, kHigh>(g, y, x);
    for (; n >= 16 && x < n; x += 16) vertical_columns<1, kHigh>(g, y, x + 16 <= n ? x : n - 16);  // the last may overlap
    for (; x < n; ++x) {
      std::uint32_t sum = 1u << (g.shift - 1);
      for (index_t j = 0; j < g.count[y]; ++j) {
        const index_t at = y * g.ld_weights + j;
        const std::int32_t w = g.low[at] + (kHigh ? g.high[at] * 32768 : 0);
        sum += static_cast<std::uint32_t>(w) * g.in[(g.first[y] + j) * g.ld_in + x];
      }
      g.out[y * g.ld_out + x] = to_byte(static_cast<std::int32_t>(sum), g.shift);
    }
  }
}

inline void resample_vertical(const ResampleArgs& g, index_t y0, index_t y1) noexcept {
  g.high ? vertical_rows<true>(g, y0, y1) : vertical_rows<false>(g, y0, y1);
}

// Pixel x of four rows, as kBytes bytes each.
template <int C, bool kHigh, int kBytes>
TESSERA_INLINE void horizontal_pixel(const ResampleArgs& g, index_t x, const std::uint8_t* const (&rows)[4],
                                     std::uint8_t* const (&out)[4]) {
  constexpr int p = padded_channels(C), step = 32 / p;  // lanes for a pixel's channels, pixels of a vector
  const index_t taps = g.count[x], at = x * g.ld_weights, from = g.first[x] * C;
  i32x16 low[4], high[4];
  TESSERA_UNROLL
  for (int r = 0; r < 4; ++r)  // 16 / p lanes are added for each channel
    low[r] = seti((std::int32_t{1} << (g.shift - 1)) / (16 / p)), high[r] = seti(0);
  for (index_t j = 0; j < taps; j += step) {
    const i16x32 l = load_pairs<p>(g.low + at + j), h = kHigh ? load_pairs<p>(g.high + at + j) : l;
    TESSERA_UNROLL
    for (int r = 0; r < 4; ++r) {
      const i16x32 pixels = load_pixel_pairs<C>(rows[r] + from + j * C);
      low[r] = addi(low[r], multiply_pairs(pixels, l));
      if constexpr (kHigh) high[r] = addi(high[r], multiply_pairs(pixels, h));
    }
  }
  if constexpr (kHigh) {
    TESSERA_UNROLL
    for (int r = 0; r < 4; ++r) low[r] = joined(low[r], high[r]);
  }
  std::uint32_t bytes[4];
  fold_bytes<p>(low, g.shift, bytes);
  TESSERA_UNROLL
  for (int r = 0; r < 4; ++r) __builtin_memcpy(out[r] + x * C, bytes + r, kBytes);
}

// Four rows at a time share the weights; a group that is not full repeats its last row.
template <int C, bool kHigh>
TESSERA_INLINE void horizontal_rows(const ResampleArgs& g, index_t y0, index_t y1, std::uint8_t* scratch) {
  const index_t row_bytes = g.in_width * C, last = g.out_width - 1;
  for (index_t y = y0; y < y1; y += 4) {
    const std::uint8_t* in[4];
    std::uint8_t* out[4];
    for (index_t r = 0; r < 4; ++r) {
      const index_t row = y + r < y1 ? y + r : y1 - 1;
      in[r] = g.in + row * g.ld_in, out[r] = g.out + row * g.ld_out;
      if ((g.in_rows - 1 - row) * g.ld_in >= kResampleReadsBeyond) continue;
      std::uint8_t* copy = scratch + r * (row_bytes + kResampleReadsBeyond);  // behind the last row nothing may be read
      __builtin_memcpy(copy, in[r], static_cast<std::size_t>(row_bytes));
      __builtin_memset(copy + row_bytes, 0, kResampleReadsBeyond);
      in[r] = copy;
    }
    // The next pixel overwrites a fourth byte.
    for (index_t x = 0; x < last; ++x) horizontal_pixel<C, kHigh, padded_channels(C)>(g, x, in, out);
    horizontal_pixel<C, kHigh, C>(g, last, in, out);
  }
}

template <int C>
TESSERA_INLINE void horizontal_channels(const ResampleArgs& g, index_t y0, index_t y1, std::uint8_t* scratch) {
  g.high ? horizontal_rows<C, true>(g, y0, y1, scratch) : horizontal_rows<C, false>(g, y0, y1, scratch);
}

inline void resample_horizontal(const ResampleArgs& g, index_t y0, index_t y1, std::uint8_t* scratch) noexcept {
  switch (g.channels) {
    case 1: return horizontal_channels<1>(g, y0, y1, scratch);
    case 2: return horizontal_channels<2>(g, y0, y1, scratch);
    case 3: return horizontal_channels<3>(g, y0, y1, scratch);
    default: return horizontal_channels<4>(g, y0, y1, scratch);
  }
}

// Taps as torch 2 sums them on x86, whose compiler vectorised the products of four at a time and fused the rest.
inline void resample_weigh(const float* const* rows, const float* weights, index_t n, index_t c, float* out) noexcept {
  const index_t fused = 1 + (n - 1) / 4 * 4;
  for (index_t j = 0; j < c; j += 16) {
    f32x16 v = mul(load_n(rows[0] + j, c - j, 0.0f), set1(weights[0]));
    for (index_t i = 1; i < fused; ++i) v = add(v, mul(load_n(rows[i] + j, c - j, 0.0f), set1(weights[i])));
    for (index_t i = fused; i < n; ++i) v = fma(load_n(rows[i] + j, c - j, 0.0f), set1(weights[i]), v);
    store_n(out + j, c - j, v);
  }
}
