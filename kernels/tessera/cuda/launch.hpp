// Starts kernels on a stream: what the units of kernels/tessera/compiled/*.cu define and C++ without CUDA may call. `stream`
// is a cudaStream_t; returned is a cudaError_t, 0 where all is well.
#pragma once
#include <tessera/cuda/attention.hpp>
#include <tessera/cuda/embed.hpp>
#include <tessera/cuda/gemm.hpp>
#include <tessera/cuda/gemm_f32.hpp>
#include <tessera/cuda/maxsim.hpp>
#include <tessera/cuda/merge.hpp>
#include <tessera/cuda/norm.hpp>
#include <tessera/cuda/patchify.hpp>
#include <tessera/cuda/pool.hpp>
#include <tessera/cuda/topk.hpp>

namespace tessera::kernels::cuda {

int launch_gemm(const GemmArgs<bf16>& g, bool gated, GemmTileChoice choice, void* stream) noexcept;
int launch_gemm(const GemmArgs<float>& g, bool gated, GemmTileChoice choice, void* stream) noexcept;

int launch_gemm_f32(const GemmF32Args& g, bool gated, void* stream) noexcept;

/// Rows of up to kNormMostColumns columns; l2 from f32 only.
int launch_norm(Norm norm, const NormArgs<bf16, bf16>& g, void* stream) noexcept;
int launch_norm(Norm norm, const NormArgs<float, bf16>& g, void* stream) noexcept;
int launch_norm(Norm norm, const NormArgs<float, float>& g, void* stream) noexcept;

/// `normalise`: LayerNorm of rows of up to kNormMostColumns columns; without it any row.
int launch_embed(const EmbedArgs<bf16, bf16>& g, bool normalise, void* stream) noexcept;
int launch_embed(const EmbedArgs<float, float>& g, bool normalise, void* stream) noexcept;
int launch_patchify(const PatchifyArgs& g, void* stream) noexcept;

int launch_pool(const PoolArgs<bf16>& g, int sequences, void* stream) noexcept;
int launch_pool(const PoolArgs<float>& g, int sequences, void* stream) noexcept;

int launch_key_metric(const KeyMetricArgs& g, void* stream) noexcept;
/// match and select want `longest`, the tokens of the longest sequence.
int launch_merge_match(const MergeMatchArgs& g, int longest, void* stream) noexcept;
int launch_merge_select(const MergeSelectArgs& g, int longest, void* stream) noexcept;
/// Rows of up to kNormMostColumns columns; `norm` is layer or rms, of the rows that y asks for.
int launch_merge(Norm norm, const MergeArgs<bf16, bf16>& g, void* stream) noexcept;
int launch_merge(Norm norm, const MergeArgs<float, bf16>& g, void* stream) noexcept;
int launch_merge(Norm norm, const MergeArgs<float, float>& g, void* stream) noexcept;

/// g.k is at most kTopKMost, g.chunk that of topk_chunk(); then the lists of all chunks to one.
int launch_topk(const TopKArgs& g, void* stream) noexcept;
int launch_topk_merge(const TopKMergeArgs& g, void* stream) noexcept;
/// `queries` is below 65536.
int launch_maxsim(const MaxSimArgs& g, int queries, int documents, void* stream) noexcept;

/// Heads of 32, 64, 72, 80, 88, 96, 104 or 128 numbers; sequences * heads is below 65536. `longest`: tokens of the longest
/// sequence.
int launch_attention(const AttentionArgs& g, int head, int sequences, int longest, void* stream) noexcept;

}  // namespace tessera::kernels::cuda
