// Activations of one number, the formulas and the bits of kernels/tessera/cpu/math.inl. NaN in, NaN out.
#pragma once
#include <cstdint>

#include <tessera/cuda/host_device.hpp>
#include <tessera/tables/activation.hpp>

namespace tessera::kernels::cuda {

// 2^x for x <= 0, 0 below -126. Adding the magic number rounds x to the nearest integer n and leaves n + 127 in the low
// bits.
TESSERA_HOST_DEVICE float exp2_nonpositive(float x) noexcept {
  const float magic = 12583039.0f, t = add(x, magic), f = sub(x, sub(t, magic));
  float p = 0.00015337577497120947f;
  p = fma(p, f, 0.0013399859890341759f);
  p = fma(p, f, 0.009618519805371761f);
  p = fma(p, f, 0.05550329014658928f);
  p = fma(p, f, 0.24022646248340607f);
  p = fma(p, f, 0.6931471824645996f);
  p = fma(p, f, 1.0f);
  const float power = __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, t) << 23);
  return x < -126.0f ? 0.0f : mul(p, power);
}
TESSERA_HOST_DEVICE float magnitude(float x) noexcept {
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x) & 0x7fffffffU);
}
// e^-|x|
TESSERA_HOST_DEVICE float exp_minus_abs(float x) noexcept {
  return exp2_nonpositive(mul(magnitude(x), -1.44269504088896341f));
}

// 1 / (1 + e^-x), without overflow on either side.
TESSERA_HOST_DEVICE float sigmoid(float x) noexcept {
  const float e = exp_minus_abs(x), s = div(1.0f, add(1.0f, e));
  return x < 0.0f ? mul(e, s) : s;
}

// x / 2 * (1 + g(v)) for an odd g that runs into 1: g(u) = u * P(2 u^2 / U^2 - 1) up to `top`, P from its lowest coefficient
// up.
TESSERA_HOST_DEVICE float gelu_by(float x, float v, float top, float two_over_u2, const float (&p)[15]) noexcept {
  const float below = v < top ? v : top, u = below > -top ? below : -top, t = fma(mul(u, u), two_over_u2, -1.0f);
  float sum = p[14];
  for (int i = 13; i >= 0; --i) sum = fma(sum, t, p[i]);
  const float half = mul(x, 0.5f);
  return fma(half, mul(sum, u), half);
}
TESSERA_HOST_DEVICE float gelu_erf(float x) noexcept {
  constexpr float kFit[] = {0.360736809f,   -0.180109422f,  0.134084837f,   -0.10914975f,    0.0905922123f,
                            -0.0743366138f, 0.0584258272f,  -0.0419346704f, 0.029609212f,    -0.0236534242f,
                            0.014343502f,   -0.0028870787f, 0.00182033042f, -0.00456754768f, 0.00212785818f};
  return gelu_by(x, mul(x, 0.70710678118654752f), 3.918549f, 0.13015410245731f, kFit);
}
TESSERA_HOST_DEVICE float gelu_tanh(float x) noexcept {
  constexpr float kFit[] = {0.28571403f,   -0.14211036f,   0.104064345f,  -0.08123754f,   0.062319532f,
                            -0.045027666f, 0.030557156f,   -0.020626463f, 0.012573632f,   -0.004493681f,
                            0.0021888537f, -0.0048343414f, 0.0032746573f, 0.00043820482f, -0.0006985033f};
  return gelu_by(x, x, 4.947999f, 0.08169033f, kFit);
}
TESSERA_HOST_DEVICE float quick_gelu(float x) noexcept { return mul(x, sigmoid(mul(x, 1.702f))); }
TESSERA_HOST_DEVICE float silu(float x) noexcept { return mul(x, sigmoid(x)); }
TESSERA_HOST_DEVICE float relu(float x) noexcept { return x == x ? (x > 0.0f ? x : 0.0f) : x; }

// Near 0 an odd polynomial, as (1 - e) / (1 + e) would cancel; elsewhere that quotient of e = e^-2|x|.
TESSERA_HOST_DEVICE float tanh(float x) noexcept {
  const float s = mul(x, x);
  float p = -0.00589440484f;
  p = fma(p, s, 0.020795377f);
  p = fma(p, s, -0.0537836701f);
  p = fma(p, s, 0.133319229f);
  p = fma(p, s, -0.333332986f);
  const float small = fma(mul(x, s), p, x);
  const float e = exp_minus_abs(add(x, x)), q = div(sub(1.0f, e), add(1.0f, e));
  return magnitude(x) < 0.6f ? small : (x < 0.0f ? sub(0.0f, q) : q);
}

/// The function that `a` names, of one number.
TESSERA_HOST_DEVICE float activate(Activation a, float x) noexcept {
  switch (a) {
    case Activation::identity: return x;
    case Activation::gelu_erf: return gelu_erf(x);
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::quick_gelu: return quick_gelu(x);
    case Activation::silu: return silu(x);
    case Activation::relu: return relu(x);
    case Activation::tanh: return tanh(x);
  }
  return x;
}

}  // namespace tessera::kernels::cuda
