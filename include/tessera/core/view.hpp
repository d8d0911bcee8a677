// Non-owning strided arrays: View with static type and rank, AnyView as a checkpoint knows them.
#pragma once
#include <cstddef>
#include <type_traits>

#include <tessera/core/dtype.hpp>
#include <tessera/core/error.hpp>

namespace tessera {

/// Where memory lies. A view of one space is never read by the other's kernels.
enum class Space : unsigned char { host, pinned, cuda };

/// A borrowed array of `Rank` dimensions: pointer, extents and strides in elements. Trivially copyable; `View<const T, R>`
/// for inputs, to which `View<T, R>` converts. Rows may be padded; kernels want the last stride to be 1.
template <class T, int Rank>
struct View {
  static_assert(Rank >= 1 && Rank <= 5);
  T* data = nullptr;
  index_t extent[Rank] = {};
  index_t stride[Rank] = {};
  Space space = Space::host;

  View() = default;
  /// A packed row-major array.
  template <class... I>
  requires(sizeof...(I) == Rank && (std::is_integral_v<I> && ...)) explicit View(T* p, I... extents)
      : data(p), extent{static_cast<index_t>(extents)...} {
    pack();
  }
  /// The same from a C array of extents.
  View(T* p, const index_t (&extents)[Rank]) : data(p) {
    for (int i = 0; i < Rank; ++i) extent[i] = extents[i];
    pack();
  }
  operator View<const T, Rank>() const noexcept requires(!std::is_const_v<T>) {
    View<const T, Rank> v;
    v.data = data;
    for (int i = 0; i < Rank; ++i) v.extent[i] = extent[i], v.stride[i] = stride[i];
    v.space = space;
    return v;
  }

  index_t size() const noexcept {
    index_t n = 1;
    for (index_t e : extent) n *= e;
    return n;
  }
  bool empty() const noexcept { return size() == 0; }
  /// Row-major without gaps.
  bool packed() const noexcept {
    index_t want = 1;
    for (int i = Rank - 1; i >= 0; --i) {
      if (extent[i] != 1 && stride[i] != want) return false;
      want *= extent[i];
    }
    return true;
  }
  /// One element; indices are not checked.
  template <class... I>
  requires(sizeof...(I) == Rank) T& operator()(I... i) const noexcept {
    const index_t at[] = {static_cast<index_t>(i)...};
    index_t o = 0;
    for (int d = 0; d < Rank; ++d) o += at[d] * stride[d];
    return data[o];
  }
  /// The sub-array at index i of the first dimension.
  View<T, Rank - 1> operator[](index_t i) const noexcept requires(Rank > 1) {
    View<T, Rank - 1> v;
    v.data = data + i * stride[0];
    for (int d = 1; d < Rank; ++d) v.extent[d - 1] = extent[d], v.stride[d - 1] = stride[d];
    v.space = space;
    return v;
  }
  /// Entries [begin, end) of the first dimension.
  View slice(index_t begin, index_t end) const noexcept {
    View v = *this;
    v.data = data + begin * stride[0];
    v.extent[0] = end - begin;
    return v;
  }

 private:
  void pack() noexcept {
    index_t s = 1;
    for (int i = Rank - 1; i >= 0; --i) stride[i] = s, s *= extent[i];
  }
};

/// A row-major array of runtime type and rank, as it stands in a file. The bytes may be misaligned for their type.
struct AnyView {
  static constexpr int kMaxRank = 8;  ///< a higher rank is legal in a file, but only its bytes are reachable
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  index_t extent[kMaxRank] = {};
  index_t bytes = 0;
  Space space = Space::host;

  index_t size() const noexcept { return bytes * 8 / bit_width(dtype); }

  /// Whether as<T, Rank>() would succeed.
  template <class T>
  bool aligned_for() const noexcept {
    return reinterpret_cast<std::size_t>(data) % alignof(T) == 0;
  }
  /// The typed view. \throws Error kShapeMismatch for another dtype or rank, kBadStride for misaligned bytes.
  template <class T, int Rank>
  View<const T, Rank> as() const {
    if (dtype != dtype_of<T>) throw Error(Code::kShapeMismatch, "view: the element type is not the one asked for");
    if (rank != Rank) throw Error(Code::kShapeMismatch, "view: the rank is not the one asked for");
    if (!aligned_for<T>()) throw Error(Code::kBadStride, "view: the bytes are not aligned for their element type");
    index_t e[Rank];
    for (int i = 0; i < Rank; ++i) e[i] = extent[i];
    View<const T, Rank> v(reinterpret_cast<const T*>(data), e);
    v.space = space;
    return v;
  }
};

}  // namespace tessera
