// Every family once, in terms of f32x16, and the table that names them. Included once per ISA, after its vocabulary.
// The order matters.
// clang-format off
#include <tessera/cpu/math.inl>
#include <tessera/cpu/gemm.inl>
#include <tessera/cpu/norm.inl>
#include <tessera/cpu/attention.inl>
#include <tessera/cpu/embed.inl>
// clang-format on

inline constexpr Tables kTables{
    TESSERA_ISA_NAME,
    {gemm, pack, tile_probe, peak, kTileRows, kPeakChains},
    {layer_norm, rms_norm, l2_normalize, dot, all_finite},
    {activate},
    {attention_head, attention_scratch},
    {embed, pool},
};
