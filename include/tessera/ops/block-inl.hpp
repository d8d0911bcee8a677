#pragma once
#include <string>

#include <tessera/ops/block.hpp>
#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::ops {

namespace detail {

// What a half carves: the same code runs on a counting arena to plan and on a real one to work.
struct AttentionHalfScratch {
  View<float, 2> normed, qkv, context;
  AttentionHalfScratch(Arena& arena, const BlockConfig& c, index_t tokens) {
    if (c.pre_norm || c.outer_norm) normed = arena.carve2<float>(tokens, c.channels);
    qkv = arena.carve2<float>(tokens, (c.heads + 2 * c.kv_heads) * c.head_dim);
    context = arena.carve2<float>(tokens, c.heads * c.head_dim);
  }
};
struct MlpHalfScratch {
  View<float, 2> normed, hidden;
  MlpHalfScratch(Arena& arena, const BlockConfig& c, index_t tokens) {
    if (c.pre_norm) normed = arena.carve2<float>(tokens, c.channels);
    hidden = arena.carve2<float>(tokens, c.mlp_width);
  }
};

/// x <- norm(x + s * linear(in)), x + s * linear(in) or x + post(s * linear(in)), the last by way of `room` [T, C].
inline void residual_linear(Context& ctx, const BlockConfig& c, const LinearWeights& w, View<const float, 1> scale,
                            const NormWeights& norm, View<const float, 1> post, View<const float, 2> in, View<float, 2> room,
                            View<float, 2> x) {
  if (c.pre_norm && post.data) {
    linear(ctx, in, w.weight, {.bias = w.bias, .channel_scale = scale}, room);
    return add_rms_norm(ctx, room, post, c.eps, x);
  }
  linear(ctx, in, w.weight, {.bias = w.bias, .channel_scale = scale, .residual = x}, x);
  if (!c.pre_norm) block_norm(ctx, c, norm, x, x);
}

/// The first heads of a row taken as one: x <- layer_norm(x).
inline void row_norm(Context& ctx, const NormWeights& w, View<float, 3> heads, float eps) {
  if (!w.gamma.data) return;
  View<float, 2> rows(heads.data, heads.extent[0], heads.extent[1] * heads.extent[2]);
  rows.stride[0] = heads.stride[0];
  layer_norm(ctx, rows, w.gamma, w.beta, eps, rows);
}

}  // namespace detail

inline void tap(const Taps* taps, index_t layer, const char* name, View<const float, 2> value) {
  if (!taps || !taps->sink) return;
  const std::string full = layer < 0 ? std::string(name) : "layers." + std::to_string(layer) + "." + name;
  if (taps->wants(full.c_str())) taps->sink(taps->state, full.c_str(), value);
}

inline void block_norm(Context& ctx, const BlockConfig& c, const NormWeights& w, View<const float, 2> x,
                       View<float, 2> out) {
  if (c.norm == NormKind::rms_norm)
    rms_norm(ctx, x, w.gamma, c.eps, out);
  else
    layer_norm(ctx, x, w.gamma, w.beta, c.eps, out);
}

