// Matrix products over packed panels. Panels: W [N, K] as [ceil(N / 16)][K][16], output channels beyond N zero; in bf16 as
// [ceil(N / 16)][ceil(K / 2)][16][2], in int8 as [ceil(N / 16)][4 + ceil(K / 4)][16][4], K filled up with zeros. A word is
// 32 bits: an f32, a pair of bf16, four int8. The first four words of a column of int8 are a head.
#pragma once
#include <tessera/tables/activation.hpp>

namespace tessera::kernels {

/// Columns of a panel: what one full register tile covers.
inline constexpr index_t kPanel = 64;
/// Columns of a slice; a panel is four of them, one after the other.
inline constexpr index_t kSlice = 16;
/// Rows that pass under a panel before the next one: with kDepth of k they stay in L2.
inline constexpr index_t kRowBlock = 240;
/// The longest part of k, in words of W, that is worked off before the next panel's, and the panels that wait for the next
/// part meanwhile.
inline constexpr index_t kDepth = 1024, kGroupPanels = 4;
/// Numbers of GemmArgs::sums.
inline constexpr index_t kGemmSums = kRowBlock * kGroupPanels * kPanel;
/// Rows of a block whose k has so many words. Inlined always, or units of one instruction set would emit it for all.
[[gnu::always_inline]] constexpr index_t rows_of_block(index_t words) noexcept {
  return words > kDepth ? kRowBlock : kRowBlock * kDepth / words;
}
/// Words of a column of int8 before those of k, each a row of a slice: its weights are scale * q, but one of them, scale *
/// (q + excess). f32, then int32.
inline constexpr index_t kInt8Scale = 0, kInt8Sum = 1, kInt8Excess = 2, kInt8Outlier = 3, kInt8Head = 4;
/// K that int8 may have, and how many steps an outlier of A and one of W may be from 0: sums of 255 * 127 K, and what
/// outliers add to them, then fit into 32 bits.
inline constexpr index_t kInt8MostK = 56 * 1024, kInt8MostSteps = index_t{1} << 16, kInt8MostWeightSteps = index_t{1} << 12;
/// Rows under a panel from which on it pays to take its words apart once.
inline constexpr index_t kWidenRows = 24;
/// Room is for rows in groups of so many, so that tiles may read whole ones.
inline constexpr index_t kRowGroup = 32;

/// How a row of A was rounded to bytes: its numbers are scale * (q - zero), but one of them, scale * (q - zero + excess).
struct RowRounding {
  float scale;
  std::int32_t zero, excess;
  std::int32_t outlier;  ///< which
};
/// Rows [begin, end) of A, rounded. The caller's room for one lane: what is in it serves the next call of one product.
struct RoundedRows {
  float* data;            ///< [rows_of_block() in whole groups, row_ld()], 64-byte aligned
  RowRounding* rounding;  ///< [rows_of_block() in whole groups]
  index_t begin, end;
  float* wide;         ///< [kPanel, wide_words, 2], with glu twice: a panel's words taken apart, once for all rows; or null
  index_t wide_words;  ///< longer parts of k stay as they are
};

/// What is kept of a row of products instead of the row: its largest ones. A key is a score and its column, the score above
/// and turned so that a larger key is a better one: of equal scores that of the lower column (selection_key()).
struct Selection {
  std::uint64_t* keys;  ///< [rows of A, capacity]
  index_t capacity;
  index_t* counts;  ///< [rows of A]: keys there
  index_t* limits;  ///< [rows of A]: so many at most, up to capacity, and more than shrink() leaves
  float* floors;    ///< [rows of A]: lower scores are left out
  /// What is added to products at first: slack[row of A] * slack_of[column]; null: nothing. Both are 0 or more.
  const float *slack, *slack_of;
  const std::uint64_t* allowed;  ///< [columns / 64] bit j of word i: whether column 64 i + j may be kept; null: all
  const std::uint32_t* ids;      ///< [columns]: what stands for a column in its key; null: the column
  void (*shrink)(const Selection&, index_t row) noexcept;  ///< makes room in a full row, and may raise its floor
  const void* state;
};
/// Of a score that is not NaN. The zeros are one. Inlined always, as rows_of_block() is.
[[gnu::always_inline]] inline std::uint64_t selection_key(float score, index_t column) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, score + 0.0f);
  const std::uint32_t turned = bits >> 31 ? ~bits : bits | 0x80000000U;
  return static_cast<std::uint64_t>(turned) << 32 | (0xffffffffU - static_cast<std::uint32_t>(column));
}

