// Elementary functions and activations on f32x16. Included inside an ISA namespace. NaN in, NaN out.

// How a loop over a row reads and writes sixteen numbers, and those that are left at its end: a mask for each would cost
// more than what is done to them.
struct Sixteen {
  TESSERA_INLINE f32x16 get(const float* p, float) const { return load(p); }
  TESSERA_INLINE void put(float* p, f32x16 v) const { store(p, v); }
};
struct Fewer {
  index_t n;
  TESSERA_INLINE f32x16 get(const float* p, float fill) const { return load_n(p, n, fill); }
  TESSERA_INLINE void put(float* p, f32x16 v) const { store_n(p, n, v); }
};
// f(i, how) for each sixteen of n.
template <class F>
TESSERA_INLINE void by_sixteens(index_t n, const F& f) {
  index_t i = 0;
  for (; i + 16 <= n; i += 16) f(i, Sixteen{});
  if (i < n) f(i, Fewer{n - i});
}

// 2^x for x <= 0, 0 below -126; degree-6 minimax on [-1/2, 1/2], under 1 ulp. Adding the magic number rounds x to the
// nearest integer n and leaves n + 127 in the low bits, ready to be shifted into the exponent.
TESSERA_ELEMENTARY f32x16 exp2_nonpositive(f32x16 x) {
  const f32x16 magic = set1(12583039.0f), t = add(x, magic), f = sub(x, sub(t, magic));
  f32x16 p = set1(0.00015337577497120947f);
  p = fma(p, f, set1(0.0013399859890341759f));
  p = fma(p, f, set1(0.009618519805371761f));
  p = fma(p, f, set1(0.05550329014658928f));
  p = fma(p, f, set1(0.24022646248340607f));
  p = fma(p, f, set1(0.6931471824645996f));
  p = fma(p, f, set1(1.0f));
  return if_less(x, set1(-126.0f), set1(0.0f), mul(p, exponent_bits(t)));
}

// e^-|x|
TESSERA_INLINE f32x16 exp_minus_abs(f32x16 x) { return exp2_nonpositive(mul(abs(x), set1(-1.44269504088896341f))); }

// 1 / (1 + e^-x), without overflow on either side.
TESSERA_ELEMENTARY f32x16 sigmoid(f32x16 x) {
  const f32x16 e = exp_minus_abs(x), s = div(set1(1.0f), add(set1(1.0f), e));
  return if_less(x, set1(0.0f), mul(e, s), s);
}

// x / 2 * (1 + g(x)) for an odd g that runs into 1: g(u) = u * P(2 u^2 / U^2 - 1) on |u| <= U, P of degree 14 from its
// lowest coefficient up. `top` is the number next to U where this evaluation gives 1 exactly: far out the result is x, or 0.
TESSERA_ELEMENTARY f32x16 gelu_by(f32x16 x, f32x16 v, float top, float two_over_u2, const float (&p)[15]) {
  const f32x16 u = max(min(v, set1(top)), set1(-top)), t = fma(mul(u, u), set1(two_over_u2), set1(-1.0f));
  f32x16 sum = set1(p[14]);
  TESSERA_UNROLL
  for (int i = 13; i >= 0; --i) sum = fma(sum, t, set1(p[i]));
  const f32x16 half = mul(x, set1(0.5f));
  return fma(half, mul(sum, u), half);
}

// g(x) = erf(x / sqrt(2)), a Chebyshev fit in v = x / sqrt(2), U = 3.92.
TESSERA_INLINE f32x16 gelu_erf(f32x16 x) {
  static constexpr float kFit[] = {0.360736809f,   -0.180109422f,  0.134084837f,   -0.10914975f,    0.0905922123f,
                                   -0.0743366138f, 0.0584258272f,  -0.0419346704f, 0.029609212f,    -0.0236534242f,
                                   0.014343502f,   -0.0028870787f, 0.00182033042f, -0.00456754768f, 0.00212785818f};
  return gelu_by(x, mul(x, set1(0.70710678118654752f)), 3.918549f, 0.13015410245731f, kFit);
}

// g(x) = tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), a minimax fit held to 1 at U = 4.948: g within 2.7e-7 as evaluated,
// without the exponential and the division that tanh costs.
TESSERA_INLINE f32x16 gelu_tanh(f32x16 x) {
  static constexpr float kFit[] = {0.28571403f,   -0.14211036f,   0.104064345f,  -0.08123754f,   0.062319532f,
                                   -0.045027666f, 0.030557156f,   -0.020626463f, 0.012573632f,   -0.004493681f,
                                   0.0021888537f, -0.0048343414f, 0.0032746573f, 0.00043820482f, -0.0006985033f};
  return gelu_by(x, x, 4.947999f, 0.08169033f, kFit);
}
TESSERA_INLINE f32x16 quick_gelu(f32x16 x) { return mul(x, sigmoid(mul(x, set1(1.702f)))); }
TESSERA_INLINE f32x16 silu(f32x16 x) { return mul(x, sigmoid(x)); }
TESSERA_INLINE f32x16 relu(f32x16 x) { return if_ordered(x, x, max(x, set1(0.0f)), x); }

// Near 0 an odd polynomial, as (1 - e) / (1 + e) would cancel; elsewhere that quotient of e = e^-2|x|.
TESSERA_ELEMENTARY f32x16 tanh(f32x16 x) {
  const f32x16 s = mul(x, x), one = set1(1.0f);
  f32x16 p = set1(-0.00589440484f);
  p = fma(p, s, set1(0.020795377f));
  p = fma(p, s, set1(-0.0537836701f));
  p = fma(p, s, set1(0.133319229f));
  p = fma(p, s, set1(-0.333332986f));
  const f32x16 small = fma(mul(x, s), p, x);
  const f32x16 e = exp_minus_abs(add(x, x)), q = div(sub(one, e), add(one, e));
  return if_less(abs(x), set1(0.6f), small, if_less(x, set1(0.0f), sub(set1(0.0f), q), q));
}

template <f32x16 (*F)(f32x16)>
TESSERA_INLINE void map_row(float* x, index_t n) {
  for (index_t i = 0; i < n; i += 16) store(x + i, F(load(x + i)));
}

// In place. Whole vectors are read and written: x has room for them.
inline void activate_row(Activation a, float* x, index_t n) noexcept {
  switch (a) {
    case Activation::identity: return;
    case Activation::gelu_erf: return map_row<gelu_erf>(x, n);
    case Activation::gelu_tanh: return map_row<gelu_tanh>(x, n);
    case Activation::quick_gelu: return map_row<quick_gelu>(x, n);
    case Activation::silu: return map_row<silu>(x, n);
    case Activation::relu: return map_row<relu>(x, n);
    case Activation::tanh: return map_row<tanh>(x, n);
  }
}

inline void activate(Activation a, const float* x, index_t n, float* y) noexcept {
  alignas(64) float t[256];
  for (index_t i = 0; i < n; i += 256) {
    const index_t m = n - i < 256 ? n - i : 256;
    for (index_t j = 0; j < m; j += 16) store(t + j, load_n(x + i + j, m - j, 0.0f));
    activate_row(a, t, m);
    for (index_t j = 0; j < m; j += 16) store_n(y + i + j, m - j, load(t + j));
  }
}
