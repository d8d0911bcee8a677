// Products of int8. Included inside an ISA namespace, after gemm.inl.
//
// An output channel of W has a scale, its largest magnitude / 127. A row of A has a scale and a zero, so that bytes are
// spread from its least number to its largest, and where one number makes that range much wider than it is for the rest, it
// is set apart (of two such, the one that does more): its byte is the end of the range, and what is missing goes into the
// sums as an integer. (Dettmers et al., "LLM.int8()", 2022, arXiv 2208.07339, find such numbers in a few channels of all
// rows.) MiniLM with all layers in int8, cosine to f32 of 250 texts, mean and least: 0.9971 and 0.9806 with a scale alone,
// 0.9988 and 0.9920 with zeros, 0.9994 and 0.9947 with rows' outliers apart as well, 0.9995 and 0.9980 with weights' too.
// Sums of products of integers are exact, so they are the same whoever makes them. Where a number is NaN or infinite the
// scale is NaN, and so is what comes of it.

// Adding it leaves the nearest integer (of two the even one) in the low bits of a float, negative ones as complements of
// two.
inline constexpr float kToInteger = 0x1.8p23f;
inline constexpr float kAsGoodAsZero = 0x1p-100f;  // of smaller scales the inverse is infinite
inline constexpr float kMuchWider = 1.125f;
inline constexpr float kOfWeights = 5.0f / 3;  // as those are set apart one at a time, only few should be

TESSERA_INLINE f32x16 quantized(f32x16 x, float inverse, float zero) { return add(mul(x, set1(inverse)), set1(zero)); }

// The two largest of the numbers above 0 and the two least below it, 0 where there are none; NaN where one is not finite.
struct Extremes {
  float largest, second_largest, least, second_least;
};
// Of magnitudes, and of each number times 0.
TESSERA_INLINE Extremes with_signs(Extremes e, f32x16 odd) {
  const float none = reduce_add(odd);  // 0 or NaN
  return {e.largest + none, e.second_largest, none - e.least, -e.second_least};
}
// In each lane, of numbers of one sign, which is turned to be above 0.
struct TwoLargest {
  f32x16 first, second;
  TESSERA_INLINE void take(f32x16 v) {  // NaN is passed over
    second = max(min(v, first), second);
    first = max(v, first);
  }
  TESSERA_INLINE void reduce(float& one, float& two) const {
    float a[16], b[16];
    store(a, first), store(b, second);
    one = two = 0;
    for (int i = 0; i < 16; ++i) {
      const float below = a[i] < one ? a[i] : one, next = b[i] > below ? b[i] : below;
      two = next > two ? next : two;
      one = a[i] > one ? a[i] : one;
    }
  }
};
inline Extremes extremes_of(const float* x, index_t n) {
  const f32x16 zero = set1(0.0f);
  TwoLargest above{zero, zero}, below{zero, zero};
  f32x16 odd = zero;
  by_sixteens(n, [&](index_t i, auto how) {
    const f32x16 v = how.get(x + i, 0.0f);
    above.take(v), below.take(sub(zero, v));
    odd = fma(v, zero, odd);
  });
  Extremes e;
  above.reduce(e.largest, e.second_largest);
  below.reduce(e.least, e.second_least);
  return with_signs(e, odd);
}

// The same but for the second ones, which are such of the lanes: nearer to 0 than those of the row, or as near. The search
// for these costs more than all else that is done to a row.
inline Extremes rough_extremes_of(const float* x, index_t n) {
  const f32x16 zero = set1(0.0f);
  f32x16 most = zero, least = zero, odd = zero;
  by_sixteens(n, [&](index_t i, auto how) {
    const f32x16 v = how.get(x + i, 0.0f);
    most = max(v, most), least = min(v, least), odd = fma(v, zero, odd);
  });
  const auto two_of = [&](f32x16 lanes, float& one, float& two) {
    one = reduce_max(lanes);
    two = reduce_max(if_less(lanes, set1(one), lanes, zero));
  };
  Extremes e;
  two_of(most, e.largest, e.second_largest), two_of(sub(zero, least), e.least, e.second_least);
  return with_signs(e, odd);
}

// Of the one number that is largest, or least.
template <bool Largest>
std::int32_t place_of(const float* x, index_t n, float extreme) {
  f32x16 from = set1(-1.0f);
  for (index_t i = 0; i < n; i += 16) {
    const f32x16 v = load_n(x + i, n - i, 0.0f), at = set1(static_cast<float>(i)), e = set1(extreme);
    from = Largest ? if_less(v, e, from, at) : if_less(e, v, from, at);
  }
  float lanes[16];
  store(lanes, from);
  int lane = 0;
  while (lane < 15 && lanes[lane] < 0) ++lane;
  return static_cast<std::int32_t>(lanes[lane]) + lane;
}

