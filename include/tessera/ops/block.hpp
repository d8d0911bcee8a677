// The block contract: the two halves of a transformer layer over a ragged batch. Models call these and the ops; a backend
// may override a half with a fused schedule of the same bits. Merging, pruning and taps sit between the halves.
#pragma once
#include <tessera/core/ragged_batch.hpp>
#include <tessera/core/taps.hpp>
#include <tessera/ops/attention.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/rotary.hpp>

namespace tessera::ops {

enum class NormKind : unsigned char { layer_norm, rms_norm };

struct NormWeights {
  View<const float, 1> gamma = {};  ///< [C]
  View<const float, 1> beta = {};   ///< [C], absent for rms_norm
};

struct LinearWeights {
  PackedWeight weight = {};        ///< [N, K]
  View<const float, 1> bias = {};  ///< [N], or empty
};

/// What is the same in every layer. C = heads * head_dim unless attention_out says otherwise.
struct BlockConfig {
  index_t channels = 0;   ///< C
  index_t heads = 0;      ///< H
  index_t kv_heads = 0;   ///< Hkv; H unless grouped
  index_t head_dim = 0;   ///< D
  index_t mlp_width = 0;  ///< F
  bool pre_norm = false;  ///< x + f(norm(x)) as in ViT; else norm(x + f(x)) as in BERT
  NormKind norm = NormKind::layer_norm;
  float eps = 1e-12f;
  Activation act = Activation::gelu_erf;
  bool glu = false;                ///< gated MLP: mlp_in is of pack_weight_glu
  bool outer_norm = false;         ///< of a post-norm stack: an attention half is norm(x + norm(x + f(x))), by LayerNorm
  AttentionParams attention = {};  ///< per-sequence arrays in it are not used by blocks
  index_t position_rows = 0;       ///< P, rows of tables of places that attention has; 0: none
};

struct BlockWeights {
  NormWeights attention_norm, mlp_norm;  ///< of a pre-norm half; without gamma: none (ModernBERT's first)
  /// [C] a second norm of a pre-norm half, of what it adds to x (Gemma 2), or empty. RMSNorm.
  View<const float, 1> attention_post_norm = {}, mlp_post_norm = {};
  View<const float, 1> q_norm = {}, k_norm = {};    ///< [D] RMSNorm of each head before it turns, or empty
  NormWeights q_row_norm = {}, k_row_norm = {};     ///< [H D], [Hkv D] LayerNorm of all heads of a token at once, or empty
  NormWeights attention_outer_norm = {};            ///< [C] the outer one of BlockConfig::outer_norm
  LinearWeights qkv = {};                           ///< [(H + 2 Hkv) D, C]: queries, keys, values
  LinearWeights attention_out = {};                 ///< [C, H D]
  LinearWeights mlp_in = {};                        ///< [F, C], gated [2 F, C]
  LinearWeights mlp_out = {};                       ///< [C, F]
  View<const float, 1> attention_scale, mlp_scale;  ///< [C] layer scale, or empty
  View<const float, 2> position_keys = {}, position_queries = {};  ///< [P, H D] of AttentionParams, or empty
};

/// The caller's own attention in place of ops::attention, with its arguments.
struct AttentionHook {
  void (*run)(void* state, Context& ctx, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
              const RaggedBatch& batch, const AttentionParams& params, View<float, 3> out) = nullptr;
  void* state = nullptr;
  index_t more_keys = 0;  ///< that it hands to ops::attention beside those of a sequence: there is scratch for them
};

/// What a caller may look at or replace in one half.
struct BlockOptions {
  const Taps* taps = nullptr;
  index_t layer =
      0;  ///< for the names of taps: "layers.<layer>.attention.qkv", ".attention.context", ".attention.output" ...
  AttentionHook attention = {};
  View<const float, 2> distance_bias = {};  ///< of attention: AttentionParams has it; so has it batch.columns, as places
  View<const std::int32_t, 1> position_row_of = {};  ///< of attention, where the block has tables of places
  Rotary rotary = {};       ///< turns queries and keys by the places batch.positions[0], which must then be there
  View<float, 2> qkv = {};  ///< [sum T, (H + 2 Hkv) D]: queries, keys and values stay here for the caller; empty: scratch
};

/// x becomes x + s * out(attention(rotary(qkv(norm(x))))), x + norm(s * out(...)) with a post norm, or norm(x + ...) when
/// post-norm, norm(x + norm(x + ...)) with an outer norm.
/// \param x [sum T, C] f32 packed, in and out.
/// \throws Error as the ops it is made of; x is then unspecified.
/// Scratch comes from the context's arena: reserve block_scratch() bytes first.
/// Taps: attention.qkv (before their norms, and before they turn), attention.context (before the output projection),
/// attention.output (x after the half). Source: Vaswani et al., arXiv:1706.03762 (post-norm); Xiong et al., arXiv:2002.04745
/// (pre-norm).
void attention_half(Context& ctx, const BlockConfig& config, const BlockWeights& w, const RaggedBatch& batch,
                    View<float, 2> x, const BlockOptions& options = {});

/// x becomes x + s * out(act(in(norm(x)))), or norm(x + ...) when post-norm. Taps: mlp.hidden.
void mlp_half(Context& ctx, const BlockConfig& config, const BlockWeights& w, const RaggedBatch& batch, View<float, 2> x,
              const BlockOptions& options = {});

/// Heads [first, first + count) of a fused [T, heads * D] buffer, as [T, count, D].
template <class T>
View<T, 3> heads_of(View<T, 2> x, index_t first, index_t count, index_t d) {
  View<T, 3> v;
  v.data = x.data + first * d;
  v.extent[0] = x.extent[0], v.extent[1] = count, v.extent[2] = d;
  v.stride[0] = x.stride[0], v.stride[1] = d, v.stride[2] = 1;
  v.space = x.space;
  return v;
}

/// The normalisation of this config, in place or not.
void block_norm(Context& ctx, const BlockConfig& config, const NormWeights& w, View<const float, 2> x, View<float, 2> out);

/// Arena bytes for either half on this context. \param tokens sum T.  \param max_length the longest sequence.
/// \param weights their type.
std::size_t block_scratch(Context& ctx, const BlockConfig& config, index_t tokens, index_t max_length,
                          DType weights = DType::f32);

/// Hands `value` to the taps under "layers.<layer>.<name>" (layer >= 0) or `name`, if wanted.
void tap(const Taps* taps, index_t layer, const char* name, View<const float, 2> value);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/block-inl.hpp>
#endif
