#pragma once
#include <tessera/ops/hamming.hpp>
#include <tessera/ops/topk-inl.hpp>

namespace tessera::ops {

namespace detail {

using kernels::kPanel;
constexpr const char *kHamming = "hamming_top_k", *kBitRows = "BitRows";

/// The bits of a row's last byte that are there.
constexpr std::uint8_t last_bits(index_t e) noexcept { return static_cast<std::uint8_t>(0xff << (8 * bit_bytes(e) - e)); }

inline std::size_t panel_bytes(index_t n, index_t e) {
  if (e < 1 || bit_bytes(e) > kernels::kMostRowBytes) fail(Code::kLimit, kBitRows, "rows must have 1 to 65,528 bits");
  if (n >= index_t{1} << 32) fail(Code::kLimit, kBitRows, "ids have 32 bits");
  return static_cast<std::size_t>((n + kPanel - 1) / kPanel * kPanel * bit_bytes(e));
}

/// Panels of rows that bytes_of(row, room for one) returns.
template <class F>
BitRows pack_panels(Context& ctx, index_t n, index_t e, const F& bytes_of) {
  const index_t bytes = bit_bytes(e);
  Buffer panels(panel_bytes(n, e));
  ctx.parallel_for((n + kPanel - 1) / kPanel, [&](index_t p, int) {
    std::uint8_t room[kernels::kMostRowBytes];
    std::uint8_t* const panel = panels.as<std::uint8_t>() + p * kPanel * bytes;
    if (n - p * kPanel < kPanel) std::fill_n(panel, kPanel * bytes, std::uint8_t{0});
    for (index_t r = 0; r < std::min(kPanel, n - p * kPanel); ++r) {
      const std::uint8_t* const row = bytes_of(p * kPanel + r, room);
      for (index_t j = 0; j < bytes; ++j) panel[j * kPanel + r] = row[j];
      panel[(bytes - 1) * kPanel + r] &= last_bits(e);
    }
  });
  BitRows rows;
  rows.panels = PackedWeight(n, e, DType::boolean, std::move(panels));
  return rows;
}

/// What hamming_top_k() carves: the lists, and each lane's queries as the kernel reads them.
struct HammingScratch {
  TopKLists lists;
  index_t room_bytes;
  std::uint8_t* room;
  HammingScratch(Context& ctx, Arena& arena, index_t batch, index_t capacity, index_t e)
      : lists(ctx, arena, batch, capacity),
        room_bytes(table<kernels::HammingTable>(ctx).room(bit_bytes(e))),
        room(arena.carve<std::uint8_t>(ctx.threads() * room_bytes)) {}
};

inline void expect_hamming(View<const std::uint8_t, 2> queries, const BitRows& rows, const HammingOptions& o) {
  if (rows.panels.dtype() != DType::boolean) fail(Code::kUnsupported, kHamming, "rows are those of BitRows::pack()");
  expect(kHamming, "bytes of a query", queries.extent[1], bit_bytes(rows.panels.k()));
  expect_rows(kHamming, queries);
  expect_allowed(kHamming, o.allowed, rows.panels.n());
}

/// As search_panels(), of bits.
template <class F>
void search_bit_panels(Context& ctx, View<const std::uint8_t, 2> queries, const BitRows& rows, const HammingOptions& o,
                       const HammingScratch& s, const SharedFloors& shared, index_t capacity, const F& f) {
  const index_t batch = queries.extent[0], n = rows.panels.n(), e = rows.panels.k();
  const auto search = table<kernels::HammingTable>(ctx).search;
  const auto* const panels = reinterpret_cast<const std::uint8_t*>(rows.panels.data());
  for_panels(
      ctx, batch, n, o.allowed, s.lists, shared, capacity, [&](kernels::Selection& list, int lane, index_t p0, index_t p1) {
        f(list, lane, [&] {
          search(
              {queries.data, queries.stride[0], bit_bytes(e), last_bits(e), panels, n, s.room + lane * s.room_bytes, &list},
              0, batch, p0, p1);
        });
      });
}

}  // namespace detail

inline void pack_bits(Context& ctx, View<const float, 2> x, View<std::uint8_t, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "pack_bits";
  expect(kOp, "rows", out.extent[0], x.extent[0]);
  expect(kOp, "bytes of a row", out.extent[1], bit_bytes(x.extent[1]));
  expect_rows(kOp, x), expect_rows(kOp, out);
  const auto pack = table<kernels::HammingTable>(ctx).pack;
  for_rows(ctx, x.extent[0], 64, [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) pack(x.data + r * x.stride[0], x.extent[1], out.data + r * out.stride[0]);
  });
}

