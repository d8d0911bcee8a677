// Element types as checkpoints name them, and the C++ types that store them.
#pragma once
#include <cstdint>

namespace tessera {

/// Counts elements, rows, bytes: signed, so that differences and loops are safe.
using index_t = std::int64_t;

/// Every element type of the safetensors format.
enum class DType : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

/// Storage of an IEEE binary16 number. Arithmetic happens in f32.
struct f16 {
  std::uint16_t bits;
  friend bool operator==(f16, f16) = default;
};
/// Storage of a bfloat16 number: the upper half of an f32.
struct bf16 {
  std::uint16_t bits;
  friend bool operator==(bf16, bf16) = default;
};

/// Width of one element in bits; sub-byte types are packed.
constexpr int bit_width(DType t) noexcept {
  switch (t) {
    case DType::f4: return 4;
    case DType::f6_e2m3:
    case DType::f6_e3m2: return 6;
    case DType::boolean:
    case DType::u8:
    case DType::i8:
    case DType::f8_e5m2:
    case DType::f8_e4m3:
    case DType::f8_e8m0:
    case DType::f8_e4m3fnuz:
    case DType::f8_e5m2fnuz: return 8;
    case DType::i16:
    case DType::u16:
    case DType::f16:
    case DType::bf16: return 16;
    case DType::i32:
    case DType::u32:
    case DType::f32: return 32;
    case DType::c64:
    case DType::f64:
    case DType::i64:
    case DType::u64: return 64;
  }
  return 0;
}

/// The name in safetensors headers ("F32", "BF16", ...).
constexpr const char* dtype_name(DType t) noexcept {
  constexpr const char* kNames[] = {"BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
                                    "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
                                    "U32",     "F32",         "C64",         "F64",     "I64", "U64"};
  return kNames[static_cast<int>(t)];
}
/// How many DType values there are; they are 0 .. kDTypeCount - 1.
inline constexpr int kDTypeCount = static_cast<int>(DType::u64) + 1;

/// dtype_of<float> == DType::f32, and so on for each storage type.
template <class T>
struct dtype_of_t;
template <>
struct dtype_of_t<bool> {
  static constexpr DType value = DType::boolean;
};
template <>
struct dtype_of_t<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct dtype_of_t<std::int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct dtype_of_t<std::int16_t> {
  static constexpr DType value = DType::i16;
};
template <>
struct dtype_of_t<std::uint16_t> {
  static constexpr DType value = DType::u16;
};
template <>
struct dtype_of_t<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct dtype_of_t<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of_t<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of_t<std::uint32_t> {
  static constexpr DType value = DType::u32;
};
template <>
struct dtype_of_t<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of_t<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of_t<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of_t<std::uint64_t> {
  static constexpr DType value = DType::u64;
};
template <class T>
inline constexpr DType dtype_of = dtype_of_t<T>::value;

}  // namespace tessera
