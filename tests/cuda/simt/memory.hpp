// Global memory of the emulated device: kernels may touch the elements of the tensors that live, and nothing beside them.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <tessera/core/dtype.hpp>

namespace tessera::simt {

/// Rows of elements with what is between them.
struct Region {
  const char* begin;
  index_t rows, row_bytes, pitch;
  bool writable;
};
inline std::vector<const Region*>& regions() {
  static std::vector<const Region*> all;
  return all;
}
/// Empty, or what is wrong with an access.
inline std::string wrong_with(const void* pointer, index_t bytes, bool write) {
  const auto* const p = static_cast<const char*>(pointer);
  if (reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(bytes) != 0)
    return "an address that is not a multiple of the access' " + std::to_string(bytes) + " bytes";
  std::string beside = "an address of no tensor";
  for (const Region* r : regions()) {
    const index_t at = p - r->begin;
    if (at < -64 || at >= r->rows * r->pitch + 64) continue;
    const index_t row = at < 0 ? -1 : at / r->pitch, in_row = at < 0 ? at : at % r->pitch;
    if (row >= 0 && row < r->rows && in_row + bytes <= r->row_bytes)
      return write && !r->writable ? "a write to an input" : "";
    beside = "bytes outside of a tensor of " + std::to_string(r->rows) + " rows: row " + std::to_string(row) + ", byte " +
             std::to_string(in_row) + " of " + std::to_string(r->row_bytes);
  }
  return beside;
}

inline float to_host_float(float x) { return x; }
inline float to_host_float(bf16 x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16); }
/// To nearest, ties to even; any NaN becomes the one that the instruction gives.
inline bf16 host_bf16(float x) {
  const auto u = __builtin_bit_cast(std::uint32_t, x);
  if (x != x) return bf16{0x7fff};
  return bf16{static_cast<std::uint16_t>((u + 0x7fffU + (u >> 16 & 1U)) >> 16)};
}
template <class T>
T from_host_float(float x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return host_bf16(x);
  } else {
    return static_cast<T>(x);
  }
}

/// Poisoned elements, `pad` of them after every row; `shift` moves all off their alignment.
template <class T>
class Tensor {
 public:
  enum class Use { input, output };
  Tensor(Use use, index_t rows, index_t columns, index_t pad = 0, index_t shift = 0)
      : columns_(columns), ld_(columns + pad), front_(static_cast<index_t>(64 / sizeof(T)) + shift) {
    memory_.resize(static_cast<std::size_t>(front_ + rows * ld_ + static_cast<index_t>(64 / sizeof(T))));
    std::memset(static_cast<void*>(memory_.data()), kPoisonByte, memory_.size() * sizeof(T));
    const auto bytes = static_cast<index_t>(sizeof(T));
    region_ = {reinterpret_cast<const char*>(data()), rows, columns * bytes, ld_ * bytes, use == Use::output};
    regions().push_back(&region_);
  }
  ~Tensor() { std::erase(regions(), &region_); }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  T* data() { return memory_.data() + front_; }
  const T* data() const { return memory_.data() + front_; }
  index_t rows() const { return region_.rows; }
  index_t columns() const { return columns_; }
  index_t ld() const { return ld_; }
  T& operator()(index_t r, index_t c) { return data()[r * ld_ + c]; }
  float at(index_t r, index_t c) const { return to_host_float(data()[r * ld_ + c]); }
  /// f(row, column) everywhere, rounded.
  template <class F>
  void fill(const F& f) {
    for (index_t r = 0; r < rows(); ++r)
      for (index_t c = 0; c < columns_; ++c) (*this)(r, c) = from_host_float<T>(f(r, c));
  }
  std::vector<T> row(index_t r) const { return {data() + r * ld_, data() + r * ld_ + columns_}; }

  /// Every element written, nothing between them.
  testing::AssertionResult written_exactly() const {
    for (index_t i = 0; i < static_cast<index_t>(memory_.size()); ++i) {
      const index_t at = i - front_, r = at / ld_, c = at % ld_;
      const bool element = at >= 0 && r < rows() && c < columns_;
      const auto* const bytes = reinterpret_cast<const unsigned char*>(&memory_[static_cast<std::size_t>(i)]);
      const bool poison = std::all_of(bytes, bytes + sizeof(T), [](unsigned char b) { return b == kPoisonByte; });
      if (element == poison)
        return testing::AssertionFailure()
               << (poison ? "not written" : "written beside a row") << ": row " << r << " column " << c;
    }
    return testing::AssertionSuccess();
  }

 private:
  static constexpr unsigned char kPoisonByte = 0xff;  // a NaN of every float type, and -1
  index_t columns_, ld_, front_;
  std::vector<T> memory_;
  Region region_{};
};
template <class T>
using Use = typename Tensor<T>::Use;

}  // namespace tessera::simt
