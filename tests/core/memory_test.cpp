#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include <tessera/core/packed_weight.hpp>

#include "support/errors.hpp"

namespace {

using namespace tessera;

bool on(const void* p, std::size_t boundary) { return reinterpret_cast<std::uintptr_t>(p) % boundary == 0; }

TEST(Buffer, IsAlignedAndWritable) {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{1} << 20, (std::size_t{2} << 20) + 1}) {
    const Buffer b(bytes);
    EXPECT_EQ(b.bytes(), bytes);
    EXPECT_EQ(b.space(), Space::host);
    EXPECT_TRUE(on(b.data(), bytes >= (std::size_t{2} << 20) ? std::size_t{2} << 20 : kAlignment)) << bytes;
    std::memset(b.data(), 0x5a, bytes);
    EXPECT_EQ(static_cast<int>(b.data()[bytes - 1]), 0x5a);
    EXPECT_EQ(b.as<std::uint8_t>()[0], 0x5a);
  }
  EXPECT_EQ(Buffer(0).data(), nullptr);
  EXPECT_EQ(Buffer().bytes(), 0U);
}
TEST(Buffer, MovesAndLeavesNothing) {
  Buffer a(100);
  std::byte* const p = a.data();
  Buffer b(std::move(a));
  EXPECT_EQ(b.data(), p);
  EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(a.bytes(), 0U);
  Buffer c(7);
  c = std::move(b);
  EXPECT_EQ(c.data(), p);
  EXPECT_EQ(c.bytes(), 100U);
  EXPECT_EQ(b.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  Buffer& same = c;
  c = std::move(same);
  EXPECT_EQ(c.data(), p);
}
TEST(Buffer, RefusesWhatItCannotHave) {
  TESSERA_EXPECT_ERROR(Code::kLimit, "address space", Buffer{(std::numeric_limits<std::size_t>::max)()});
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "cuda", Buffer{64, Space::cuda});
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "cuda", Buffer{64, Space::pinned});
}

