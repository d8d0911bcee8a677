#pragma once
#include <string>

#include <tessera/core/fp_mode.hpp>
#include <tessera/models/transformer.hpp>
#include <tessera/ops/distance_bias.hpp>
#include <tessera/ops/position_rows.hpp>

namespace tessera::models {

namespace detail {

inline std::string tensor_label(const char* what, index_t layer) {
  return layer < 0 ? std::string(what) : "layer " + std::to_string(layer) + " " + what;
}

inline void expect_matrix(const char* what, index_t layer, const WeightView& v, index_t n, index_t k) {
  if (v.data && v.extent[0] == n && v.extent[1] == k) return;
  const std::string found =
      v.data ? "[" + std::to_string(v.extent[0]) + ", " + std::to_string(v.extent[1]) + "]" : std::string("absent");
  throw Error(Code::kShapeMismatch, {"transformer: ", tensor_label(what, layer), " is ", found, ", the config asks for [",
                                     std::to_string(n), ", ", std::to_string(k), "]"});
}

}  // namespace detail

inline View<const float, 1> Transformer::keep(const char* what, index_t layer, View<const float, 1> v, index_t n) {
  return keep_joined(what, layer, &v, &n, 1);
}

// Copies optional vectors of n[i] numbers one after the other; absent ones count as zeros unless all are absent.
inline View<const float, 1> Transformer::keep_joined(const char* what, index_t layer, const View<const float, 1>* parts,
                                                     const index_t* n, int count) {
  index_t total = 0;
  bool any = false;
  for (int i = 0; i < count; ++i) {
    if (parts[i].data && (parts[i].extent[0] != n[i] || parts[i].stride[0] != 1))
      throw Error(Code::kShapeMismatch,
                  {"transformer: ", detail::tensor_label(what, layer), " has ", std::to_string(parts[i].extent[0]),
                   " elements, the config asks for ", std::to_string(n[i])});
    any = any || parts[i].data;
    total += n[i];
    if (parts[i].data) parameters_ += n[i];
  }
  if (!any) return {};
  std::vector<float> joined(static_cast<std::size_t>(total), 0.f);
  float* at = joined.data();
  for (int i = 0; i < count; at += n[i], ++i)
    if (parts[i].data) __builtin_memcpy(at, parts[i].data, static_cast<std::size_t>(n[i]) * sizeof(float));
  vectors_.push_back(std::move(joined));
  return View<const float, 1>(vectors_.back().data(), total);
}

// An absent norm stays absent; a layer norm without shifts gets zeros.
inline ops::NormWeights Transformer::keep_norm(const char* what, index_t layer, View<const float, 1> gamma,
                                               View<const float, 1> beta, index_t n) {
  ops::NormWeights w;
  w.gamma = keep(what, layer, gamma, n);
  if (!w.gamma.data) return w;
  if (config_.norms_from_one) {
    const FpModeScope mode;
    for (float& g : vectors_.back()) g += 1.f;
  }
  w.beta = keep((std::string(what) + " bias").c_str(), layer, beta, n);
  if (!w.beta.data && config_.block.norm == ops::NormKind::layer_norm)
    w.beta = View<const float, 1>(vectors_.emplace_back(static_cast<std::size_t>(n), 0.f).data(), n);
  return w;
}

inline void Transformer::check_kinds() const {
  const auto fits = [&](const RotaryAngles& a) {
    const auto half = static_cast<index_t>(a.frequencies.size());
    return 2 * half <= config_.block.head_dim && a.scale > 0.f && a.scale < __builtin_inff() && a.most_places >= 0 &&
           (a.long_frequencies.empty() || a.long_frequencies.size() == a.frequencies.size());
  };
  bool good = config_.kinds.size() < 16 &&
              (config_.kind_of.empty() || static_cast<index_t>(config_.kind_of.size()) == config_.layers);
  for (const LayerKind& kind : config_.kinds) good = good && fits(kind.rotary);
  for (const unsigned char kind : config_.kind_of) good = good && kind < config_.kinds.size();
  if (!good)
    throw Error(Code::kBadArgument, "transformer: a layer of a kind that there is not, or rotary angles that no head has");
}

// Null where all layers are as the block says.
inline const LayerKind* Transformer::kind_of(index_t layer) const noexcept {
  if (config_.kinds.empty()) return nullptr;
  return &config_.kinds[config_.kind_of.empty() ? 0 : config_.kind_of[static_cast<std::size_t>(layer)]];
}

inline Transformer::Transformer(Context& ctx, const TransformerConfig& config, const TransformerTensors& t)
    : config_(config), tables_(t.tables), keep_alive_(t.keep_alive) {
  const auto& b = config_.block;
  const index_t c = b.channels;
  if (c < 1 || b.heads < 1 || b.kv_heads < 1 || b.heads % b.kv_heads != 0 || b.head_dim < 1 || b.mlp_width < 1 ||
      config_.layers < 0)
    throw Error(Code::kBadArgument,
                "transformer: channels, heads, head_dim and mlp_width must be positive, and heads a multiple of kv_heads");
  check_kinds();
  if (config_.alibi && config_.relative_buckets > 0)
    throw Error(Code::kBadArgument, "transformer: biases by distance are either those of a table or ALiBi's");
  const index_t e = config_.embedding_width > 0 ? config_.embedding_width : c, places = config_.positions_projected ? e : c;
  if (config_.vocab_size > 0) detail::expect_matrix("word embeddings", -1, tables_.word, config_.vocab_size, e);
  if (config_.max_positions > 0)
    detail::expect_matrix("position embeddings", -1, tables_.position, config_.max_positions, places);
  if (config_.segment_types > 0) detail::expect_matrix("segment embeddings", -1, tables_.segment, config_.segment_types, e);
  parameters_ = (config_.vocab_size + config_.segment_types) * e + config_.max_positions * places;
  if (config_.embedding_norm) embedding_norm_ = keep_norm("embedding norm", -1, t.embedding_norm, t.embedding_norm_bias, e);
  if (config_.embedding_width > 0) {
    detail::expect_matrix("embedding projection", -1, t.embedding_projection, c, e);
    embedding_projection_ = {ops::pack_weight(ctx, t.embedding_projection),
                             keep("embedding projection bias", -1, t.embedding_projection_bias, c)};
    parameters_ += c * e;
  }
  if (config_.output_width > 0) {
    detail::expect_matrix("output projection", -1, t.output_projection, config_.output_width, c);
    output_projection_ = {ops::pack_weight(ctx, t.output_projection), {}};
    parameters_ += config_.output_width * c;
  }
  if (config_.convolution > 0) {
    if (config_.convolution % 2 != 1)
      throw Error(Code::kBadArgument, "transformer: a convolution of a width that is not odd");
    detail::expect_matrix("convolution", -1, t.convolution, c, c * config_.convolution);
    convolution_ = {ops::pack_weight(ctx, t.convolution), keep("convolution bias", -1, t.convolution_bias, c)};
    convolution_norm_ = keep_norm("convolution norm", -1, t.convolution_norm, t.convolution_norm_bias, c);
    if (!convolution_norm_.gamma.data) throw Error(Code::kShapeMismatch, "transformer: convolution norm is absent");
    parameters_ += c * c * config_.convolution;
  }
  if (config_.relative_buckets > 0) {
    detail::expect_matrix("relative attention bias", -1, t.relative_bias, config_.relative_buckets, b.heads);
    const View<const float, 1> flat(t.relative_bias.data, config_.relative_buckets * b.heads);
    relative_bias_ = View<const float, 2>(keep("relative attention bias", -1, flat, flat.extent[0]).data,
                                          config_.relative_buckets, b.heads);
    (void)ops::relative_bucket(0, config_.relative_buckets, config_.relative_max_distance);  // refuses sizes that are none
  }
  if (b.position_rows > 0) {
    detail::expect_matrix("relative positions", -1, t.relative_positions, b.position_rows, c);
    parameters_ += b.position_rows * c;
    (void)ops::position_row(0, b.position_rows, config_.position_log_distance);  // refuses sizes that are none
  }
  View<const float, 2> positions = t.relative_positions;
  std::vector<float> normed;
  if (const auto norm = keep_norm("relative positions norm", -1, t.relative_norm, t.relative_norm_bias, c);
      norm.gamma.data) {
    normed.resize(static_cast<std::size_t>(positions.size()));
    ops::block_norm(ctx, b, norm, positions, View<float, 2>(normed.data(), positions.extent[0], c));
    positions = View<const float, 2>(normed.data(), positions.extent[0], c);
  }
  if (config_.final_norm) final_norm_ = keep_norm("final norm", -1, t.final_norm, t.final_norm_bias, c);
  blocks_.resize(static_cast<std::size_t>(config_.layers));
  for (index_t layer = 0; layer < config_.layers; ++layer) {
    const LayerTensors tensors = t.layer(layer);
    if (tensors.q.packed != DType::f32) config_.block.attention.compute = DType::bf16;
    pack_layer(ctx, tensors, positions, layer);
  }
}

// positions [P, C] times a weight [H D, C]: in f32 whatever the weights are packed as, once for all passes.
inline View<const float, 2> Transformer::table_of_places(Context& ctx, const char* what, index_t layer, const WeightView& v,
                                                         View<const float, 1> bias, View<const float, 2> positions) {
  const index_t n = config_.block.heads * config_.block.head_dim, rows = config_.block.position_rows;
  if (rows == 0 || !v.data) return {};
  detail::expect_matrix(what, layer, v, n, config_.block.channels);
  if (bias.data && (bias.extent[0] != n || bias.stride[0] != 1))
    throw Error(Code::kShapeMismatch,
                {"transformer: ", detail::tensor_label(what, layer), " bias has ", std::to_string(bias.extent[0]),
                 " elements, the config asks for ", std::to_string(n)});
  WeightView plain = v;
  plain.packed = DType::f32, plain.store = nullptr;
  std::vector<float>& table = vectors_.emplace_back(static_cast<std::size_t>(rows * n));
  const View<float, 2> out(table.data(), rows, n);
  ops::linear(ctx, positions, ops::pack_weight(ctx, plain), {.bias = bias}, out);
  return out;
}

inline void Transformer::pack_layer(Context& ctx, const LayerTensors& t, View<const float, 2> positions, index_t layer) {
  const auto& b = config_.block;
  const index_t c = b.channels, nq = b.heads * b.head_dim, nkv = b.kv_heads * b.head_dim, f = b.mlp_width;
  const auto matrix = [&](const char* what, const WeightView& v, index_t n, index_t k) {
    detail::expect_matrix(what, layer, v, n, k);
    parameters_ += n * k;
    return v;
  };
  ops::BlockWeights& w = blocks_[static_cast<std::size_t>(layer)];
  const WeightView qkv[] = {matrix("query", t.q, nq, c), matrix("key", t.k, nkv, c), matrix("value", t.v, nkv, c)};
  const View<const float, 1> qkv_bias[] = {t.q_bias, t.k_bias, t.v_bias};
  const index_t qkv_n[] = {nq, nkv, nkv};
  w.qkv = {ops::pack_weight(ctx, qkv, 3), keep_joined("query/key/value bias", layer, qkv_bias, qkv_n, 3)};
  w.attention_out = {ops::pack_weight(ctx, matrix("attention output", t.attention_out, c, nq)),
                     keep("attention output bias", layer, t.attention_out_bias, c)};
  const auto up = matrix("mlp in", t.mlp_in, f, c);
  if (b.glu) {
    const View<const float, 1> bias[] = {t.mlp_gate_bias, t.mlp_in_bias};
    const index_t n[] = {f, f};
    w.mlp_in = {ops::pack_weight_glu(ctx, matrix("mlp gate", t.mlp_gate, f, c), up),
                keep_joined("mlp in bias", layer, bias, n, 2)};
  } else {
    w.mlp_in = {ops::pack_weight(ctx, up), keep("mlp in bias", layer, t.mlp_in_bias, f)};
  }
  w.mlp_out = {ops::pack_weight(ctx, matrix("mlp out", t.mlp_out, c, f)), keep("mlp out bias", layer, t.mlp_out_bias, c)};
  w.attention_norm = keep_norm("attention norm", layer, t.attention_norm, t.attention_norm_bias, c);
  w.mlp_norm = keep_norm("mlp norm", layer, t.mlp_norm, t.mlp_norm_bias, c);
  w.attention_post_norm = keep_norm("attention post norm", layer, t.attention_post_norm, {}, c).gamma;
  w.mlp_post_norm = keep_norm("mlp post norm", layer, t.mlp_post_norm, {}, c).gamma;
  w.q_norm = keep_norm("query norm", layer, t.q_norm, {}, b.head_dim).gamma;
  w.k_norm = keep_norm("key norm", layer, t.k_norm, {}, b.head_dim).gamma;
  w.q_row_norm = keep_norm("query row norm", layer, t.q_row_norm, t.q_row_norm_bias, nq);
  w.k_row_norm = keep_norm("key row norm", layer, t.k_row_norm, t.k_row_norm_bias, nkv);
  w.attention_outer_norm = keep_norm("attention outer norm", layer, t.attention_outer_norm, t.attention_outer_norm_bias, c);
  w.position_keys = table_of_places(ctx, "position key", layer, t.position_key, t.position_key_bias, positions);
  w.position_queries = table_of_places(ctx, "position query", layer, t.position_query, t.position_query_bias, positions);
  // Of weights that are not those of keys and queries too.
  for (const auto& [own, shared] : {std::pair(&t.position_key, &t.k), {&t.position_query, &t.q}})
    if (config_.block.position_rows > 0 && own->data && own->data != shared->data) parameters_ += nq * c + nq;
  w.attention_scale = keep("attention scale", layer, t.attention_scale, c);
  w.mlp_scale = keep("mlp scale", layer, t.mlp_scale, c);
}

}  // namespace tessera::models