inline void attention_half(Context& ctx, const BlockConfig& c, const BlockWeights& w, const RaggedBatch& batch,
                           View<float, 2> x, const BlockOptions& o) {
  const ArenaScope scope(ctx.arena());
  detail::AttentionHalfScratch s(ctx.arena(), c, x.extent[0]);
  if (o.qkv.data) s.qkv = o.qkv;
  View<const float, 2> in = x;
  if (c.pre_norm && w.attention_norm.gamma.data) {
    block_norm(ctx, c, w.attention_norm, x, s.normed);
    in = s.normed;
  }
  linear(ctx, in, w.qkv.weight, {.bias = w.qkv.bias}, s.qkv);
  tap(o.taps, o.layer, "attention.qkv", s.qkv);
  if (w.q_norm.data) rms_norm_heads(ctx, heads_of(s.qkv, 0, c.heads, c.head_dim), w.q_norm, c.eps);
  if (w.k_norm.data) rms_norm_heads(ctx, heads_of(s.qkv, c.heads, c.kv_heads, c.head_dim), w.k_norm, c.eps);
  detail::row_norm(ctx, w.q_row_norm, heads_of(s.qkv, 0, c.heads, c.head_dim), c.eps);
  detail::row_norm(ctx, w.k_row_norm, heads_of(s.qkv, c.heads, c.kv_heads, c.head_dim), c.eps);
  if (o.rotary.cos.data) {
    if (!batch.positions.data) detail::fail(Code::kBadArgument, "attention_half", "rotary without positions");
    rotary(ctx, heads_of(s.qkv, 0, c.heads + c.kv_heads, c.head_dim), o.rotary, batch.positions[0]);
  }
  const View<const float, 2> qkv = s.qkv;
  const auto q = heads_of(qkv, 0, c.heads, c.head_dim);
  const auto k = heads_of(qkv, c.heads, c.kv_heads, c.head_dim);
  const auto v = heads_of(qkv, c.heads + c.kv_heads, c.kv_heads, c.head_dim);
  const View<float, 3> out(s.context.data, x.extent[0], c.heads, c.head_dim);
  AttentionParams params = c.attention;
  if (o.distance_bias.data) params.distance_bias = o.distance_bias;
  if (w.position_keys.data) params.position_keys = heads_of(w.position_keys, 0, c.heads, c.head_dim);
  if (w.position_queries.data) params.position_queries = heads_of(w.position_queries, 0, c.heads, c.head_dim);
  params.position_row_of = o.position_row_of;
  if (batch.columns.data) params.places = batch.columns;
  if (batch.key_weights.data) params.key_weights = batch.key_weights;
  if (o.attention.run)
    o.attention.run(o.attention.state, ctx, q, k, v, batch, params, out);
  else
    attention(ctx, q, k, v, batch.cu_seqlens, batch.cu_seqlens, params, out);
  tap(o.taps, o.layer, "attention.context", s.context);
  if (c.outer_norm) {
    linear(ctx, s.context, w.attention_out.weight,
           {.bias = w.attention_out.bias, .channel_scale = w.attention_scale, .residual = x}, s.normed);
    add_layer_norm(ctx, s.normed, w.attention_norm.gamma, w.attention_norm.beta, c.eps, x);
    block_norm(ctx, c, w.attention_outer_norm, x, x);
  } else {
    detail::residual_linear(ctx, c, w.attention_out, w.attention_scale, w.attention_norm, w.attention_post_norm, s.context,
                            s.normed, x);
  }
  tap(o.taps, o.layer, "attention.output", x);
}

inline void mlp_half(Context& ctx, const BlockConfig& c, const BlockWeights& w, const RaggedBatch&, View<float, 2> x,
                     const BlockOptions& o) {
  const ArenaScope scope(ctx.arena());
  const detail::MlpHalfScratch s(ctx.arena(), c, x.extent[0]);
  View<const float, 2> in = x;
  if (c.pre_norm && w.mlp_norm.gamma.data) {
    block_norm(ctx, c, w.mlp_norm, x, s.normed);
    in = s.normed;
  }
  linear(ctx, in, w.mlp_in.weight, {.bias = w.mlp_in.bias, .act = c.act, .glu = c.glu}, s.hidden);
  tap(o.taps, o.layer, "mlp.hidden", s.hidden);
  detail::residual_linear(ctx, c, w.mlp_out, w.mlp_scale, w.mlp_norm, w.mlp_post_norm, s.hidden, s.normed, x);
}

inline std::size_t block_scratch(Context& ctx, const BlockConfig& c, index_t tokens, index_t max_length, DType weights) {
  Arena first = Arena::counting(), second = Arena::counting();
  (void)detail::AttentionHalfScratch(first, c, tokens);
  (void)detail::MlpHalfScratch(second, c, tokens);
  const auto larger = [](std::size_t a, std::size_t b) { return a > b ? a : b; };
  const auto product = [&](index_t k, bool glu = false) { return linear_scratch(ctx, tokens, k, weights, glu); };
  const std::size_t in = product(c.channels),
                    attention = first.peak() + larger(larger(in, product(c.heads * c.head_dim)),
                                                      attention_scratch(ctx, max_length, c.head_dim, c.head_dim,
                                                                        c.attention.compute, c.position_rows));
  const std::size_t mlp = second.peak() + larger(product(c.channels, c.glu), product(c.mlp_width));
  return larger(attention, mlp) + kAlignment;
}

}  // namespace tessera::ops
