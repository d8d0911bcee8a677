// Search among rows of bits, as embeddings that were reduced to their signs.
#pragma once
#include <span>

#include <tessera/ops/topk.hpp>

namespace tessera::ops {

/// Bytes of a row of E bits.
constexpr index_t bit_bytes(index_t e) noexcept { return (e + 7) / 8; }

/// bit = x > 0, which it is not for NaN, eight to a byte, the first one the highest; what is missing of the last byte is 0.
/// That is numpy.packbits(x > 0, axis=1), and what sentence-transformers' quantize_embeddings() calls "ubinary".
/// \param x [N, E] f32, rows may be padded. \param out [N, bit_bytes(E)]. \throws Error kShapeMismatch, kBadStride.
void pack_bits(Context& ctx, View<const float, 2> x, View<std::uint8_t, 2> out);

/// The rows [N, E] of a collection, a bit each number, in the layout of the kernels: the same for every ISA.
struct BitRows {
  PackedWeight panels;  ///< of n() rows and k() bits; DType::boolean

  BitRows() = default;
  /// Of f32, by pack_bits(). \throws Error kBadStride, kLimit without bits or with more than 65,528, or 2^32 rows.
  static BitRows pack(Context& ctx, View<const float, 2> rows);
  /// Of rows that pack_bits() or numpy made: [N, bit_bytes(e)]; bits behind the last one mean nothing. \throws Error as
  /// above, kShapeMismatch.
  static BitRows pack(Context& ctx, View<const std::uint8_t, 2> rows, index_t e);
  /// Panels of another process or machine, in memory that `owner` keeps. \throws Error kShapeMismatch, kLimit.
  static BitRows borrow(index_t n, index_t e, std::span<const std::byte> panels, std::shared_ptr<const void> owner);
  /// The rows as pack_bits() has them. \param out [N, bit_bytes(E)]. \throws Error kShapeMismatch, kBadStride.
  void unpack(Context& ctx, View<std::uint8_t, 2> out) const;
};

struct HammingOptions {
  View<const std::uint64_t, 1> allowed = {};  ///< as TopKOptions::allowed
  float least = -__builtin_inff();            ///< lower scores are not found: -7 leaves what differs in 7 bits or less
};

/// The k nearest rows by Hamming distance: top_k() with score = -(number of bits that differ), exact.
/// \param queries [B, bit_bytes(E)], as pack_bits() makes them; bits behind the last one mean nothing.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument, kLimit, with `out` untouched.
/// Order: by score, higher first, then by id, lower first.
/// Determinism: same ids and scores for any batch, thread count, ISA.
/// Scratch: hamming_scratch() bytes of the context's arena, which grows to them if nothing is carved from it.
/// Source: candidates of Yamada, Asai, Hajishirzi, "Efficient Passage Retrieval with Hashing for Open-domain Question
/// Answering" (arXiv 2106.00882).
void hamming_top_k(Context& ctx, View<const std::uint8_t, 2> queries, const BitRows& rows, const HammingOptions& options,
                   const TopK& out);
std::size_t hamming_scratch(Context& ctx, index_t batch, index_t k, const BitRows& rows);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/hamming-inl.hpp>
#endif
