// Weight matrices: as a checkpoint holds them, and in the layout of the kernels that will read them.
#pragma once
#include <memory>
#include <span>

#include <tessera/core/buffer.hpp>

namespace tessera {

/// W [N, K] (out, in), packed once at load by ops::pack_weight. Opaque: only kernels know what the bytes mean. On the CPU
/// the layout is the same for every ISA, so packed bytes may move between machines. Copies share the bytes.
class PackedWeight {
 public:
  PackedWeight() = default;
  PackedWeight(index_t n, index_t k, DType dtype, Buffer packed, bool gated = false)
      : n_(n), k_(k), stored_k_(k), bytes_(packed.bytes()), dtype_(dtype), space_(packed.space()), gated_(gated) {
    const auto held = std::make_shared<const Buffer>(std::move(packed));
    data_ = held->data(), owner_ = held;
  }
  /// Host bytes that were packed before, by another process even. `owner` keeps them; on a 64-byte boundary they are faster.
  PackedWeight(index_t n, index_t k, DType dtype, std::span<const std::byte> packed, std::shared_ptr<const void> owner,
               bool gated = false)
      : owner_(std::move(owner)),
        data_(packed.data()),
        n_(n),
        k_(k),
        stored_k_(k),
        bytes_(packed.size()),
        dtype_(dtype),
        gated_(gated) {}

  index_t n() const noexcept { return n_; }  ///< output channels
  index_t k() const noexcept { return k_; }  ///< input channels
  /// Input channels that lie in memory, k() of them first: more than k() for ops::packed_prefix().
  index_t stored_k() const noexcept { return stored_k_; }
  DType dtype() const noexcept { return dtype_; }
  Space space() const noexcept { return space_; }
  std::size_t bytes() const noexcept { return bytes_; }
  bool empty() const noexcept { return n_ == 0; }
  bool gated() const noexcept { return gated_; }  ///< gate and up interleaved, by ops::pack_weight_glu
  const std::byte* data() const noexcept { return data_; }
  /// The same bytes with other extents, for those who know the layout: rows that begin `skipped` bytes in.
  PackedWeight part(std::size_t skipped, std::size_t bytes, index_t n, index_t k) const {
    PackedWeight w = *this;
    w.data_ += skipped, w.bytes_ = bytes, w.n_ = n, w.k_ = k;
    return w;
  }

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  index_t n_ = 0, k_ = 0, stored_k_ = 0;
  std::size_t bytes_ = 0;
  DType dtype_ = DType::f32;
  Space space_ = Space::host;
  bool gated_ = false;
};

class PackedStore;

/// A borrowed matrix of weights [n, k] (out, in) as a checkpoint holds it: f32, f16 or bf16, aligned or not. A view of f32
/// is one.
struct WeightView {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  index_t extent[2] = {};
  index_t stride[2] = {};  ///< in elements; the last one is 1
  Space space = Space::host;
  PackedStore* store = nullptr;  ///< where its packed form may be found
  DType packed = DType::f32;     ///< what it is packed as: f32, bf16 or i8, which its inputs are rounded to as well
  float most_rounding = 0.02f;   ///< weights that i8 moves by more of their size (root mean square) are packed as bf16

  WeightView() = default;
  WeightView(View<const float, 2> v) noexcept
      : data(reinterpret_cast<const std::byte*>(v.data)),
        extent{v.extent[0], v.extent[1]},
        stride{v.stride[0], v.stride[1]},
        space(v.space) {}
  WeightView(View<float, 2> v) noexcept : WeightView(View<const float, 2>(v)) {}

  index_t row_bytes() const noexcept { return stride[0] * bit_width(dtype) / 8; }
  /// Rows [begin, end).
  WeightView slice(index_t begin, index_t end) const noexcept {
    WeightView w = *this;
    w.data = data + begin * row_bytes();
    w.extent[0] = end - begin;
    return w;
  }
  /// Its numbers, where they can be read in place; else null.
  const float* floats() const noexcept {
    const bool readable = dtype == DType::f32 && reinterpret_cast<std::size_t>(data) % alignof(float) == 0;
    return readable ? reinterpret_cast<const float*>(data) : nullptr;
  }
};

/// Packed weights of one checkpoint from somewhere else, such as a file of an earlier process.
class PackedStore {
 public:
  PackedStore() = default;
  PackedStore(const PackedStore&) = delete;
  PackedStore& operator=(const PackedStore&) = delete;
  virtual ~PackedStore() = default;
  /// The packed form of these parts, stacked or gated; empty when there is none. Reads nothing of the parts' memory.
  virtual PackedWeight find(const WeightView* parts, int count, bool gated) = 0;
  /// Is told what find() had not, once it is packed.
  virtual void keep(const WeightView* parts, int count, const PackedWeight& packed) = 0;
  /// Whether the bytes of this tensor have been found good before, as they are now.
  virtual bool checked(const AnyView& tensor) = 0;
  virtual void keep_checked(const AnyView& tensor) = 0;
};

}  // namespace tessera
