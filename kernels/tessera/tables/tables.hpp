// All kernel families. A backend has one table of function pointers for each.
#pragma once
#include <tessera/tables/activation.hpp>
#include <tessera/tables/attention.hpp>
#include <tessera/tables/embed.hpp>
#include <tessera/tables/gemm.hpp>
#include <tessera/tables/hamming.hpp>
#include <tessera/tables/merge.hpp>
#include <tessera/tables/norm.hpp>
#include <tessera/tables/resample.hpp>
#include <tessera/tables/residual.hpp>
#include <tessera/tables/rotary.hpp>

/// F(Table) for each of them.
// clang-format off
#define TESSERA_EACH_TABLE(F)                                                      \
  F(GemmTable) F(Bf16GemmTable) F(FastBf16GemmTable) F(Int8GemmTable) F(NormTable) \
  F(ActivationTable) F(AttentionTable) F(Bf16AttentionTable) F(EmbedTable) F(MergeTable) F(ResampleTable) F(ResidualTable) F(RotaryTable) F(HammingTable)
// clang-format on
