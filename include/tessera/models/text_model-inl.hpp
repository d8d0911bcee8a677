#pragma once
#include <tessera/models/text_model.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

inline DenseLayer read_dense(Context& ctx, TensorSource& source, const std::string& name, index_t n, index_t k) {
  const auto weight = source.by_first({(name + ".weight").c_str()});
  detail::expect_matrix(name.c_str(), -1, weight, n < 0 ? weight.extent[0] : n, k);
  return dense_layer(ctx, source, name, weight);
}

inline DenseLayer dense_layer(Context& ctx, TensorSource& source, const std::string& name, const WeightView& weight) {
  DenseLayer layer;
  const index_t n = weight.extent[0];
  layer.linear.weight = ops::pack_weight(ctx, weight);
  if (const auto bias = source.optional_vector({(name + ".bias").c_str()}); bias.data) {
    if (bias.extent[0] != n)
      throw Error(Code::kShapeMismatch, {"checkpoint: ", source.prefix(), name, ".bias has ", std::to_string(bias.extent[0]),
                                         " elements, its weight ", std::to_string(n), " rows"});
    layer.bias_storage.assign(bias.data, bias.data + n);
    layer.linear.bias = View<const float, 1>(layer.bias_storage.data(), n);
  }
  return layer;
}

inline PredictionHead PredictionHead::read(Context& ctx, TensorSource& source, const char* dense, const char* norm,
                                           index_t n, index_t k, bool shifts) {
  PredictionHead head;
  head.dense = read_dense(ctx, source, dense, n, k);
  if (!norm) return head;
  const std::string name = norm;
  const auto keep = [&](std::vector<float>& into, View<const float, 1> v) {
    if (v.extent[0] != head.width())
      throw Error(Code::kShapeMismatch, {"checkpoint: tensor ", name, " has ", std::to_string(v.extent[0]),
                                         " numbers, expected ", std::to_string(head.width())});
    into.assign(v.data, v.data + v.extent[0]);
  };
  keep(head.gamma, source.vector({(name + ".weight").c_str(), (name + ".gamma").c_str()}));
  head.beta.assign(head.gamma.size(), 0.f);
  const std::string bias = name + ".bias", beta = name + ".beta";
  if (shifts)
    keep(head.beta, source.vector({bias.c_str(), beta.c_str()}));
  else if (const auto v = source.optional_vector({bias.c_str()}); v.data)
    keep(head.beta, v);
  return head;
}

inline void PredictionHead::run(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  ops::linear(ctx, x, dense.linear.weight, {.bias = dense.linear.bias, .act = dense.act}, out);
  if (!gamma.empty())
    ops::layer_norm(ctx, out, View<const float, 1>(gamma.data(), width()), View<const float, 1>(beta.data(), width()), eps,
                    out);
}

inline void TextModel::pool_first(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu,
                                  View<float, 2> out) const {
  if (!pooler) throw Error(Code::kUnsupported, "text model: this checkpoint has no pooler");
  const index_t rows = out.extent[0], c = hidden.extent[1];
  std::vector<float> first(static_cast<std::size_t>(rows * c));
  const View<float, 2> x(first.data(), rows, c);
  ops::pool(ctx, ops::Pooling::cls, hidden, cu, {}, x);
  ops::linear(ctx, x, pooler->linear.weight, {.bias = pooler->linear.bias, .act = pooler->act}, out);
}

inline index_t TextHead::row(View<const std::int32_t, 1> ids) const noexcept {
  const index_t n = ids.extent[0];
  if (pooled == Pooled::last) return n - 1;
  index_t best = 0;
  for (index_t t = 0; t < n; ++t) {
    if (pooled == Pooled::first_eos && ids(t) == eos) return t;
    if (pooled == Pooled::highest_id && ids(t) > ids(best)) best = t;
  }
  return best;
}

inline void TextModel::embed(Context& ctx, View<const float, 2> hidden, View<const std::int32_t, 1> ids,
                             View<const index_t, 1> cu, View<float, 2> out) const {
  if (!head) throw Error(Code::kUnsupported, "text model: this checkpoint has no projection into a space of images");
  const index_t texts = cu.extent[0] - 1, c = hidden.extent[1];
  std::vector<float> rows(static_cast<std::size_t>(texts * c), 0.f);
  for (index_t b = 0; b < texts; ++b)
    if (cu(b) < cu(b + 1))
      __builtin_memcpy(rows.data() + b * c,
                       hidden.data + (cu(b) + head->row(ids.slice(cu(b), cu(b + 1)))) * hidden.stride[0],
                       static_cast<std::size_t>(c) * sizeof(float));
  ops::linear(ctx, View<const float, 2>(rows.data(), texts, c), head->projection.linear.weight,
              {.bias = head->projection.linear.bias}, out);
}

}  // namespace tessera::models
