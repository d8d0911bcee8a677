// What a matrix product says to the register tiles, which may be of another instruction set than itself.
#pragma once
#include <tessera/tables/gemm.hpp>

namespace tessera::kernels {

/// Some rows of A as tiles take them, `ld` words apart, and how each was rounded, or null.
struct TileRows {
  const float* data;
  index_t ld;
  const RowRounding* rounding;
};

/// What a tile asks for at each word besides its own lines: the line at `ahead`; those of all its slices of the panel there,
/// which lie as far apart as its own; nothing.
enum class Fetch : unsigned char { line, slices, nothing };

/// Words [k0, k1) of rows of A by slices of W, `stride` words apart, into t. Handed on by reference: a copy would be read in
/// wider parts than it was just written in, and wait until all stores before it, those of the last tile of C, have left.
struct TileArgs {
  const float* a;
  index_t lda;
  const float* w;
  index_t stride, k0, k1;
  float* t;
  index_t ldt;
  const char* ahead;  ///< fetched on the way, `step` bytes further each time
  index_t step;
  Fetch fetch = Fetch::line;
};

/// How gemm() goes about a product. The sixteen columns of a slice of W have `head` words each before those of k; where
/// there are any, tiles sum integers, of which the head and the rounding of the row of A make floats.
struct Tiling {
  int numbers;           ///< that make a word
  int rows;              ///< the most that tiles() takes
  int lines = 1;         ///< of sixteen floats that a word of a slice takes
  bool balanced = true;  ///< the rows of a block are shared out evenly
  index_t align = 1;     ///< a part of k is a multiple of so many words
  index_t head = 0;
  void (*tiles)(index_t rows, index_t slices, const TileArgs& args);
  /// Row `row` of rows that tiles take, row_ld(k) words for each, from one of A. Null where they take those of A.
  RowRounding (*round_row)(const float* from, index_t k, float* rows, index_t row) = nullptr;
  index_t (*row_ld)(index_t k) = nullptr;
  std::int32_t (*number_at)(const TileRows& a, index_t row, index_t k) = nullptr;  ///< of rows that are integers
  void (*begin)() = nullptr, (*end)() = nullptr;                                   ///< around all tiles, or null
  /// The same product by words of more lines, which its widen() makes of a slice's, at `to`. It may stand before w, but by
  /// no more than it writes beyond it.
  const Tiling* wide = nullptr;
  void (*widen)(const float* w, index_t words, float* to) = nullptr;
};
inline constexpr int kMostTileRows = 32;
/// Words of a rounded row of k numbers, `numbers` in a word, whole sixteens of numbers. Rows that are a power of two apart
/// would share their places in the first-level cache. Inlined always, or units of one instruction set would emit it for all.
[[gnu::always_inline]] constexpr index_t row_words(index_t k, index_t numbers) noexcept {
  return ((k + 15) / 16 * 16 + (k % 256 == 0 ? 16 : 0)) / numbers;
}

}  // namespace tessera::kernels
