#include <tessera/core/view.hpp>

#include <cstdint>
#include <type_traits>

#include "support/errors.hpp"

namespace {

using namespace tessera;

static_assert(std::is_trivially_copyable_v<View<float, 3>>);
static_assert(std::is_convertible_v<View<float, 2>, View<const float, 2>>);
static_assert(!std::is_convertible_v<View<const float, 2>, View<float, 2>>);
static_assert(!std::is_convertible_v<View<float, 2>, View<float, 1>>);

TEST(View, PackedRowMajor) {
  int n[24];
  for (int i = 0; i < 24; ++i) n[i] = i;
  const View<int, 3> v(n, 2, 3, 4);
  EXPECT_EQ(v.size(), 24);
  EXPECT_TRUE(v.packed());
  EXPECT_FALSE(v.empty());
  EXPECT_EQ(v(1, 2, 3), 23);
  EXPECT_EQ(v(1, 0, 2), 14);
  const index_t extents[] = {2, 3, 4};
  const View<int, 3> same(n, extents);
  for (int d = 0; d < 3; ++d) EXPECT_EQ(same.stride[d], v.stride[d]);
}
TEST(View, DefaultIsEmpty) {
  const View<float, 2> v;
  EXPECT_EQ(v.data, nullptr);
  EXPECT_TRUE(v.empty());
  EXPECT_EQ(v.size(), 0);
}
TEST(View, SubArraysAndSlicesKeepStridesAndSpace) {
  int n[60];
  for (int i = 0; i < 60; ++i) n[i] = i;
  View<int, 3> v(n, 3, 2, 4);
  v.stride[0] = 20, v.stride[1] = 5, v.space = Space::pinned;  // padded on two levels
  EXPECT_FALSE(v.packed());
  const View<int, 2> second = v[1];
  EXPECT_EQ(second.extent[0], 2);
  EXPECT_EQ(second.extent[1], 4);
  EXPECT_EQ(second.stride[0], 5);
  EXPECT_EQ(second.space, Space::pinned);
  EXPECT_EQ(second(1, 3), 28);
  const View<int, 3> last = v.slice(1, 3);
  EXPECT_EQ(last.extent[0], 2);
  EXPECT_EQ(last.stride[0], 20);
  EXPECT_EQ(last.space, Space::pinned);
  EXPECT_EQ(last(1, 1, 0), 45);
  EXPECT_TRUE(v.slice(2, 2).empty());
  v(2, 1, 3) = -7;
  EXPECT_EQ(n[48], -7);
}
TEST(View, ConstConversionKeepsEverything) {
  float n[30] = {};
  View<float, 2> v(n, 3, 7);
  v.stride[0] = 10, v.space = Space::pinned;
  const View<const float, 2> c = v;
  EXPECT_EQ(c.data, n);
  for (int d = 0; d < 2; ++d) {
    EXPECT_EQ(c.extent[d], v.extent[d]);
    EXPECT_EQ(c.stride[d], v.stride[d]);
  }
  EXPECT_EQ(c.space, Space::pinned);
}
TEST(View, PackedIgnoresTheStrideOfSingleRows) {
  float n[40] = {};
  View<float, 2> v(n, 1, 4);
  v.stride[0] = 10;  // never taken
  EXPECT_TRUE(v.packed());
  v = View<float, 2>(n, 4, 1);
  v.stride[1] = 3;
  EXPECT_TRUE(v.packed());
  v.stride[0] = 3;
  EXPECT_FALSE(v.packed());
  v = View<float, 2>(n, 2, 4);
  v.stride[1] = 2;
  EXPECT_FALSE(v.packed());
}

TEST(DType, NamesAndWidths) {
  EXPECT_STREQ(dtype_name(DType::boolean), "BOOL");
  EXPECT_STREQ(dtype_name(DType::bf16), "BF16");
  EXPECT_STREQ(dtype_name(DType::f32), "F32");
  EXPECT_STREQ(dtype_name(DType::u64), "U64");
  EXPECT_EQ(bit_width(DType::f4), 4);
  EXPECT_EQ(bit_width(DType::f6_e3m2), 6);
  EXPECT_EQ(bit_width(DType::f8_e4m3fnuz), 8);
  EXPECT_EQ(bit_width(DType::c64), 64);
  for (int t = 0; t < kDTypeCount; ++t) {
    EXPECT_GT(bit_width(static_cast<DType>(t)), 0) << t;
    EXPECT_GT(std::string(dtype_name(static_cast<DType>(t))).size(), 1U) << t;
  }
  static_assert(bit_width(dtype_of<bool>) == 8 && bit_width(dtype_of<double>) == 64);
  static_assert(bit_width(dtype_of<f16>) == 8 * sizeof(f16) && bit_width(dtype_of<bf16>) == 8 * sizeof(bf16));
  static_assert(bit_width(dtype_of<std::uint16_t>) == 16 && bit_width(dtype_of<std::int64_t>) == 64);
}

AnyView any(const void* data, DType dtype, int rank, index_t rows, index_t columns) {
  AnyView v;
  v.data = static_cast<const std::byte*>(data), v.dtype = dtype, v.rank = rank;
  v.extent[0] = rows, v.extent[1] = columns;
  v.bytes = rows * columns * bit_width(dtype) / 8;
  return v;
}

TEST(AnyView, BecomesTheTypedViewOfItsTypeAndRankOnly) {
  alignas(8) float n[7] = {0, 1, 2, 3, 4, 5, 6};
  AnyView v = any(n, DType::f32, 2, 2, 3);
  v.space = Space::pinned;
  const auto typed = v.as<float, 2>();
  EXPECT_EQ(typed.data, n);
  EXPECT_EQ(typed.extent[0], 2);
  EXPECT_EQ(typed.extent[1], 3);
  EXPECT_TRUE(typed.packed());
  EXPECT_EQ(typed.space, Space::pinned);
  EXPECT_EQ(v.size(), 6);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "element type", (void)(v.as<std::int32_t, 2>()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rank", (void)(v.as<float, 1>()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "rank", (void)(v.as<float, 3>()));
}
TEST(AnyView, MisalignedBytesAreRefusedNotRead) {
  alignas(8) std::byte bytes[64] = {};
  for (const int off : {0, 1, 2, 3, 4}) {
    const AnyView v = any(bytes + off, DType::f32, 2, 2, 3);
    EXPECT_EQ(v.aligned_for<float>(), off % 4 == 0);
    if (off % 4 == 0) {
      EXPECT_NO_THROW((void)(v.as<float, 2>()));
    } else {
      TESSERA_EXPECT_ERROR(Code::kBadStride, "aligned", (void)(v.as<float, 2>()));
    }
  }
}
TEST(AnyView, SizeCountsElementsOfSubByteTypesToo) {
  EXPECT_EQ(any(nullptr, DType::f4, 2, 4, 6).size(), 24);
  EXPECT_EQ(any(nullptr, DType::f6_e2m3, 2, 4, 6).size(), 24);
  EXPECT_EQ(any(nullptr, DType::f64, 2, 4, 6).size(), 24);
  EXPECT_EQ(any(nullptr, DType::f32, 2, 0, 6).size(), 0);
}

}  // namespace
