// A weight matrix in the layout of the kernels that will read it.
#pragma once
#include <tessera/core/buffer.hpp>

namespace tessera {

/// W [N, K] (out, in), packed once at load by ops::pack_weight. Opaque: only kernels know what the bytes mean. On the CPU
/// the layout is the same for every ISA, so packed bytes may move between machines.
class PackedWeight {
 public:
  PackedWeight() = default;
  /// Room for a packed matrix of `bytes` bytes; the packer fills data().
  PackedWeight(index_t n, index_t k, DType dtype, std::size_t bytes, Space space = Space::host, bool gated = false)
      : buffer_(bytes, space), n_(n), k_(k), dtype_(dtype), gated_(gated) {}

  index_t n() const noexcept { return n_; }  ///< output channels
  index_t k() const noexcept { return k_; }  ///< input channels
  DType dtype() const noexcept { return dtype_; }
  Space space() const noexcept { return buffer_.space(); }
  std::size_t bytes() const noexcept { return buffer_.bytes(); }
  bool empty() const noexcept { return n_ == 0; }
  bool gated() const noexcept { return gated_; }  ///< gate and up interleaved, by ops::pack_weight_glu
  std::byte* data() const noexcept { return buffer_.data(); }

 private:
  Buffer buffer_;
  index_t n_ = 0, k_ = 0;
  DType dtype_ = DType::f32;
  bool gated_ = false;
};

}  // namespace tessera