/// What is kept of a row of products instead of the row: the largest one of each group of columns, and where it is.
struct GroupMaxima {
  const index_t*
      begins;  ///< [groups + 1], ascending: group i has columns [begins[i], begins[i + 1]); others are passed over
  index_t groups;
  float* most;          ///< [rows of A, groups]: raised where a product is above it
  std::int32_t* place;  ///< [rows of A, place_ld]: of that product in its group, of equal ones the first; or null
  index_t place_ld;
};

/// C[m, n] = residual + channel_scale[n] * act(A[m, :] . W[n, :] + bias[n]); with `glu`, act(gate) * up instead of act.
struct GemmArgs {
  const float* a;
  index_t lda, k;
  const float* w;  ///< slices of words; with glu gate and up panels of 64 columns alternate
  index_t n;
  float* c;
  index_t ldc;
  const float* bias = nullptr;           ///< [n], with glu [2 n]: gate, then up
  const float* channel_scale = nullptr;  ///< [n]
  const float* residual = nullptr;       ///< rows as C's; may be C
  index_t ldr = 0;
  Activation act = Activation::identity;
  bool glu = false;
  const GroupMaxima* maxima = nullptr;   ///< instead of C: of A . W^T alone
  const Selection* selection = nullptr;  ///< instead of C: of (A . W^T + bias) * channel_scale, no activation or residual
  float* sums = nullptr;  ///< [kGemmSums], 64-byte aligned: what chains of more than kDepth words wait in (not glu), or null
  RoundedRows* rows = nullptr;  ///< but for f32
  index_t stride = 1;           ///< the caller's next panel after p1 - 1 is that many further: it is fetched ahead
  index_t row_words = 0;        ///< from one column of a slice's to the next, in words of k; 0: those of k, else not int8
};

/// Independent multiply-adds, as many chains as registers hold: the most that the machine can do.
struct Peak {
  float (*run)(index_t steps) noexcept;  ///< returns what keeps them alive
  index_t flops;                         ///< multiplications and additions of a step
};

struct GemmTable {
  /// Rows [m0, m1) x panels [p0, p1) of C. Each element is one FMA chain over k from 0, whatever the ranges.
  void (*gemm)(const GemmArgs& args, index_t m0, index_t m1, index_t p0, index_t p1) noexcept;
  /// Slices [s0, s1) of W [n, k] (row stride ldw): dst is the start of all slices.
  void (*pack)(const float* w, index_t ldw, index_t n, index_t k, index_t s0, index_t s1, float* dst) noexcept;
  /// The microkernel alone, `repeat` times on 6 x 64 from L1/L2: for the benchmark's share of peak.
  void (*tile)(const float* a, index_t lda, const float* w, index_t k, float* t, index_t repeat) noexcept;
  Peak peak;
  int tile_rows;  ///< rows of the full register tile
};

/// Products whose rows of A are rounded before.
struct RoundedGemm {
  void (*gemm)(const GemmArgs& args, index_t m0, index_t m1, index_t p0, index_t p1) noexcept;
  void (*pack)(const float* w, index_t ldw, index_t n, index_t k, index_t s0, index_t s1, float* dst) noexcept;
  index_t (*row_ld)(index_t k);  ///< words from one rounded row to the next
  Peak peak;
  bool widens = false;  ///< RoundedRows::wide is of use
};
/// Weights of bf16: A is rounded to bf16 (to nearest even; subnormal numbers to zero), sums are f32. Each element is the
/// chain of vdpbf16ps from 0: for each pair of k ascending, fma of its second element, then of its first, subnormal inputs
/// and results counting as zero.
struct Bf16GemmTable : RoundedGemm {};
/// The same with sums in whatever order the machine is fastest.
struct FastBf16GemmTable : RoundedGemm {};
/// Weights of int8, a scale for each output channel, and A rounded to bytes, a scale and a zero for each row; sums are
/// exact.
struct Int8GemmTable : RoundedGemm {
  /// What rounding moved the weights of slices [s0, s1) by and what they are: sums of squares, two for each slice.
  void (*rounding)(const float* slices, index_t k, index_t s0, index_t s1, double* out) noexcept;
};

}  // namespace tessera::kernels