// put(i, v): numbers [i, i + 16) of the row, as integers from 0 to 255 in the low bits of floats.
template <class Put>
TESSERA_INLINE RowRounding round_row_to(const float* x, index_t k, const Put& put) {
  const auto scale_of = [](float most, float least) { return most / 255 - least / 255; };
  const auto far = [](float outlier, float rest) {
    const float least_step = (outlier < 0 ? -outlier : outlier) / static_cast<float>(kInt8MostSteps);
    return rest < least_step ? least_step : rest;
  };
  Extremes e = rough_extremes_of(x, k);
  const float all = scale_of(e.largest, e.least);
  const auto without_largest = [&] { return far(e.largest, scale_of(e.second_largest, e.least)); };
  const auto without_least = [&] { return far(e.least, scale_of(e.largest, e.second_least)); };
  const bool may_be = without_largest() * kMuchWider < all || without_least() * kMuchWider < all;
  if (may_be) e = extremes_of(x, k);
  const bool up = e.largest - e.second_largest >= e.second_least - e.least;
  const float outlier = up ? e.largest : e.least, rest = up ? without_largest() : without_least();
  const bool apart = may_be && rest * kMuchWider < all && rest >= kAsGoodAsZero;
  RowRounding r{};
  r.scale = apart ? rest : all;
  const float least = apart && !up ? e.second_least : e.least;
  const float inverse = r.scale >= kAsGoodAsZero ? 1 / r.scale : 0;
  if (r.scale < kAsGoodAsZero) r.scale = 0;
  const float zero = inverse > 0 ? (kToInteger - least * inverse) - kToInteger : 0;
  r.zero = static_cast<std::int32_t>(zero);
  const f32x16 bottom = set1(kToInteger), top = set1(kToInteger + 255);
  by_sixteens(k, [&](index_t i, auto how) {
    put(i, max(min(quantized(how.get(x + i, 0.0f), inverse, kToInteger + zero), top), bottom));
  });
  if (apart) {
    const float q = (outlier * inverse + (kToInteger + zero)) - kToInteger;
    r.excess = static_cast<std::int32_t>(q) - (up ? 255 : 0);
    r.outlier = up ? place_of<true>(x, k, outlier) : place_of<false>(x, k, outlier);
  }
  return r;
}

// Of rows of bytes.
template <class Byte>
std::int32_t byte_at(const TileRows& a, index_t row, index_t k) {
  Byte byte;
  __builtin_memcpy(&byte, reinterpret_cast<const char*>(a.data + row * a.ld) + k, 1);
  return byte;
}

// By the multiplications that every machine has.
struct Int8ByParts {
  static constexpr int kSteps = kByteSteps;
  static constexpr bool kEveryWidth = false;
  TESSERA_INLINE static f32x16 part(const float* p, int i) { return bytes_of(load(p), i); }
  TESSERA_INLINE static f32x16 madd(f32x16 a, f32x16 w, f32x16 c) { return multiply_bytes(a, w, c); }
  static index_t row_ld(index_t k) { return row_words(k, 4 / kByteSteps); }
  static RowRounding round_row(const float* from, index_t k, float* rows, index_t row) {
    float* const to = rows + row * row_ld(k);
    return round_row_to(from, k, [&](index_t i, f32x16 v) { store_for_bytes(to + i / 4 * kByteSteps, v); });
  }
  static std::int32_t number_at(const TileRows& a, index_t row, index_t k) {
    const float* const from = a.data + row * a.ld;
    if constexpr (kByteSteps == 4) return __builtin_bit_cast(std::int32_t, from[k]);
    std::int16_t quad[4];  // numbers 0, 2, 1, 3
    __builtin_memcpy(quad, from + k / 4 * 2, sizeof quad);
    return quad[(k % 2 * 2 + k / 2 % 2) % 4];
  }
  static void tiles(index_t rows, index_t slices, const TileArgs& g) { run_tile<Int8ByParts>(rows, slices, g); }
  static constexpr Tiling kTiling{.numbers = 4,
                                  .rows = kTileRows,
                                  .head = kInt8Head,
                                  .tiles = tiles,
                                  .round_row = round_row,
                                  .row_ld = row_ld,
                                  .number_at = number_at};
};

