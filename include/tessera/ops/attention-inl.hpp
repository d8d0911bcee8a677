#pragma once
#include <tessera/ops/attention.hpp>
#include <tessera/ops/detail/tables.hpp>

namespace tessera::ops {

namespace detail {

inline void refuse_unsupported(const AttentionParams& p) {
  constexpr const char* kOp = "attention";
  if (p.mask.data) fail(Code::kUnsupported, kOp, "dense masks are not available on the cpu backend yet");
  if (p.blocks.data) fail(Code::kUnsupported, kOp, "block masks are not available on the cpu backend yet");
  if (p.bias.data) fail(Code::kUnsupported, kOp, "additive bias is not available on the cpu backend yet");
  if (p.log_sum_exp.data) fail(Code::kUnsupported, kOp, "log-sum-exp is not available on the cpu backend yet");
  if (p.compute != DType::f32 && p.compute != DType::bf16) fail(Code::kUnsupported, kOp, "products are of f32 or bf16");
}

inline const kernels::AttentionTable& attention_table(Context& ctx, DType compute) {
  if (compute == DType::bf16) return table<kernels::Bf16AttentionTable>(ctx);
  return table<kernels::AttentionTable>(ctx);
}

inline void check_weights(View<const float, 1> weights, index_t rows) {
  if (!weights.data) return;
  expect("attention", "key weights", weights.extent[0], rows);
  expect_rows("attention", weights);
  for (index_t i = 0; i < rows; ++i)
    if (!(weights(i) > 0.f && weights(i) < __builtin_inff()))
      fail(Code::kBadArgument, "attention", "key weights must be positive and finite");
}

/// Tables of places have a row for every distance up to `farthest`. \returns their number of rows.
inline index_t check_positions(const AttentionParams& p, index_t heads, index_t d, index_t farthest) {
  constexpr const char* kOp = "attention";
  index_t rows = 0;
  for (const auto& table : {p.position_keys, p.position_queries}) {
    if (!table.data) continue;
    if (rows > 0) expect(kOp, "rows of position_queries", table.extent[0], rows);
    rows = table.extent[0];
    expect(kOp, "heads of a table of places", table.extent[1], heads);
    expect(kOp, "head dim of a table of places", table.extent[2], d);
    expect_rows(kOp, table);
  }
  const bool tables = p.position_keys.data || p.position_queries.data;
  if (tables != (p.position_row_of.data != nullptr))
    fail(Code::kBadArgument, kOp, "tables of places and position_row_of need each other");
  if (!tables) return 0;
  expect_rows(kOp, p.position_row_of);
  const index_t columns = p.position_row_of.extent[0];
  if (columns % 2 != 1 || columns / 2 < farthest)
    fail(Code::kShapeMismatch, kOp,
         "position_row_of must have 2 R + 1 numbers for distances up to R, the largest of the call");
  for (index_t i = 0; i < columns; ++i)
    if (p.position_row_of(i) < 0 || p.position_row_of(i) >= rows)
      fail(Code::kBadArgument, kOp, "position_row_of names a row that the tables of places have not");
  return rows;
}

/// Places rise within each sequence, and the bias has a column for every distance. \returns the largest distance.
inline index_t check_places(const AttentionParams& p, View<const index_t, 1> cu_q, View<const index_t, 1> cu_k,
                            index_t heads) {
  constexpr const char* kOp = "attention";
  const index_t batch = cu_q.extent[0] - 1;
  index_t farthest = 0;
  if (p.places.data) expect(kOp, "places", p.places.extent[0], cu_k(batch)), expect_rows(kOp, p.places);
  for (index_t b = 0; b < batch; ++b) {
    const index_t tq = cu_q(b + 1) - cu_q(b), tk = cu_k(b + 1) - cu_k(b);
    index_t most = (tq > tk ? tq : tk) - 1;
    if (p.places.data) {
      if (tq != tk) fail(Code::kShapeMismatch, kOp, "places are for as many queries as keys");
      for (index_t t = cu_k(b) + 1; t < cu_k(b + 1); ++t)
        if (p.places(t) <= p.places(t - 1)) fail(Code::kBadArgument, kOp, "places must rise within a sequence");
      if (tk > 0) most = index_t{p.places(cu_k(b + 1) - 1)} - p.places(cu_k(b));
    }
    farthest = most > farthest ? most : farthest;
  }
  if (!p.distance_bias.data) return farthest;
  if (p.distance_bias.extent[0] != 1) expect(kOp, "heads of distance_bias", p.distance_bias.extent[0], heads);
  expect_rows(kOp, p.distance_bias);
  if (p.distance_bias.extent[1] % 2 != 1 || p.distance_bias.extent[1] / 2 < farthest)
    fail(Code::kShapeMismatch, kOp,
         "distance_bias must have 2 R + 1 columns for distances up to R, the largest of the call");
  return farthest;
}

inline void check_probabilities(View<float, 3> out, index_t heads, index_t queries, index_t keys) {
  if (!out.data) return;
  expect("attention", "heads of probabilities", out.extent[0], heads);
  expect("attention", "rows of probabilities", out.extent[1], queries);
  expect("attention", "columns of probabilities", out.extent[2], keys);
  expect_rows("attention", out);
}

}  // namespace detail

inline std::size_t attention_scratch(Context& ctx, index_t max_tk, index_t d, index_t dv, DType compute,
                                     index_t position_rows) {
  const index_t floats = (detail::attention_table(ctx, compute).scratch_floats(max_tk, d, dv, position_rows) + 15) / 16 * 16;
  return static_cast<std::size_t>(floats * ctx.threads()) * sizeof(float);
}

inline void attention(Context& ctx, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                      View<const index_t, 1> cu_q, View<const index_t, 1> cu_k, const AttentionParams& p,
                      View<float, 3> out) {
  using namespace detail;
  constexpr const char* kOp = "attention";
  refuse_unsupported(p);
  const index_t heads = q.extent[1], kv_heads = k.extent[1], d = q.extent[2], dv = v.extent[2];
  expect(kOp, "head dim of k", k.extent[2], d);
  expect(kOp, "heads of v", v.extent[1], kv_heads);
  expect(kOp, "rows of v", v.extent[0], k.extent[0]);
  expect(kOp, "rows of out", out.extent[0], q.extent[0]);
  expect(kOp, "heads of out", out.extent[1], heads);
  expect(kOp, "head dim of out", out.extent[2], dv);
  expect(kOp, "sequences of cu_k", cu_k.extent[0], cu_q.extent[0]);
  if (heads < 1 || kv_heads < 1 || d < 1 || dv < 1 || heads % kv_heads != 0)
    fail(Code::kShapeMismatch, kOp, "query heads must be a positive multiple of key heads");
  if (!(p.scale >= 0.f && p.scale < __builtin_inff()))
    fail(Code::kBadArgument, kOp, "scale must be positive and finite, or 0 for 1 / sqrt(D)");
  if (!(p.softcap >= 0.f && p.softcap < __builtin_inff()))
    fail(Code::kBadArgument, kOp, "softcap must be positive and finite, or 0 for none");
  expect_rows(kOp, q), expect_rows(kOp, k), expect_rows(kOp, v), expect_rows(kOp, out);
  expect_offsets(kOp, "rows of q", cu_q, q.extent[0]);
  expect_offsets(kOp, "rows of k", cu_k, k.extent[0]);

  const index_t batch = cu_q.extent[0] - 1;
  index_t max_tk = 0;
  for (index_t b = 0; b < batch; ++b) max_tk = cu_k(b + 1) - cu_k(b) > max_tk ? cu_k(b + 1) - cu_k(b) : max_tk;
  check_weights(p.key_weights, k.extent[0]);
  const index_t position_rows = check_positions(p, heads, d, check_places(p, cu_q, cu_k, heads));
  check_probabilities(p.probabilities, heads, q.extent[0], max_tk);
  const auto head = attention_table(ctx, p.compute).head;
  const std::size_t need = attention_scratch(ctx, max_tk, d, dv, p.compute, position_rows);
  Arena& arena = ctx.arena();
  if (arena.used() == 0) arena.reserve(need);
  const ArenaScope scope(arena);
  const index_t per_lane = static_cast<index_t>(need / sizeof(float)) / ctx.threads();
  float* scratch = arena.carve<float>(per_lane * ctx.threads());

  kernels::AttentionArgs shared{};
  shared.ldq = q.stride[0], shared.ldk = k.stride[0], shared.ldv = v.stride[0], shared.ldo = out.stride[0];
  shared.d = d, shared.dv = dv;
  shared.scale = p.scale, shared.softcap = p.softcap;
  shared.ld_position_keys = p.position_keys.stride[0], shared.ld_position_queries = p.position_queries.stride[0];
  shared.position_rows = position_rows;
  if (position_rows > 0) shared.row_of = p.position_row_of.data + p.position_row_of.extent[0] / 2;
  // A wider window is none; and then no sum of places overflows.
  const index_t most = p.places.data ? index_t{1} << 33 : q.extent[0] + k.extent[0];
  shared.causal = p.causal, shared.window_left = p.window_left > most ? -1 : p.window_left;
  shared.window_right = p.window_right > most ? -1 : p.window_right;
  // One task a sequence and head; a few long ones are cut into query strips as well, each packing the keys again.
  const index_t pairs = batch * heads;
  const index_t cuts = ctx.threads() == 1 || pairs >= 4 * ctx.threads() || pairs % ctx.threads() == 0 ? 1 : ctx.threads();
  ctx.parallel_for(pairs * cuts, [&](index_t task, int lane) {
    const index_t b = task / cuts / heads, h = task / cuts % heads, cut = task % cuts, g = h / (heads / kv_heads);
    kernels::AttentionArgs a = shared;
    a.tq = cu_q(b + 1) - cu_q(b), a.tk = cu_k(b + 1) - cu_k(b);
    a.q = q.data + cu_q(b) * q.stride[0] + h * q.stride[1];
    a.k = k.data + cu_k(b) * k.stride[0] + g * k.stride[1];
    a.v = v.data + cu_k(b) * v.stride[0] + g * v.stride[1];
    a.out = out.data + cu_q(b) * out.stride[0] + h * out.stride[1];
    if (p.distance_bias.data)
      a.by_distance = p.distance_bias.data + (p.distance_bias.extent[0] == 1 ? 0 : h * p.distance_bias.stride[0]) +
                      p.distance_bias.extent[1] / 2;
    if (p.position_keys.data) a.position_keys = p.position_keys.data + h * p.position_keys.stride[1];
    if (p.position_queries.data) a.position_queries = p.position_queries.data + h * p.position_queries.stride[1];
    if (p.places.data) a.places = p.places.data + cu_k(b);
    if (p.key_weights.data) a.key_weights = p.key_weights.data + cu_k(b);
    if (p.probabilities.data) {
      a.probabilities = p.probabilities.data + h * p.probabilities.stride[0] + cu_q(b) * p.probabilities.stride[1];
      a.ldp = p.probabilities.stride[1], a.columns = max_tk;
    }
    const index_t q0 = a.tq * cut / cuts, q1 = a.tq * (cut + 1) / cuts;
    if (q0 < q1) head(a, q0, q1, scratch + lane * per_lane);
  });
}

}  // namespace tessera::ops