TEST(Arena, CarvesAlignedInOrderAndCountsWhatItCarved) {
  Arena a(1000);
  EXPECT_EQ(a.capacity(), 1000U);
  float* const first = a.carve<float>(3);
  auto* const second = a.carve<std::int64_t>(9);
  EXPECT_TRUE(on(first, kAlignment));
  EXPECT_TRUE(on(second, kAlignment));
  EXPECT_EQ(reinterpret_cast<std::byte*>(second) - reinterpret_cast<std::byte*>(first), 64);
  EXPECT_EQ(a.used(), 64U + 128U);
  EXPECT_EQ(a.carve<float>(0) == nullptr, false);
  EXPECT_EQ(a.used(), 64U + 128U);
  const View<float, 2> v = a.carve2<float>(5, 7);
  EXPECT_TRUE(v.packed());
  EXPECT_EQ(v.size(), 35);
  EXPECT_EQ(a.used(), 64U + 128U + 192U);
  EXPECT_FALSE(a.is_counting());
}
TEST(Arena, CountingMeasuresWhatTheRealOneNeeds) {
  const auto work = [](Arena& a) {
    const ArenaScope all(a);
    a.carve<float>(100);
    {
      const ArenaScope part(a);
      a.carve2<double>(10, 10);
    }
    {
      const ArenaScope part(a);
      a.carve<char>(1);
    }
    a.carve<float>(1);
  };
  Arena counting = Arena::counting();
  EXPECT_TRUE(counting.is_counting());
  EXPECT_EQ(counting.carve<float>(1), nullptr);
  counting = Arena::counting();
  work(counting);
  EXPECT_EQ(counting.used(), 0U);
  EXPECT_EQ(counting.peak(), 448U + 832U);
  EXPECT_EQ(counting.carve2<float>(3, 4).extent[1], 4);  // shapes are right though there is no memory
  counting.reserve(1 << 20);
  EXPECT_EQ(counting.capacity(), 0U);

  Arena enough(448 + 832), less(448 + 831);
  EXPECT_NO_THROW(work(enough));
  EXPECT_EQ(enough.peak(), counting.peak());
  TESSERA_EXPECT_ERROR(Code::kLimit, "larger than planned", work(less));
  EXPECT_EQ(less.used(), 0U);  // scopes end in an exception too
}
TEST(Arena, GrowsOnlyWhileNothingIsCarved) {
  Arena a(64);
  {
    const ArenaScope scope(a);
    a.carve<char>(64);
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "cannot grow", a.reserve(65));
    EXPECT_NO_THROW(a.reserve(64));  // no growth
    TESSERA_EXPECT_ERROR(Code::kLimit, "larger than planned", a.carve<char>(1));
  }
  EXPECT_EQ(a.used(), 0U);
  a.reserve(4096);
  EXPECT_EQ(a.capacity(), 4096U);
  a.reserve(100);
  EXPECT_EQ(a.capacity(), 4096U);  // never shrinks
  EXPECT_NO_THROW(a.carve<char>(4096));
}
TEST(Arena, RefusesSizesThatNoMemoryHas) {
  const index_t most = std::numeric_limits<index_t>::max();
  for (Arena* a : {new Arena(4096), new Arena(Arena::counting())}) {
    TESSERA_EXPECT_ERROR(Code::kLimit, "arena", a->carve<double>(most / 4));  // 8 times that wraps round to little
    TESSERA_EXPECT_ERROR(Code::kLimit, "arena", a->carve<float>(-1));
    TESSERA_EXPECT_ERROR(Code::kLimit, "arena", (a->carve2<float>(index_t{1} << 32, index_t{1} << 32)));
    TESSERA_EXPECT_ERROR(Code::kLimit, "arena", (a->carve2<float>(-2, 8)));
    EXPECT_EQ(a->used(), 0U);
    delete a;
  }
}

TEST(PackedWeight, KnowsItsShape) {
  EXPECT_TRUE(PackedWeight().empty());
  PackedWeight w(5, 7, DType::f32, Buffer(448));
  EXPECT_FALSE(w.empty());
  EXPECT_EQ(w.n(), 5);
  EXPECT_EQ(w.k(), 7);
  EXPECT_EQ(w.bytes(), 448U);
  EXPECT_EQ(w.dtype(), DType::f32);
  EXPECT_EQ(w.space(), Space::host);
  const std::byte* const p = w.data();
  const PackedWeight moved(std::move(w));
  EXPECT_EQ(moved.data(), p);
  const PackedWeight copied = moved;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(copied.data(), p);
}

TEST(PackedWeight, BorrowsBytesOfAnOwner) {
  auto owner = std::make_shared<Buffer>(std::size_t{64});
  const std::weak_ptr<Buffer> watch = owner;
  {
    const PackedWeight w(1, 16, DType::f32, {owner->data(), owner->bytes()}, owner, true);
    EXPECT_EQ(w.data(), owner->data());
    EXPECT_EQ(w.bytes(), 64U);
    EXPECT_TRUE(w.gated());
    owner.reset();
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(WeightView, IsAViewOfAnyType) {
  const float f[] = {1, 2, 3, 4, 5, 6};
  View<const float, 2> v(f, 3, 2);
  const WeightView w = v;
  EXPECT_EQ(w.floats(), f);
  EXPECT_EQ(w.slice(1, 3).floats(), f + 2);
  EXPECT_EQ(w.slice(1, 3).extent[0], 2);
  WeightView half = w;
  half.dtype = DType::bf16;
  EXPECT_EQ(half.floats(), nullptr);
  EXPECT_EQ(half.slice(2, 3).data, half.data + 8);
  WeightView odd = w;
  odd.data += 1;
  EXPECT_EQ(odd.floats(), nullptr);
}

}  // namespace
