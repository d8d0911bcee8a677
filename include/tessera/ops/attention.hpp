// Scaled dot-product attention over ragged batches.
#pragma once
#include <tessera/core/context.hpp>

namespace tessera::ops {

/// How queries see keys. What a backend does not have yet is refused by name (kUnsupported), never approximated.
struct AttentionParams {
  float scale = 0.f;                        ///< 0: 1 / sqrt(D)
  bool causal = false;                      ///< query i sees keys up to i + Tk - Tq
  index_t window_left = -1;                 ///< keys before its own that a query sees; -1: all
  index_t window_right = -1;                ///< keys after
  float softcap = 0.f;                      ///< 0: none; else scaled scores become cap * tanh(score / cap), before any bias
  View<const std::uint8_t, 2> mask = {};    ///< [sum Tq, max Tk], 0: hidden
  View<const std::int32_t, 1> blocks = {};  ///< [sum Tk] block of each key: queries see their own block and earlier ones
  View<const float, 3> bias = {};           ///< [H or 1, Tq, Tk], added to scores, the same for every sequence
  /// [H or 1, 2 R + 1]: column R + (place of the key - place of the query) is added to scaled scores. T5, MPNet, ALiBi: see
  /// ops/distance_bias.hpp. R is at least the largest distance of the call.
  View<const float, 2> distance_bias = {};
  /// Tables of places [P, H, D], or empty (DeBERTa). With r = position_row_of[R + (place of the key - place of the query)],
  /// q . position_keys[r] and k . position_queries[r] are added to q . k before the scale: He et al., arXiv:2006.03654,
  /// section 3.1; ops/position_rows.hpp has its rows.
  View<const float, 3> position_keys = {}, position_queries = {};
  View<const std::int32_t, 1> position_row_of = {};  ///< [2 R + 1], where there are tables; R as of distance_bias
  /// [sum T], or empty: key s of a sequence stands at s, query i at i + Tk - Tq. Rising within each sequence; for
  /// self-attention alone. Windows and distances go by these places.
  View<const std::int32_t, 1> places = {};
  View<const float, 1> key_weights = {};  ///< [sum Tk] > 0: log added to scores (proportional attention)
  View<float, 3> probabilities = {};      ///< out, optional: [H, sum Tq, max Tk], zeros where unseen
  View<float, 2> log_sum_exp = {};        ///< out, optional: [sum Tq, H]
  /// Of all products: f32, or bf16, to which q, k, v, tables of places and the exponentials are then rounded (to nearest
  /// even), sums f32.
  DType compute = DType::f32;
};

/// out[t,h,:] = sum_s softmax_s(scale * q[t,h,:] . k[s,h/g,:]) v[s,h/g,:] within each sequence; g = H / Hkv (GQA).
/// \param q    [sum Tq, H, D] f32; rows and heads may be strided (a fused QKV buffer), D contiguous.
/// \param k    [sum Tk, Hkv, D].  \param v [sum Tk, Hkv, Dv]; Dv may differ from D.
/// \param cu_q [B + 1] query offsets.  \param cu_k [B + 1] key offsets; may be cu_q.
/// \param out  [sum Tq, H, Dv], disjoint from the inputs. A query that sees no key gets 0.
/// \throws Error kShapeMismatch, kBadStride, kBadArgument, kUnsupported, with `out` untouched.
/// Numerics: exact row maximum, exp2, f32 sums, one division; no online rescaling. In bf16 products sum as ops::linear's do,
/// pairs counted from channel 0 and key 0; the sum of the exponentials is that before rounding. Key weights multiply the
/// exponentials, so that weights of 1 give the bits of none; a bias is one FMA, score * scale + bias; they are counts of
/// tokens, not meant to span more than 2^24. Determinism: same bits for any batch, thread count, ISA. Source: Vaswani et
/// al., arXiv:1706.03762, section 3.2; GQA: Ainslie et al., arXiv:2305.13245; proportional attention: Bolya et al.,
/// arXiv:2210.09461, section 3.2.
void attention(Context& ctx, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
               View<const index_t, 1> cu_q, View<const index_t, 1> cu_k, const AttentionParams& params, View<float, 3> out);

/// Scratch bytes that attention() carves from the context's arena for keys of at most max_tk. \param position_rows P.
std::size_t attention_scratch(Context& ctx, index_t max_tk, index_t d, index_t dv, DType compute = DType::f32,
                              index_t position_rows = 0);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/attention-inl.hpp>
#endif