inline BitRows BitRows::pack(Context& ctx, View<const float, 2> rows) {
  using namespace detail;
  expect_rows(kBitRows, rows);
  const index_t e = rows.extent[1];
  const auto pack = table<kernels::HammingTable>(ctx).pack;
  return pack_panels(ctx, rows.extent[0], e, [&](index_t r, std::uint8_t* room) {
    pack(rows.data + r * rows.stride[0], e, room);
    return room;
  });
}

inline BitRows BitRows::pack(Context& ctx, View<const std::uint8_t, 2> rows, index_t e) {
  using namespace detail;
  expect_rows(kBitRows, rows);
  expect(kBitRows, "bytes of a row", rows.extent[1], bit_bytes(e));
  return pack_panels(ctx, rows.extent[0], e, [&](index_t r, std::uint8_t*) { return rows.data + r * rows.stride[0]; });
}

inline BitRows BitRows::borrow(index_t n, index_t e, std::span<const std::byte> panels, std::shared_ptr<const void> owner) {
  using namespace detail;
  const auto wanted = static_cast<index_t>(panel_bytes(n, e));
  expect(kBitRows, "bytes of the panels", static_cast<index_t>(panels.size()), wanted);
  BitRows rows;
  rows.panels = PackedWeight(n, e, DType::boolean, panels, std::move(owner));
  return rows;
}

inline void BitRows::unpack(Context& ctx, View<std::uint8_t, 2> out) const {
  using namespace detail;
  const index_t n = panels.n(), bytes = bit_bytes(panels.k());
  expect(kBitRows, "rows", out.extent[0], n);
  expect(kBitRows, "bytes of a row", out.extent[1], bytes);
  expect_rows(kBitRows, out);
  const auto* const from = reinterpret_cast<const std::uint8_t*>(panels.data());
  for_rows(ctx, n, 256, [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r)
      for (index_t j = 0; j < bytes; ++j) out(r, j) = from[(r / kPanel * bytes + j) * kPanel + r % kPanel];
  });
}

inline std::size_t hamming_scratch(Context& ctx, index_t batch, index_t k, const BitRows& rows) {
  Arena need = Arena::counting();
  const index_t capacity = detail::list_capacity(std::min(k, rows.panels.n()));
  (void)detail::HammingScratch(ctx, need, batch, capacity, rows.panels.k());
  return need.peak();
}

inline void hamming_top_k(Context& ctx, View<const std::uint8_t, 2> queries, const BitRows& rows, const HammingOptions& o,
                          const TopK& out) {
  using namespace detail;
  const index_t batch = queries.extent[0], n = rows.panels.n();
  expect_hamming(queries, rows, o);
  expect_topk(kHamming, batch, n, out);
  if (batch == 0) return;
  const index_t k = std::min(out.ids.extent[1], n), capacity = list_capacity(k);
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(hamming_scratch(ctx, batch, k, rows));
  const ArenaScope scope(arena);
  const HammingScratch s(ctx, arena, batch, capacity, rows.panels.k());
  s.lists.begin(batch, ctx.threads(), capacity, o.least);
  const SharedFloors shared{k, s.lists.shared};
  search_bit_panels(ctx, queries, rows, o, s, shared, capacity, [&](kernels::Selection& list, int, const auto& run) {
    list.shrink = SharedFloors::shrink, list.state = &shared;
    run();
  });
  write_lists(ctx, batch, s.lists, capacity, out);
}

}  // namespace tessera::ops
