#pragma once
#include <cstring>
#include <utility>

#include <tessera/ops/detail/product.hpp>
#include <tessera/ops/hamming.hpp>
#include <tessera/ops/stack_rows.hpp>

namespace tessera::ops {

// A row is a lane: every word of it is `lanes` words from the next, whatever a word means.
inline PackedWeight stack_rows(std::span<const PackedWeight> parts) {
  if (parts.empty()) throw Error(Code::kBadArgument, "stack_rows: no parts");
  const DType dtype = parts[0].dtype();
  const index_t k = parts[0].k();
  index_t n = 0;
  for (const PackedWeight& p : parts) {
    if (p.dtype() != dtype || p.k() != k || p.gated())
      throw Error(Code::kBadArgument, "stack_rows: parts of different types or columns, or gated ones");
    n += p.n();
  }
  const bool bits = dtype == DType::boolean;
  const auto lanes = static_cast<std::size_t>(bits ? kernels::kPanel : kernels::kSlice), size = bits ? 1 : sizeof(float),
             words = static_cast<std::size_t>(bits ? bit_bytes(k) : detail::packed_words(dtype, k)),
             group = lanes * words * size;
  Buffer all((static_cast<std::size_t>(n) + lanes - 1) / lanes * group);
  std::byte* const to = all.as<std::byte>();
  std::memset(to, 0, all.bytes());
  std::size_t row = 0;
  for (const PackedWeight& p : parts)
    for (std::size_t r = 0; r < static_cast<std::size_t>(p.n()); ++r, ++row) {
      const std::byte* const src = p.data() + r / lanes * group + r % lanes * size;
      std::byte* const dst = to + row / lanes * group + row % lanes * size;
      for (std::size_t w = 0; w < words; ++w) std::memcpy(dst + w * lanes * size, src + w * lanes * size, size);
    }
  return PackedWeight(n, k, dtype, std::move(all));
}

}  // namespace tessera::ops
