// Search by Hamming distances. Included inside an ISA namespace that has u8x64 and u16x64, sixty-four rows each.
//
// How bits that differ are counted, a Counter knows: kQueries is the most queries that share a pass over a panel, kPrepared
// what prepare() makes of a byte of a query, Rows and rows() what is made of the bytes of 64 rows, and add(sum, rows, query)
// adds to each row's sum in how many bits the two bytes differ.

constexpr index_t kByteSums = 31;  // bytes whose differences, up to 8 each, a sum of 8 bits holds

// `Queries` of them, prepared as [bytes][Queries][kPrepared], by panels [p0, p1).
template <class Counter, int Queries>
TESSERA_NOINLINE void pass_bits(const HammingArgs& g, index_t row, index_t p0, index_t p1) noexcept {
  const Selection& to = *g.selection;
  for (index_t p = p0; p < p1; ++p) {
    const index_t column = p * kPanel, width = g.n - column;
    std::uint64_t open = width >= kPanel ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1;
    if (to.allowed) open &= to.allowed[p];
    if (open == 0) continue;
    const std::uint8_t *w = g.rows + column * g.bytes, *q = g.room;
    u16x64 sums[Queries] = {};
    for (index_t left = g.bytes; left > 0; left -= kByteSums) {
      u8x64 counts[Queries] = {};
      for (index_t j = left < kByteSums ? left : kByteSums; j > 0; --j) {
        const typename Counter::Rows rows = Counter::rows(w);
        TESSERA_UNROLL
        for (int i = 0; i < Queries; ++i) Counter::add(counts[i], rows, q + i * Counter::kPrepared);
        w += kPanel, q += Queries * Counter::kPrepared;
      }
      TESSERA_UNROLL
      for (int i = 0; i < Queries; ++i) widen_add(sums[i], counts[i]);
    }
    TESSERA_UNROLL
    for (int i = 0; i < Queries; ++i) {
      const float floor = to.floors[row + i];
      if (!(floor <= 0.0f)) continue;
      const std::uint64_t found = not_above(sums[i], floor < -65535.0f ? 65535 : static_cast<int>(-floor)) & open;
      if (found == 0) continue;
      std::uint16_t t[kPanel];
      store_words(t, sums[i]);
      keep_found(to, row + i, found, column, [&](int j) {
        const int word = j % 2 * 32 + j / 2;
        return static_cast<float>(-t[word]);
      });
    }
  }
}

// The most queries at a time, and what is left in halves of that.
template <class Counter, int Queries>
TESSERA_INLINE void pass_queries(const HammingArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) {
  for (; m1 - m0 >= Queries; m0 += Queries) {
    std::uint8_t* to = g.room;
    for (index_t j = 0; j < g.bytes; ++j)
      for (index_t i = 0; i < Queries; ++i, to += Counter::kPrepared)
        Counter::prepare(g.queries[(m0 + i) * g.ldq + j] & (j + 1 < g.bytes ? 0xff : g.last_mask), to);
    pass_bits<Counter, Queries>(g, m0, p0, p1);
  }
  if constexpr (Queries > 1) pass_queries<Counter, Queries / 2>(g, m0, m1, p0, p1);
}
template <class Counter>
void search_bits(const HammingArgs& g, index_t m0, index_t m1, index_t p0, index_t p1) noexcept {
  pass_queries<Counter, Counter::kQueries>(g, m0, m1, p0, p1);
}
template <class Counter>
index_t bits_room(index_t bytes) {
  return bytes * Counter::kQueries * Counter::kPrepared;
}

inline void pack_bits(const float* x, index_t n, std::uint8_t* bytes) noexcept {
  const f32x16 smallest = set1(0x1p-149f);
  for (index_t i = 0; i < n; i += 16) {
    unsigned bits = not_less(load_n(x + i, n - i, 0.0f), smallest);  // of each byte the lowest one first: turned
    bits = (bits & 0x5555U) << 1 | (bits >> 1 & 0x5555U);
    bits = (bits & 0x3333U) << 2 | (bits >> 2 & 0x3333U);
    bits = (bits & 0x0f0fU) << 4 | (bits >> 4 & 0x0f0fU);
    bytes[i / 8] = static_cast<std::uint8_t>(bits);
    if (n - i > 8) bytes[i / 8 + 1] = static_cast<std::uint8_t>(bits >> 8);
  }
}