struct ColumnRounding {
  float scale, inverse;
  std::int32_t excess, outlier;
};
inline ColumnRounding column_rounding(const float* w, index_t k) {
  const Extremes e = extremes_of(w, k);
  const bool up = e.largest >= -e.least;
  const float outlier = up ? e.largest : e.least, most = up ? outlier : -outlier;
  const float other = up ? -e.least : e.largest, second = up ? e.second_largest : -e.second_least;
  const float least_range = most * (127.0f / static_cast<float>(kInt8MostWeightSteps));
  float rest = other > second ? other : second;
  rest = rest < least_range ? least_range : rest;
  const bool apart = rest * kOfWeights < most && rest >= 127 * kAsGoodAsZero;
  const float range = apart ? rest : most, scale = range / 127;
  ColumnRounding r{scale < kAsGoodAsZero ? 0 : scale, scale >= kAsGoodAsZero ? 127 / range : 0, 0, 0};
  if (apart) {
    const float q = (outlier * r.inverse + kToInteger) - kToInteger;
    r.excess = static_cast<std::int32_t>(q) - (up ? 127 : -127);
    r.outlier = up ? place_of<true>(w, k, outlier) : place_of<false>(w, k, outlier);
  }
  return r;
}

// Rows [16 s, 16 s + 16) of W become slice s: the four of the head, then dst[s][k / 4][16][4].
inline void pack_int8(const float* w, index_t ldw, index_t n, index_t k, index_t s0, index_t s1, float* dst) noexcept {
  constexpr index_t kWords = 16, kStep = 4 * kWords;
  const index_t words = (k + 3) / 4;
  const f32x16 bottom = set1(kToInteger - 127), top = set1(kToInteger + 127);
  for (index_t s = s0; s < s1; ++s) {
    const index_t rows = n - s * kSlice < kSlice ? n - s * kSlice : kSlice;
    float* const head = dst + s * (kInt8Head + words) * kSlice;
    ColumnRounding of[kSlice];
    float sums[kSlice] = {};
    for (index_t j = 0; j < kSlice; ++j)
      of[j] = j < rows ? column_rounding(w + (s * kSlice + j) * ldw, k) : ColumnRounding{0, 0, 0, 0};
    float* d = head + kInt8Head * kSlice;
    for (index_t i = 0; i < words; i += kWords, d += kWords * kSlice) {
      alignas(64) float t[kSlice * kWords], turned[kSlice * kWords];
      for (index_t j = 0; j < kSlice; ++j) {
        const float* const from = w + (s * kSlice + j) * ldw;
        f32x16 sum = set1(0.0f);
        for (index_t c = 0; c < kStep; c += 16) {
          const index_t at = 4 * i + c;
          const f32x16 x = j < rows && at < k ? load_n(from + at, k - at, 0.0f) : set1(0.0f);
          const f32x16 q = max(min(quantized(x, of[j].inverse, kToInteger), top), bottom);
          sum = add(sum, sub(q, set1(kToInteger)));
          store_low_bytes(t + kWords * j + c / 4, q);
        }
        sums[j] += reduce_add(sum);  // exact: below 2^24
      }
      transpose16(t, kWords, turned);
      __builtin_memcpy(d, turned,
                       static_cast<std::size_t>((words - i < kWords ? words - i : kWords) * kSlice) * sizeof(float));
    }
    for (index_t j = 0; j < kSlice; ++j) {
      const std::int32_t sum = static_cast<std::int32_t>(sums[j]);
      head[kSlice * kInt8Scale + j] = of[j].scale;
      __builtin_memcpy(head + kSlice * kInt8Sum + j, &sum, sizeof sum);
      __builtin_memcpy(head + kSlice * kInt8Excess + j, &of[j].excess, sizeof sum);
      __builtin_memcpy(head + kSlice * kInt8Outlier + j, &of[j].outlier, sizeof sum);
    }
  }
}

// A weight is off by anything up to half a step: the square of a step / 12 in the mean.
inline void int8_rounding(const float* slices, index_t k, index_t s0, index_t s1, double* out) noexcept {
  const index_t words = (k + 3) / 4;
  for (index_t s = s0; s < s1; ++s) {
    const float* const head = slices + s * (kInt8Head + words) * kSlice;
    f32x16 squares = set1(0.0f);  // integers
    for (index_t i = 0; i < words; ++i)
      for (int p = 0; p < kByteSteps; ++p) {
        const f32x16 q = bytes_of(load(head + (kInt8Head + i) * kSlice), p);
        squares = multiply_bytes(q, q, squares);
      }
    float sums[kSlice];
    store(sums, to_float(squares));
    double off = 0, all = 0;
    for (index_t j = 0; j < kSlice; ++j) {
      const double step = head[kSlice * kInt8Scale + j];
      if (!(sums[j] > 0)) continue;
      off += step * step * static_cast<double>(k) / 12, all += step * step * static_cast<double>(sums[j]);
    }
    out[2 * s] = off, out[2 * s + 1] = all;
  }
}
