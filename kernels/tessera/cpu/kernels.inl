// Every family once, in terms of f32x16, and its table. Included once per ISA, after its vocabulary. A program compiles the
// kernels of the tables that it asks for.
// The order matters.
// clang-format off
#include <tessera/cpu/math.inl>
#include <tessera/cpu/tile.inl>
#include <tessera/cpu/gemm.inl>
#include <tessera/cpu/bf16.inl>
#include <tessera/cpu/int8.inl>
#include <tessera/cpu/norm.inl>
#include <tessera/cpu/attention.inl>
#include <tessera/cpu/embed.inl>
#include <tessera/cpu/merge.inl>
#include <tessera/cpu/hamming.inl>
#include <tessera/cpu/resample.inl>
#include <tessera/cpu/residual.inl>
#include <tessera/cpu/rotary.inl>
// clang-format on

template <class Table>
struct Family;

template <>
struct Family<GemmTable> {
  static constexpr GemmTable kTable{gemm<Float32>, pack, tile_probe, kPeak<Float32>, kTileRows};
};
template <>
struct Family<Bf16GemmTable> {
  static constexpr Bf16GemmTable kTable{{gemm<Bf16ByFma>, pack_bf16, bf16_row_ld, kPeak<Bf16ByFma>, true}};
};
template <>
struct Family<FastBf16GemmTable> {
  static constexpr FastBf16GemmTable kTable{Family<Bf16GemmTable>::kTable};
};
template <>
struct Family<Int8GemmTable> {
  static constexpr Int8GemmTable kTable{{gemm<Int8ByParts>, pack_int8, Int8ByParts::row_ld, kPeak<Int8ByParts>},
                                        int8_rounding};
};
template <>
struct Family<NormTable> {
  static constexpr NormTable kTable{layer_norm_rows<false>,
                                    layer_norm_rows<true>,
                                    rms_norm_rows<false>,
                                    rms_norm_rows<true>,
                                    l2_normalize,
                                    dot,
                                    chains,
                                    squared_distances,
                                    hadamard,
                                    all_finite};
};
template <>
struct Family<ActivationTable> {
  static constexpr ActivationTable kTable{activate};
};
template <>
struct Family<AttentionTable> {
  static constexpr AttentionTable kTable{attention_head<Float32>, attention_scratch<Float32>};
};
template <>
struct Family<Bf16AttentionTable> {
  static constexpr Bf16AttentionTable kTable{{attention_head<Bf16Widened>, attention_scratch<Bf16Widened>}};
};
template <>
struct Family<EmbedTable> {
  static constexpr EmbedTable kTable{embed, pool, combine};
};
template <>
struct Family<MergeTable> {
  static constexpr MergeTable kTable{head_sum, nearest, energy, merge};
};
template <>
struct Family<ResampleTable> {
  static constexpr ResampleTable kTable{resample_horizontal, resample_vertical, resample_weigh};
};
template <>
struct Family<ResidualTable> {
  static constexpr ResidualTable kTable{encode_residuals, decode_residuals, interact};
};
template <>
struct Family<RotaryTable> {
  static constexpr RotaryTable kTable{rotate};
};
template <>
struct Family<HammingTable> {
  static constexpr HammingTable kTable{search_bits<BitCounter>, bits_room<BitCounter>, pack_bits};
};
