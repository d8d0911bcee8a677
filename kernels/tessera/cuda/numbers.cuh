// Rows of numbers in global memory, by groups that one instruction reads or writes where they lie on its alignment.
#pragma once
#include <tessera/cuda/ptx.cuh>

namespace tessera::kernels::cuda {

TESSERA_DEVICE float to_float(float x) { return x; }
TESSERA_DEVICE float to_float(bf16 x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16); }
template <class T>
TESSERA_DEVICE T rounded_to(float x) {
  if constexpr (sizeof(T) == 4) {
    return x;
  } else {
    return to_bf16(x);
  }
}

/// kCount numbers that are aligned as one.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Packed {
  T number[kCount];
};

/// The most numbers of T that one instruction moves, of kCount.
template <class T, int kCount>
inline constexpr int kAtOnce = sizeof(T) * kCount > 16 ? 16 / sizeof(T) : kCount;

/// x[i] = from[i]; `from` is a multiple of kAtOnce numbers.
template <int kCount, class T>
TESSERA_DEVICE void load_whole(const T* from, float (&x)[kCount]) {
  constexpr int kPart = kAtOnce<T, kCount>;
  TESSERA_UNROLLED
  for (int i = 0; i < kCount; i += kPart) {
    const auto part = load_global(reinterpret_cast<const Packed<T, kPart>*>(from + i));
    TESSERA_UNROLLED
    for (int j = 0; j < kPart; ++j) x[i + j] = to_float(part.number[j]);
  }
}
/// to[i] = x[i], rounded to T.
template <int kCount, class T>
TESSERA_DEVICE void store_whole(T* to, const float (&x)[kCount]) {
  constexpr int kPart = kAtOnce<T, kCount>;
  TESSERA_UNROLLED
  for (int i = 0; i < kCount; i += kPart) {
    Packed<T, kPart> part;
    TESSERA_UNROLLED
    for (int j = 0; j < kPart; ++j) part.number[j] = rounded_to<T>(x[i + j]);
    store_global(reinterpret_cast<Packed<T, kPart>*>(to + i), part);
  }
}

/// x[i] = from[i] for i < count, 0 for the others. `aligned`: whether `from` is a multiple of kAtOnce numbers.
template <int kCount, class T>
TESSERA_DEVICE void load_numbers(const T* from, int count, bool aligned, float (&x)[kCount]) {
  if (aligned && count >= kCount) return load_whole(from, x);
  TESSERA_UNROLLED
  for (int i = 0; i < kCount; ++i) x[i] = i < count ? to_float(load_global(from + i)) : 0.0f;
}
/// to[i] = x[i] for i < count, rounded to T.
template <int kCount, class T>
TESSERA_DEVICE void store_numbers(T* to, int count, bool aligned, const float (&x)[kCount]) {
  if (aligned && count >= kCount) return store_whole(to, x);
  TESSERA_UNROLLED
  for (int i = 0; i < kCount; ++i) {
    if (i < count) store_global(to + i, rounded_to<T>(x[i]));
  }
}

}  // namespace tessera::kernels::cuda
